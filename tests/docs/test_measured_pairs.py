"""docs/how-to/measured-pairs.md is true: its options are known, its commands run."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_sr import hook
from monai_sr.cli import main as cli
from tests.dicom_factory import slice_positions, write_series
from tests.docs.pages import _held_out, run, sections, write_photos
from tests.training.test_measured_pairs import scene

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "measured-pairs.md"
SECTIONS = sections(PAGE)
BLOCKS = [block for blocks in SECTIONS.values() for block in blocks]
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


@pytest.fixture
def workplace(tmp_path, monkeypatch, repo_root):
    """Return a folder like a checkout."""
    for name in ("bundles", "configs"):
        (tmp_path / name).symlink_to(repo_root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_option_is_known(workplace):
    commands = [shlex.split(c) for block in BLOCKS for c in block.commands]
    assert len(commands) == 3
    for words in commands:
        if words[0] == "monai-sr":
            assert cli._parser().parse_known_args(words[1:])[1] == []
        else:
            hook.check_options(words[words.index("monai.bundle") + 1 :])  # reads the files, too


def write_slices(folder, name, values, step_mm):
    write_series(
        folder / name,
        np.rint(values.clip(0, 1) * 4000).astype(np.uint16),
        slice_positions(len(values), step_mm, AXIAL),
        AXIAL,
    )


@pytest.mark.slow
def test_the_commands_run(workplace):
    write_photos(workplace / "photos", (224, 208))
    (workplace / "coarse").mkdir()
    for file in (workplace / "photos").iterdir():
        with Image.open(file) as photo:
            photo.reduce(4).save(workplace / "coarse" / file.name)
    for number, name in enumerate(("sub-01", _held_out("sub", ""))):
        thin = scene((40, 48, 36), number)
        write_slices(workplace / "thin", name, thin, 1.0)
        write_slices(workplace / "thick", name, (thin[::2] + thin[1::2]) / 2, 2.0)
    for block in BLOCKS:
        run(block, lambda command: command.replace("--minutes 60", "--steps 1") + " --device cpu")
    for name in ("pairs", "slices"):
        assert (workplace / "runs" / name / "model.pt").is_file()

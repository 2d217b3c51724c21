"""docs/how-to/thick-slices.md is true: its commands run, and give what it says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from scipy.ndimage import gaussian_filter

from monai_sr import hook
from monai_sr.cli import main as cli
from monai_sr.upscaling.manifest import Manifest
from tests.dicom_factory import stored, write_series
from tests.docs.pages import run, sections
from tests.image_factory import write_nifti

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "thick-slices.md"
SECTIONS = sections(PAGE)
BLOCKS = [block for blocks in SECTIONS.values() for block in blocks]


@pytest.fixture
def workplace(tmp_path, monkeypatch, repo_root):
    """Return a folder like a checkout, with a scan of thick slices."""
    for name in ("bundles", "configs"):
        (tmp_path / name).symlink_to(repo_root / name)
    smooth = gaussian_filter(np.random.default_rng(0).random((20, 16, 6)), 1)
    values = np.rint(smooth / smooth.max() * 1000).astype(np.int16)
    write_nifti(tmp_path / "scan.nii.gz", values, affine=np.diag([0.8, 0.8, 4.0, 1]))
    write_series(tmp_path / "series", stored((4, 12, 14)), SliceThickness=2.5)
    for folder in ("volumes", "valid"):
        (tmp_path / folder).mkdir()
        values = np.random.default_rng(1).integers(0, 900, (14, 16, 13), dtype=np.int16)
        write_nifti(tmp_path / folder / "a.nii", values, affine=np.eye(4))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_option_is_known(workplace):
    commands = [shlex.split(c) for b in BLOCKS if b.kind == "bash" for c in b.commands]
    assert len(commands) == 7
    for words in commands:
        if words[0] == "monai-sr":
            assert cli._parser().parse_known_args(words[1:])[1] == []
        else:
            hook.check_options(words[words.index("monai.bundle") + 1 :])


def shape_in(folder):
    (path,) = (p for p in folder.iterdir() if p.name != Manifest.name)
    return nib.load(path).shape


def test_the_commands_give_the_grids_that_they_say(workplace):
    (block,) = SECTIONS[""]
    run(block, lambda command: f"{command} --device cpu --runtime torch")
    assert shape_in(workplace / "thin") == (20, 16, 24)
    assert shape_in(workplace / "isotropic") == (16, 13, 24)
    assert shape_in(workplace / "fine") == (40, 32, 24)


def test_a_series_gives_one_of_more_slices(workplace):
    (block,) = SECTIONS["DICOM series"]
    run(block, lambda command: f"{command} --device cpu --runtime torch")
    (folder,) = (p for p in (workplace / "thin_series").iterdir() if p.is_dir())
    assert len(list(folder.iterdir())) == 10
    assert {dcmread(file).SliceThickness for file in folder.iterdir()} == {1.0}


def test_another_profile_is_a_choice_of_the_configuration(workplace):
    command, python = SECTIONS["Another profile"]
    run(command, lambda text: f"{text} --device cpu")
    assert shape_in(workplace / "gaps") == (20, 16, 24)
    exec(compile(python.text, str(PAGE), "exec"), {})


def test_the_training_runs(workplace):
    (block,) = SECTIONS["Train it"]
    small = "--device cpu --steps 2 --patch_size 12 --batch_size 2 --epoch_length 2"
    run(block, lambda text: text.replace("--minutes 25", small))
    assert (workplace / "runs" / "slices" / "model.pt").is_file()


def test_the_network_learns_from_the_scan(workplace):
    (block,) = SECTIONS["Tune it on one volume"]
    run(block, lambda text: f"{text.replace('--tune 2', '--tune 0.001')} --device cpu")
    assert shape_in(workplace / "tuned") == (20, 16, 24)
    (path,) = (workplace / "tuned").glob("*.nii.gz")
    text = "".join(e.get_content().decode() for e in nib.load(path).header.extensions)
    record = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert record["slices"]["tuned_minutes"] == 0.001
    assert {p.name for p in workplace.iterdir()} == {
        "bundles", "configs", "scan.nii.gz", "series", "volumes", "valid", "tuned"
    }  # fmt: skip

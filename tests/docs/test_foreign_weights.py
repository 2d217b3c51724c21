"""docs/how-to/foreign-weights.md is true: its commands run on a small network of spandrel's."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from monai_sr.cli import main as cli
from monai_sr.core.optional import import_torchvision
from tests.dicom_factory import stored, write
from tests.docs.pages import sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "foreign-weights.md"
INSTALL, USE = sections(PAGE)[""]


def test_the_commands_of_the_page_enlarge_a_scan_and_a_photo(tmp_path, monkeypatch):
    import_torchvision()
    pytest.importorskip("spandrel")
    from spandrel.architectures.ESRGAN import ESRGAN

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    theirs = ESRGAN(num_filters=8, num_blocks=1, scale=2).eval()
    torch.save({"params_ema": theirs.state_dict()}, "2x_theirs.pth")
    write(tmp_path / "scan.dcm", stored((20, 26)))
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (18, 22, 3), dtype=np.uint8)).save("photo.png")
    for command in USE.commands:
        words = shlex.split(command)
        assert words[0] == "monai-sr"
        assert cli.main([*words[1:], "--device", "cpu"]) == 0, command
    (scan,) = Path("out").glob("scan*.dcm")
    assert pydicom.dcmread(scan).pixel_array.shape == (40, 52)
    (photo,) = Path("out").glob("photo*.png")
    with Image.open(photo) as image:
        assert image.size == (44, 36)


def test_the_page_names_the_extra_that_there_is(repo_root):
    (line,) = INSTALL.commands
    assert line == "pip install 'monai-sr[spandrel]'"
    assert "\nspandrel = [" in (repo_root / "pyproject.toml").read_text()

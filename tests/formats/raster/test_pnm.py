"""Portable any-maps are as bright as they are elsewhere: samples are shares of their white."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_sr.formats.meaning import AUTO
from monai_sr.formats.raster.reader import RasterReader
from monai_sr.formats.raster.source import RasterSource
from tests.image_factory import pixels


def write_pnm(path, samples, white):
    """Write P5 or P6, with a comment as GIMP leaves one."""
    magic, (height, width) = ("P5", "P6")[samples.ndim - 2], samples.shape[:2]
    head = f"{magic}\n# made by hand\n{width} {height}\n{white}\n".encode()
    path.write_bytes(head + samples.astype(">u2" if white > 255 else "u1").tobytes())
    return path


@pytest.mark.parametrize("white", [100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 3)])
def test_white_is_white(tmp_path, caplog, white, shape):
    shares = pixels(shape) / 255.0
    path = write_pnm(tmp_path / "a.pnm", np.rint(shares * white), white)
    found, _ = RasterReader().get_data(RasterReader().read(path))
    most = 255 if white <= 255 else 65535
    planes = np.atleast_3d(shares).transpose(2, 1, 0)
    assert np.abs(found / most - planes).max() <= 0.51 / white + 0.51 / most
    with Image.open(path) as image:  # of 16 bits of colors Pillow keeps 8
        own = np.atleast_3d(np.asarray(image)).transpose(2, 1, 0).astype(float)
    if white <= 255 or len(shape) == 2:
        assert np.abs(found - own).max() <= 1
    with RasterSource(path) as source:
        source.warn()
    assert (f"its white is {white}" in caplog.text) == (white not in (255, 65535))


def test_codes_stay_what_they_are(tmp_path):
    codes = np.repeat(np.repeat(np.arange(12).reshape(3, 4) % 5, 8, 0), 8, 1)
    path = write_pnm(tmp_path / "a.pgm", codes, 4)
    found, _ = RasterReader(AUTO).get_data(RasterReader(AUTO).read(path))
    assert np.array_equal(found[0], codes.T)

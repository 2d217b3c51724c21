"""Files of an earlier run go where the data set has nothing any more that they come from."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.catalogs import upscale_bids
from monai_sr.upscaling import FileUpscaler
from tests.bids_factory import COLUMNS, LINES, SLICES, write_image, write_json


@pytest.mark.parametrize("is_changed", [False, True])
def test_gradients_that_the_input_has_no_more_go_away(tmp_path, is_changed):
    dataset, output = tmp_path / "in", tmp_path / "out"
    upscaler = FileUpscaler("mri_sr", system="bicubic", scale=2, device="cpu")
    write_json(dataset / "dataset_description.json", Name="One", BIDSVersion="1.10.0")
    rng = np.random.default_rng(0)
    series = rng.integers(0, 900, (LINES, COLUMNS, SLICES, 2), dtype=np.int16)
    image = write_image(dataset / "sub-01" / "dwi" / "sub-01_dwi.nii.gz", series, 3.0)
    gradients = {dataset / "dwi.bval": "0 1000\n", dataset / "dwi.bvec": "0 1\n0 0\n0 0\n"}
    for file, text in gradients.items():
        file.write_text(text)
    upscale_bids(dataset, output, upscaler)
    made = {path.name for path in (output / "sub-01" / "dwi").iterdir()}
    copies = {"sub-01_dwi.bval", "sub-01_dwi.bvec"}
    assert copies < made
    for file in gradients:
        file.unlink()
    if is_changed:
        write_image(image, series[::-1], 3.0)
    (result,) = upscale_bids(dataset, output, upscaler)
    assert result.is_skipped != is_changed
    assert {path.name for path in (output / "sub-01" / "dwi").iterdir()} == made - copies

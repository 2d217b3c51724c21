"""Slices in Hounsfield units, in order, some of them held out."""

from __future__ import annotations

import sys

import ct_training as script
import nibabel
import numpy as np

from tests.dicom_factory import located, stored, write
from tests.image_factory import write_nifti


def test_slices_are_sorted_scaled_and_held_out(tmp_path, monkeypatch):
    pixels = {z: stored((6, 8), seed=z) for z in range(28)}
    for z, values in pixels.items():
        place = located((0, 0, z**1.5), [1, 0, 0, 0, 1, 0], (0.5, 0.5))
        write(tmp_path / "in" / f"{27 - z:02d}.dcm", values, RescaleSlope=1,
              RescaleIntercept=-1024, **place)  # fmt: skip
    chest = stored((8, 6, 7), signed=True)
    (tmp_path / "ct").mkdir()
    write_nifti(tmp_path / script.CHEST, chest)
    told = ["ct_training.py", "--head", str(tmp_path / "in"), "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", told)
    script.main()
    made = tmp_path / "ct_slices"
    read = {f"{f.parent.name}/{f.name}": nibabel.load(f) for f in made.rglob("*.nii.gz")}
    assert {name: image.shape for name, image in read.items()} == {
        "train/ge_head.nii.gz": (8, 6, 25), "validation/ge_head.nii.gz": (8, 6, 3),
        "train/chest.nii.gz": (8, 6, 6), "validation/chest.nii.gz": (8, 6, 1),
    }  # fmt: skip
    held = read["validation/ge_head.nii.gz"]
    assert held.header.get_zooms() == (0.5, 0.5, 20.0)
    for place, z in enumerate(script.HELD_OUT["ge_head"]):
        found = np.asarray(held.dataobj)[..., place]
        np.testing.assert_array_equal(found, pixels[z].T.astype(int) - 1024)
    trained = np.asarray(read["train/ge_head.nii.gz"].dataobj)
    np.testing.assert_array_equal(trained[..., 5], pixels[6].T.astype(int) - 1024)
    np.testing.assert_array_equal(
        np.asarray(read["validation/chest.nii.gz"].dataobj), chest[..., 3:4]
    )

"""Formats of one file or one folder go through ``upscale`` as NIfTI does."""

from __future__ import annotations

import nibabel as nib
import nrrd
import numpy as np
import pytest

from monai_sr.cli.main import main
from tests.image_factory import pixels
from tests.network_factory import tiny_bundle

AFFINE = np.diag([-0.5, -0.5, 3.0, 1.0])
AFFINE[:3, 3] = 10, 20, 30


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundles", "xray_sr")


def upscale(source, output, bundle, *options):
    main(["upscale", str(source), "--output_dir", str(output), "--bundle", str(bundle), *options])
    return sorted(path.name for path in output.iterdir() if path.suffix != ".csv")


@pytest.fixture
def twins(tmp_path):
    """Make a folder of a NIfTI and the same volume as NRRD of both kinds."""
    folder = tmp_path / "in"
    folder.mkdir()
    volume = pixels((9, 8, 3), "int16")
    image = nib.Nifti1Image(volume, AFFINE)
    image.header.set_xyzt_units("mm")
    image.to_filename(folder / "a.nii")
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    header = {
        "space": "left-posterior-superior", "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3], "Name": "Jane",
    }  # fmt: skip
    nrrd.write(str(folder / "b.nrrd"), volume, dict(header))
    nrrd.write(str(folder / "c.nhdr"), volume, dict(header))
    return folder


def test_nrrd_becomes_what_the_same_nifti_becomes(twins, bundle, tmp_path):
    names = upscale(twins, tmp_path / "out", bundle, "--scale", "2")
    assert names == ["a_x2.nii", "b_x2.nrrd", "c_x2.nrrd"]
    expected = nib.load(tmp_path / "out" / "a_x2.nii")
    for name in names[1:]:
        values, header = nrrd.read(str(tmp_path / "out" / name))
        assert (values == np.asarray(expected.dataobj)).all()
        steps = header["space directions"].T * [[-1], [-1], [1]]
        assert np.allclose(steps, expected.affine[:3, :3])
        assert np.allclose(header["space origin"] * [-1, -1, 1], expected.affine[:3, 3])
        assert header["Name"] == "Jane"


def test_deidentified_nrrd_names_nobody(twins, bundle, tmp_path):
    names = upscale(twins, tmp_path / "out", bundle, "--scale", "2", "--deidentify")
    assert len(names) == 3
    for name in names:
        assert b"Jane" not in (tmp_path / "out" / name).read_bytes().partition(b"\n\n")[0]

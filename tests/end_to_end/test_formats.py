"""Formats of one file or one folder go through ``upscale`` as NIfTI does."""

from __future__ import annotations

import nibabel as nib
import nrrd
import numpy as np
import pytest
import torch

from monai_sr.cli.main import main
from monai_sr.transforms import load_image
from tests.formats.ome_zarr.test_reader import write_zarr
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


def test_a_folder_of_ome_zarr_is_one_input_wherever_it_lies(bundle, tmp_path, capsys):
    pytest.importorskip("zarr")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    values = pixels((2, 8, 9), "uint16")
    write_zarr(tmp_path / "in" / "a.ome.zarr", values, "cyx", version="0.4")
    write_zarr(tmp_path / "in" / "sub" / "b.zarr", values, "cyx")
    assert upscale(tmp_path / "in", tmp_path / "out", bundle) == ["a_x4.ome.zarr", "sub"]
    found = load_image(tmp_path / "out" / "a_x4.ome.zarr")
    assert found.shape == (2, 36, 32)
    assert torch.equal(found, load_image(tmp_path / "out" / "sub" / "b_x4.zarr"))
    assert upscale(tmp_path / "in" / "a.ome.zarr", tmp_path / "one", bundle) == ["a_x4.ome.zarr"]
    assert torch.equal(found, load_image(tmp_path / "one" / "a_x4.ome.zarr"))
    capsys.readouterr()
    upscale(tmp_path / "in", tmp_path / "out", bundle, "--skip_done")
    assert "2 of 2 results were there already" in "".join(capsys.readouterr())


def test_deidentified_ome_zarr_goes_by_a_hash_of_its_content(bundle, tmp_path):
    pytest.importorskip("zarr")
    (tmp_path / "in").mkdir()
    for seed in (0, 1):
        values = pixels((8, 9), "uint16", seed)
        write_zarr(tmp_path / "in" / f"Jane_{seed}.zarr", values, "yx", Name="Jane")
    names = upscale(tmp_path / "in", tmp_path / "out", bundle, "--deidentify")
    assert len(names) == 2
    assert not any("Jane" in name or "_2_" in name for name in names)
    for name in names:
        files = (tmp_path / "out" / name).rglob("*.json")
        assert not any("Jane" in file.read_text() for file in files)


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

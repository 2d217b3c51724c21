"""Results are written in the format of their source, under the planned or a derived name."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
from monai.data import MetaTensor

from monai_sr.core.errors import OutputError
from monai_sr.geometry.target_grid import scaled_affine
from monai_sr.inferers.batch_meta import enlarged_meta
from monai_sr.transforms import SaveImageSRd, load_image
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster


def result_of(path, scale=2):
    image = load_image(path)
    large = image.as_tensor().repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    factors = [scale, scale, 1][: image.ndim - 1]
    return MetaTensor(large, meta=enlarged_meta(dict(image.meta), factors, scale))


def test_a_raster_becomes_a_raster_with_its_geometry(tmp_path):
    array = pixels((3, 5, 7), "uint16")
    source = write_raster(tmp_path / "a.tif", array, crs="EPSG:32633", transform=NORTH_UP)
    data = SaveImageSRd("pred", tmp_path / "out")({"pred": result_of(source)})
    path = tmp_path / "out" / "a_x2.tif"
    assert data["pred"].meta["sr_output"] == str(path)
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(), array.repeat(2, 1).repeat(2, 2))
        assert dataset.transform == NORTH_UP @ NORTH_UP.scale(0.5)
        assert dataset.dtypes[0] == "uint16"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_file_becomes_one_of_the_same_suffix(tmp_path, suffix):
    source = write_nifti(tmp_path / f"a{suffix}")
    SaveImageSRd("pred", tmp_path / "out")({"pred": result_of(source)})
    image = nib.load(tmp_path / "out" / f"a_x2{suffix}")
    assert image.shape == (14, 10, 3)
    assert np.allclose(image.affine, scaled_affine(nib.load(source).affine, (2, 2)))


def test_a_dicom_file_becomes_a_derived_dicom_file(tmp_path):
    values = dicom_factory.stored((6, 9))
    source = dicom_factory.write(tmp_path / "a.dcm", values, **dicom_factory.located())
    SaveImageSRd("pred", tmp_path / "out")({"pred": result_of(source)})
    written = pydicom.dcmread(tmp_path / "out" / "a_x2.dcm")
    assert np.array_equal(written.pixel_array, values.repeat(2, 0).repeat(2, 1))
    assert written.ImageType[0] == "DERIVED"


def test_a_series_becomes_a_folder(tmp_path):
    folder = dicom_factory.write_series(tmp_path / "series")
    SaveImageSRd("pred", tmp_path / "out")({"pred": result_of(folder)})
    assert len(list((tmp_path / "out" / "series_x2").iterdir())) == 4


def test_a_planned_path_goes_before_the_derived_one(tmp_path):
    source = write_raster(tmp_path / "a.png")
    planned = tmp_path / "elsewhere" / "b.png"
    data = {"pred": result_of(source), "output": str(planned)}
    assert SaveImageSRd("pred", tmp_path / "out")(data)["pred"].meta["sr_output"] == str(planned)
    assert planned.is_file()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["jpeg2", ""])
def test_a_result_of_unknown_format_is_refused(tmp_path, kind):
    image = result_of(write_raster(tmp_path / "a.png"))
    image.meta["sr_format"] = kind
    with pytest.raises(
        OutputError, match="a file that this package has read, got one of another origin"
    ):
        SaveImageSRd("pred", tmp_path / "out")({"pred": image, "output": tmp_path / "x.png"})


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    image = result_of(write_raster(tmp_path / "a.tif"))

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_sr.formats.raster.writer.copy_facts", fail)
    with pytest.raises(OutputError, match=r"a_x2\.tif: cannot be written, got 'No space left"):
        SaveImageSRd("pred", tmp_path / "out")({"pred": image})
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tif"]


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    image = result_of(write_raster(tmp_path / "a.png"))
    with pytest.raises(OutputError, match="cannot be written"):
        SaveImageSRd("pred", tmp_path / "file" / "out")({"pred": image})

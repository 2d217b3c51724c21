"""Without a bundle's name each input goes through the bundle that fits it, and that is said."""

from __future__ import annotations

import csv
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from rasterio.transform import from_origin

from monai_sr import SuperResolver
from monai_sr.cli.main import main
from monai_sr.core.errors import OptionError
from monai_sr.upscaling.choice import choose_bundle
from monai_sr.upscaling.workflow import SRWorkflow
from tests.dicom_factory import write
from tests.image_factory import pixels, write_raster


def nifti(path, values):
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.mark.parametrize(
    ("name", "bundle"),
    [
        ("CT_small.dcm", "ct_sr"),
        ("MR_small.dcm", "mri_sr"),
        ("examples_rgb_color.dcm", "natural_sr"),
    ],
)
def test_dicom_goes_by_modality_and_color(name, bundle):
    assert choose_bundle(get_testdata_file(name)).bundle == bundle


@pytest.mark.parametrize(
    ("modality", "bundle"),
    [("CR", "xray_sr"), ("DX", "xray_sr"), ("MG", "xray_sr"), ("MR", "mri_sr"), ("US", "xray_sr")],
)
def test_a_modality_has_its_bundle_and_names_it(tmp_path, modality, bundle):
    source = shutil.copy(get_testdata_file("MR_small.dcm"), tmp_path / "image")
    dataset = pydicom.dcmread(source)
    dataset.Modality = modality
    dataset.save_as(source)
    choice = choose_bundle(source)
    assert (choice.bundle, modality in choice.reason) == (bundle, True)


def test_nifti_is_mr_unless_it_holds_hounsfield_units(tmp_path):
    brain = nifti(tmp_path / "t1.nii", np.full((8, 8, 4), 300, np.int16))
    body = np.full((8, 8, 4), 40, np.int16)
    body[:2], body[0] = -1000, -3024
    assert choose_bundle(brain).bundle == "mri_sr"
    assert choose_bundle(nifti(tmp_path / "chest.nii.gz", body)).bundle == "ct_sr"


def test_a_raster_goes_by_place_bands_and_type(tmp_path):
    placed = {"crs": "EPSG:32633", "transform": from_origin(5e5, 4e6, 10, 10)}
    for name, values, more, bundle in (
        ("scene.tif", pixels((3, 8, 8)), placed, "satellite_sr"),
        ("bands.tif", pixels((6, 8, 8)), {}, "satellite_sr"),
        ("floats.tif", pixels((1, 8, 8), "float32"), {}, "satellite_sr"),
        ("scan.tif", pixels((3, 8, 8)), {}, "natural_sr"),
        ("photo.png", pixels((3, 8, 8)), {}, "natural_sr"),
    ):
        file = write_raster(tmp_path / name, values, **more)
        assert choose_bundle(file).bundle == bundle, name


def test_a_gray_photo_is_told_how_to_be_an_x_ray(tmp_path):
    choice = choose_bundle(write_raster(tmp_path / "gray.png", pixels((1, 8, 8))))
    assert choice.bundle == "natural_sr"
    assert "--bundle xray_sr" in choice.reason


def test_a_mixed_folder_gets_each_file_its_own_and_one_record(tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_raster(folder / "photo.png", pixels((3, 8, 8)))
    write(folder / "slice.dcm")
    (folder / "README.md").write_text("what lies here")
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        archive.write(get_testdata_file("MR_small.dcm"), "IM1")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    arguments = [str(folder), "-o", str(tmp_path / "out"), "--system", "bicubic"]
    assert main(["upscale", *arguments]) == 2
    text = "".join(capsys.readouterr())
    assert "bundle natural_sr, since it is a photo" in text
    assert "1 of 4 inputs could not be enlarged, 3 done" in text
    assert text.count("1 file is no image: skipped") == 1
    with (tmp_path / "out" / "monai_sr_manifest.csv").open(newline="") as stream:
        rows = {row["output"]: row["error"] for row in csv.DictReader(stream)}
    assert {"photo_x4.png", "slice_x4.dcm", "study.zip/IM1_x4.dcm"} <= set(rows)


def test_what_is_damaged_chooses_nothing_and_ends_no_run(tmp_path):
    """Compressed volumes end early where a copy was broken off; a bit flips in a DICOM tag."""
    random = np.random.default_rng(0).integers(0, 4000, (24, 24, 9), np.int16)
    whole = nifti(tmp_path / "whole.nii.gz", random).read_bytes()
    size = len(whole)
    dicom = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    for name, data in (
        ("cut.nii.gz", whole[: size // 3]),
        ("flipped.nii.gz", whole[:99] + bytes(size)),
        ("tag.dcm", dicom.replace(b"\x08\0\x60\0CS", b"\x08\0\x60\0C%")),
    ):
        (tmp_path / name).write_bytes(data)
        assert choose_bundle(tmp_path / name).reason == "nothing is known of it", name
    assert main(["upscale", str(tmp_path), "-o", str(tmp_path / "out"), "--system", "bicubic"]) == 2
    assert (tmp_path / "out" / "whole_x4.nii.gz").exists()


def test_names_that_look_like_expressions_stay_names(tmp_path):
    write_raster(tmp_path / "$price.png", pixels((3, 8, 8)))
    write_raster(tmp_path / "@home.png", pixels((3, 8, 8)))
    arguments = [str(tmp_path), "-o", str(tmp_path / "out"), "--system", "bicubic"]
    assert main(["upscale", *arguments]) == 0
    assert (tmp_path / "out" / "$price_x4.png").exists()


def test_scale_beside_spacing_is_refused():
    for make in (
        lambda: SRWorkflow("mri_sr", scale=2, spacing=0.5),
        lambda: SuperResolver.from_bundle("mri_sr", scale=2, spacing=0.5),
    ):
        with pytest.raises(OptionError, match="leave --scale or --spacing out"):
            make()


@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, 2), ({"system": "bicubic"}, 0), ({"perception": 0.5}, 3), ({"robust": True}, 0)],
)
def test_a_system_gives_its_own_result_as_the_results_table_judged_it(options, steps):
    workflow = SRWorkflow("natural_sr", **options)
    assert workflow.parser.get_parsed_content("inferer").consistency == steps

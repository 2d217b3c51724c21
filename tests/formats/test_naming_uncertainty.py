"""Maps of uncertainty lie beside results of every format: same place, units after rescaling."""

from __future__ import annotations

import gzip
import json
import struct

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
import torch
from monai.data import MetaTensor
from pydicom import Dataset
from pydicom.data import get_testdata_file
from rasterio.rpc import RPC

from monai_sr.core.errors import OutputError
from monai_sr.formats.dicom.map import _slopes
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.naming import uncertainty_path
from monai_sr.geometry.dicom_plane import frame_planes
from monai_sr.geometry.target_grid import scaled_affine
from monai_sr.transforms import SaveImageSRd, load_image
from tests import dicom_factory as factory
from tests.image_factory import NORTH_UP, ROTATED_POLE, pixels, write_nifti, write_raster

highdicom = pytest.importorskip("highdicom")


def _save(source, output, facts=None, **options):
    """Repeat every pixel and write it with a random map; return the map (C, X, Y[, Z])."""
    image = load_image(source)
    large = image.as_tensor().numpy()
    for axis in (0, 1):
        large = large.repeat(2, 1 + axis)
    meta = dict(image.meta)
    meta["affine"] = scaled_affine(np.asarray(meta["affine"]), (2, 2))
    half_width = np.random.default_rng(0).uniform(1, 9, large.shape).astype(np.float32)
    meta |= {
        "sr_scale": 2,
        "sr_uncertainty": half_width,
        "sr_provenance": json.dumps(factory.PROVENANCE),
        **(facts or {}),
    }
    save = SaveImageSRd("pred", output.parent, **options)
    save({"pred": MetaTensor(torch.from_numpy(large), meta=meta), "output": str(output)})
    return half_width


def _by_position(dataset):
    """Return the frames of a map in the order of their place along the normal."""
    stored = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    across, down = np.array(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float
    ).reshape(2, 3)
    heights = [
        np.array(f.PlanePositionSequence[0].ImagePositionPatient, float) @ np.cross(across, down)
        for f in dataset.PerFrameFunctionalGroupsSequence
    ]
    return stored[np.argsort(heights)]


@pytest.mark.parametrize(("slope", "modality"), [(1, "CT"), (2.5, "CT"), (1, "MR")])
def test_a_dicom_slice_gets_a_parametric_map_in_rescaled_units(tmp_path, slope, modality):
    tags = {"RescaleSlope": slope, "RescaleIntercept": -1024, **factory.located()}
    source = factory.write(tmp_path / "a.dcm", modality=modality, **tags)
    half_width = _save(source, tmp_path / "o" / "a_x2.dcm")
    made = highdicom.pm.ParametricMap.from_dataset(
        pydicom.dcmread(tmp_path / "o" / "a_x2_uncertainty.dcm")
    )
    result = pydicom.dcmread(tmp_path / "o" / "a_x2.dcm")
    np.testing.assert_allclose(made.pixel_array, half_width[0].T * slope, rtol=1e-6)
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    unit = mapping.MeasurementUnitsCodeSequence[0].CodeValue
    assert unit == ("[hnsf'U]" if modality == "CT" else "1")
    assert made.StudyInstanceUID == result.StudyInstanceUID
    assert made.FrameOfReferenceUID == result.FrameOfReferenceUID
    assert made.SeriesInstanceUID != result.SeriesInstanceUID
    (frame,) = made.PerFrameFunctionalGroupsSequence
    item = frame.DerivationImageSequence[0].SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == result.SOPInstanceUID
    assert item.ReferencedSOPClassUID == result.SOPClassUID
    reader = DicomReader()
    affines = [
        reader.get_data(reader.read(tmp_path / "o" / name))[1]["affine"]
        for name in ("a_x2.dcm", "a_x2_uncertainty.dcm")
    ]
    np.testing.assert_allclose(affines[1], affines[0], atol=1e-6)


def test_messages_name_the_result_and_not_where_it_waits_for_its_map(tmp_path, caplog):
    source = factory.write(tmp_path / "a.dcm", ImagePositionPatient=[0, 0, 0])
    with caplog.at_level("INFO", logger="monai_sr"):
        _save(source, tmp_path / "o" / "a_x2.dcm")
    (told,) = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert told.startswith(f"{tmp_path / 'o' / 'a_x2.dcm'}: positions without")


def test_a_series_gets_one_map_whose_frames_are_where_its_slices_are(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 16, 12)))
    half_width = _save(source, tmp_path / "o" / "s_x2")
    made = pydicom.dcmread(tmp_path / "o" / "s_x2_uncertainty.dcm")
    np.testing.assert_array_equal(_by_position(made), half_width[0].transpose(2, 1, 0))


def test_a_projection_gets_a_map_in_a_frame_of_reference_of_its_own(tmp_path):
    source = factory.write(tmp_path / "a.dcm", modality="DX", **factory.radiograph("DX"))
    half_width = _save(source, tmp_path / "o" / "a_x2.dcm")
    made = pydicom.dcmread(tmp_path / "o" / "a_x2_uncertainty.dcm")
    np.testing.assert_array_equal(made.pixel_array, half_width[0].T)
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    np.testing.assert_allclose([float(v) for v in measures.PixelSpacing], [0.035, 0.035])


def test_frames_of_a_cine_keep_their_order(tmp_path, shared_data):
    source = shared_data / "dicom" / "emri_small.dcm"
    half_width = _save(source, tmp_path / "o" / "a_x2.dcm")
    made = pydicom.dcmread(tmp_path / "o" / "a_x2_uncertainty.dcm")
    np.testing.assert_allclose(made.pixel_array, half_width[0].transpose(2, 1, 0), rtol=1e-6)


def test_colors_give_the_greatest_of_their_half_widths(tmp_path):
    half_width = _save(get_testdata_file("examples_rgb_color.dcm"), tmp_path / "a_x2.dcm")
    made = pydicom.dcmread(tmp_path / "a_x2_uncertainty.dcm")
    np.testing.assert_array_equal(made.pixel_array, half_width.max(axis=0).T)


def test_a_map_of_a_deidentified_result_names_nobody(tmp_path):
    source = factory.write(tmp_path / "a.dcm", **factory.located())
    _save(source, tmp_path / "o" / "a_x2.dcm", deidentify=True)
    old = pydicom.dcmread(source)
    for path in (tmp_path / "o").iterdir():
        content = path.read_bytes()
        for secret in (*factory.SECRETS[:2], old.StudyInstanceUID, old.SOPInstanceUID):
            assert secret.encode() not in content
    made, result = (pydicom.dcmread(p) for p in sorted((tmp_path / "o").iterdir())[::-1])
    assert made.PatientID == result.PatientID
    assert made.PatientIdentityRemoved == "YES"


def test_equal_results_have_equal_maps(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    for name in ("1", "2"):
        _save(source, tmp_path / name / "a_x2.dcm")
    first, second = (tmp_path / n / "a_x2_uncertainty.dcm" for n in ("1", "2"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_gets_a_float_volume(tmp_path, suffix):
    source = write_nifti(
        tmp_path / f"a{suffix}", np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7),
        intent_code=22,
    )  # fmt: skip
    is_packed = suffix.endswith(".gz")
    raw = bytearray(gzip.decompress(source.read_bytes()) if is_packed else source.read_bytes())
    # scl_slope and scl_inter; nibabel would write its own.
    struct.pack_into("<ff", raw, 112, -0.5, -3)
    source.write_bytes(gzip.compress(raw) if is_packed else raw)
    half_width = _save(source, tmp_path / "o" / f"a_x2{suffix}")
    made, result = (nib.load(tmp_path / "o" / f"a_x2{m}{suffix}") for m in ("_uncertainty", ""))
    assert result.dataobj.slope == -0.5
    np.testing.assert_allclose(made.get_fdata(), half_width[0] * 0.5, rtol=1e-6)
    assert made.get_data_dtype() == np.float32
    assert [int(image.header["intent_code"]) for image in (made, result)] == [0, 22]
    np.testing.assert_array_equal(made.affine, result.affine)


def test_a_geotiff_gets_a_float_tiff_in_the_same_place(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((4, 5, 7)), crs="EPSG:32633", transform=NORTH_UP
    )
    half_width = _save(source, tmp_path / "o" / "a_x2.tif")
    with (
        rasterio.open(tmp_path / "o" / "a_x2_uncertainty.tif") as made,
        rasterio.open(tmp_path / "o" / "a_x2.tif") as result,
    ):
        assert (made.transform, made.crs, made.bounds) == (
            result.transform, result.crs, result.bounds,
        )  # fmt: skip
        assert set(made.dtypes) == {"float32"}
        np.testing.assert_array_equal(made.read(), half_width.transpose(0, 2, 1))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_map_has_the_camera_model_and_the_bands_of_its_result(tmp_path):
    rpcs = RPC(
        height_off=1, height_scale=500, lat_off=45, lat_scale=0.5, long_off=7, long_scale=0.5,
        line_off=2.0, line_scale=3, samp_off=3.0, samp_scale=4, err_bias=0.3, err_rand=0.2,
        line_num_coeff=[0.5] * 20, line_den_coeff=[0.5] * 20,
        samp_num_coeff=[0.5] * 20, samp_den_coeff=[0.5] * 20,
    )  # fmt: skip
    source = write_raster(tmp_path / "a.tif", pixels((2, 5, 7)), rpcs=rpcs, descriptions=("a", "b"))
    with rasterio.open(source, "r+") as dst:
        dst.units = ("K", "m")
    _save(source, tmp_path / "o" / "a_x2.tif")
    with (
        rasterio.open(tmp_path / "o" / "a_x2_uncertainty.tif") as made,
        rasterio.open(tmp_path / "o" / "a_x2.tif") as result,
    ):
        assert (made.rpcs.samp_off, made.rpcs.line_scale) == (6.5, 6)
        assert made.rpcs.to_dict() == result.rpcs.to_dict()
        assert (made.descriptions, made.units) == (("a", "b"), ("K", "m"))


def test_a_map_has_a_reference_system_that_geotiff_cannot_hold(tmp_path):
    source = write_raster(
        tmp_path / "a.tif", pixels((1, 5, 7)), crs=ROTATED_POLE, transform=NORTH_UP
    )
    _save(source, tmp_path / "o" / "a_x2.tif")
    with rasterio.open(source) as src, rasterio.open(tmp_path / "o/a_x2_uncertainty.tif") as made:
        assert made.crs is not None
        assert made.crs == src.crs


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_photo_gets_a_float_tiff(tmp_path):
    source = write_raster(tmp_path / "a.png", pixels((3, 5, 7)))
    half_width = _save(source, tmp_path / "o" / "a_x2.png")
    with rasterio.open(tmp_path / "o" / "a_x2_uncertainty.tif") as made:
        np.testing.assert_array_equal(made.read(), half_width.transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("a_x4.dcm", "a_x4_uncertainty.dcm"),
        ("s.1_x4", "s.1_x4_uncertainty.dcm"),
        ("a_x4.nii.gz", "a_x4_uncertainty.nii.gz"),
        ("a_x4.png", "a_x4_uncertainty.tif"),
    ],
)
def test_maps_are_named_after_results(result, expected):
    assert uncertainty_path(result).name == expected


def _repeated(tmp_path, places):
    folder = factory.write_series(tmp_path / "s", factory.stored((len(places), 6, 9)), places)
    return sorted(str(f) for f in folder.iterdir())


@pytest.mark.parametrize("kind", ["repeated", "one position", "enhanced", "jitter"])
def test_frames_that_form_no_stack_get_a_map_in_their_places(tmp_path, kind):
    places = factory.slice_positions(3)[[0, 1, 2] if kind == "jitter" else [0, 1, 0, 1]]
    if kind == "one position":
        places = factory.slice_positions(4)[[1, 1, 1, 1]]
    if kind == "enhanced":
        pixels = factory.stored((4, 6, 9))
        source = factory.write_enhanced(tmp_path / "a.dcm", pixels, places)
        made = pydicom.dcmread(source)
        made.FrameOfReferenceUID = "1.2.3"
        made.save_as(source)
    elif kind == "jitter":
        source = []
        for i, place in enumerate(places):
            turn = 4e-7 * i
            cosines = [1, turn, 0, -turn, 1, 0]
            tags = factory.located(place, cosines)
            source.append(str(factory.write(tmp_path / f"{i}", InstanceNumber=i, **tags)))
    else:
        source = _repeated(tmp_path, places)
    half_width = _save(source, tmp_path / "o" / ("a.dcm" if kind == "enhanced" else "a"))
    made = pydicom.dcmread(tmp_path / "o" / "a_uncertainty.dcm")
    turn = -1 if kind == "jitter" else 1  # highdicom sorts a stack downwards
    frames = half_width[0].transpose(2, 1, 0)
    np.testing.assert_allclose(made.pixel_array[::turn], frames, rtol=1e-6)
    folder = tmp_path / "o" / "a"
    results = sorted(folder.iterdir()) if folder.is_dir() else [tmp_path / "o" / "a.dcm"]
    expected = [p for f in results for p in frame_planes(pydicom.dcmread(f))]
    for plane, told in zip(expected, frame_planes(made)[::turn], strict=True):
        np.testing.assert_allclose(told.position, plane.position, atol=1e-6)
        assert told.spacing_mm == pytest.approx(plane.spacing_mm)
    assert made.FrameOfReferenceUID == pydicom.dcmread(results[0]).FrameOfReferenceUID
    if kind == "enhanced":
        groups = made.PerFrameFunctionalGroupsSequence
        items = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in groups]
        assert [item.ReferencedFrameNumber for item in items] == [1, 2, 3, 4]


def test_a_map_that_fails_takes_its_result_with_it(tmp_path, monkeypatch):
    def fail(*args):
        raise OutputError(f"{args[1]}: cannot be written; free space.")

    monkeypatch.setattr("monai_sr.formats.dicom.map.write_parametric_map", fail)
    source = factory.write_series(tmp_path / "s")
    with pytest.raises(OutputError, match=r"o/a_x2_uncertainty\.dcm: cannot be written"):
        _save(source, tmp_path / "o" / "a_x2")
    assert not (tmp_path / "o").exists()


def test_slopes_of_a_frame_are_its_own_or_shared_but_never_its_neighbors():
    header = Dataset()
    header.NumberOfFrames, header.RescaleSlope = 3, 5
    own, shared = Dataset(), Dataset()
    for group, slope in ((own, -2), (shared, 3)):
        item = Dataset()
        item.RescaleSlope = slope
        group.PixelValueTransformationSequence = [item]
    header.PerFrameFunctionalGroupsSequence = [Dataset(), own, Dataset()]
    assert _slopes(header).tolist() == [5, 2, 5]
    header.SharedFunctionalGroupsSequence = [shared]
    assert _slopes(header).tolist() == [3, 2, 3]
    single = Dataset()
    assert _slopes(single).tolist() == [1]


def _said_by_raster(path):
    with rasterio.open(path) as made:
        return made.tags()["TIFFTAG_IMAGEDESCRIPTION"]


def _said_by_nifti(path):
    extensions = [e.get_content() for e in nib.load(path).header.extensions]
    return next(text.decode() for text in extensions if text.startswith(b"Half width"))


@pytest.mark.parametrize(
    ("write", "name", "said"),
    [
        (
            lambda path: factory.write(path, **factory.located()),
            "a_x2.dcm",
            lambda path: pydicom.dcmread(path).ImageComments,
        ),
        (
            lambda path: write_nifti(path, pixels((5, 6, 7), "int16")),
            "a_x2.nii.gz",
            _said_by_nifti,
        ),
        (lambda path: write_raster(path, pixels((3, 5, 7))), "a_x2.tif", _said_by_raster),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_map_says_what_its_interval_was_fitted_on(tmp_path, write, name, said):
    source = tmp_path / name.replace("_x2", "")
    write(source)
    facts = {"sr_interval_basis": "not fitted on this", "sr_interval": "noise 0.1: it is wider"}
    _save(source, tmp_path / "o" / name, facts)
    expected = "Half width of the 90 % interval, not fitted on this; noise 0.1: it is wider"
    assert said(uncertainty_path(tmp_path / "o" / name)) == expected

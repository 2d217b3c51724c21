"""What values mean is asked once: header, name and values answer, a user may overrule them."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import rasterio
from pydicom.dataset import Dataset

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.formats.meaning import Tally, by_name, kind_of, phase_turn
from monai_sr.formats.raster.meaning import raster_meaning
from monai_sr.transforms import LoadImageSRd, load_image
from tests.dicom_factory import dataset, located, write
from tests.image_factory import NORTH_UP, write_nifti, write_raster

PALETTE = {i: (20 * i, 255 - 20 * i, 7, 255) for i in range(12)}


def patches(*codes: int, side: int = 48, dtype: str = "uint8") -> np.ndarray:
    """Draw classes in patches of 8 pixels, none beside its next in rank alone."""
    rng = np.random.default_rng(3)
    coarse = rng.choice(codes, (side // 8, side // 8))
    coarse.flat[: len(codes)] = codes
    return np.kron(coarse, np.ones((8, 8), int)).astype(dtype)


def kind(path, asked="auto"):
    return kind_of(load_image(path, asked).meta)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T14TNS_20200101_SCL_20m", "label"),
        ("LC08_L2SP_034032_20200101_20200101_02_T1_QA_PIXEL", "bits"),
        ("S2_MSIL1C_QA60", "bits"),
        ("MOD13Q1.A2020001.h18v04.061.2020018002629_VI_Quality", "bits"),
        ("MOD13Q1.061_pixel_reliability", "bits"),
        ("BRDF_Albedo_Band_Mandatory_Quality_Band1", "bits"),
        ("20230101_101010_3B_udm2_clip", "label"),
        ("sub-01_space-MNI_dseg", "label"),
        ("sub-01_desc-brain_mask", "label"),
        ("aparc+aseg", "label"),
        ("ESA_WorldCover_10m_2021_Map", "label"),
        ("nlcd_2019_land_cover_l48", "label"),
        ("sub-01_label-GM_probseg", "fraction"),
        ("sub-01_part-phase_bold", "phase"),
        ("sub-01_part-real_bold", "complex"),
        ("sub-01_part-imag_bold", "complex"),
        ("LC08_ST_QA", None),
        ("unwrapped_phase", None),
        ("landscape", None),
    ],
)
def test_names_of_the_field_are_known(name, expected):
    found = by_name(name)
    assert (found and found.kind) == expected


def test_a_color_table_on_a_map_is_one_of_classes(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", patches(1, 5, 9)[None], colormap=PALETTE, transform=NORTH_UP
    )
    image = load_image(path, "auto")
    assert kind_of(image.meta) == "label"
    np.testing.assert_array_equal(image[0].numpy().T, patches(1, 5, 9))


def test_a_palette_of_a_picture_stays_colors(tmp_path):
    rng = np.random.default_rng(0)
    colors = {i: tuple(rng.integers(0, 255, 3)) for i in range(256)}
    pixels = rng.integers(0, 256, (1, 48, 48), dtype=np.uint8)
    image = load_image(write_raster(tmp_path / "a.png", pixels, colormap=colors), "auto")
    assert (kind_of(image.meta), len(image)) == ("color", 3)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (patches(0, 1), "label"),
        (patches(0, 255), "label"),
        (patches(11, 41, 42, 71, 82, 95), "label"),
        (np.full((48, 48), 7, np.uint8), "gray"),
        (np.random.default_rng(0).integers(0, 4, (48, 48), dtype=np.uint8), "gray"),
        # levels of a photo or of heights: neighbors are one step apart
        (np.repeat(np.arange(16, dtype=np.uint8), 8)[None].repeat(48, 0), "gray"),
        (np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8), "gray"),
    ],
)
def test_few_values_in_patches_are_classes(tmp_path, pixels, expected):
    assert kind(write_raster(tmp_path / "a.png", pixels[None])) == expected


def test_a_name_alone_makes_no_classes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1, 48, 48), dtype=np.uint8)
    assert kind(write_raster(tmp_path / "face_mask.png", noise)) == "gray"
    assert kind(write_raster(tmp_path / "face_mask.jpg", patches(0, 255)[None])) == "gray"


def test_missing_values_are_no_codes():
    codes = patches(2, 5, 9).astype("float32")
    codes[:8] = np.nan
    tally = Tally(nodata=9)
    assert tally.add(codes, is_named=False)
    assert tally.values == {2, 5}
    assert tally.are_codes(is_named=False)


@pytest.mark.parametrize(("side", "expected"), [(8, True), (7, False)])
def test_a_thumbnail_of_few_values_is_one_of_classes_from_64_pixels(side, expected):
    tally = Tally()
    tally.add(np.repeat(np.array([3, 7], np.uint8), 4 * side).reshape(8, side), is_named=False)
    assert tally.are_codes(is_named=False) == expected


def test_bands_that_are_codes_are_told_from_those_beside_them(tmp_path):
    stack = np.stack([np.random.default_rng(0).integers(0, 9999, (48, 48)), patches(3, 4, 5, 9)])
    path = write_raster(
        tmp_path / "a.tif", stack.astype("uint16"), transform=NORTH_UP, descriptions=("B02", "SCL")
    )
    meta = load_image(path, "auto").meta
    assert kind_of(meta) == "gray"
    assert meta["sr_code_bands"].tolist() == [1]


BLOCKS = np.kron(
    np.random.default_rng(0).integers(0, 60, (6, 5, 2)) * 17, np.ones((8, 8, 4), int)
).astype("int16")
"""Some fifty codes, the background among them no more frequent than others."""
NOISE = np.random.default_rng(0).normal(800, 60, BLOCKS.shape).astype("int16")
ENLARGED = NOISE[::2, ::2].repeat(2, 0).repeat(2, 1)
"""A picture of equal pairs."""


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        *((f"{name}.nii", BLOCKS, "label") for name in (
            "wmparc", "atlas", "sub-01_parc", "aparc", "Schaefer2018_100Parcels_7Networks", "x",
        )),
        *((f"{name}.nii", NOISE, "gray") for name in (
            "wmparc", "MNI_atlas_T1", "roi", "T1_within_mask", "dseg", "x",
        )),
        ("x.nii", ENLARGED, "gray"),
        ("roi.nii", ENLARGED, "label"),  # half of the proof is its name
        ("T1_mask.nii", np.where(BLOCKS > 500, NOISE, 0), "gray"),  # its background is flat
        ("x.nii", BLOCKS.astype("float32"), "label"),
        ("x.nii", np.stack([BLOCKS, BLOCKS * 0], -1), "label"),
        ("x.nii", np.stack([BLOCKS, NOISE], -1), "gray"),
    ],
)  # fmt: skip
def test_codes_of_any_number_are_known_by_their_regions(tmp_path, name, array, expected):
    image = load_image(write_nifti(tmp_path / name, array), "auto")
    assert kind_of(image.meta) == expected


def test_what_may_be_labels_is_warned_of(tmp_path, caplog):
    load_image(write_nifti(tmp_path / "x.nii", ENLARGED), "auto")
    assert "whole values may be labels" in caplog.text
    assert "add --kind label" in caplog.text
    caplog.clear()
    load_image(write_nifti(tmp_path / "x.nii", NOISE), "auto")
    assert "labels" not in caplog.text


@pytest.mark.parametrize("part", ["real", "imag"])
def test_parts_of_a_complex_image_are_refused_by_their_names(tmp_path, part):
    path = write_nifti(tmp_path / f"sub-01_part-{part}_bold.nii", NOISE)
    with pytest.raises(BadImageError, match="complex image; take its magnitude"):
        load_image(path, "auto")
    assert kind_of(load_image(path, "intensity").meta) == "gray"


@pytest.mark.parametrize("word", ["REAL", "I_FFE", "IMAGINARY"])
def test_parts_of_a_complex_image_are_refused_by_their_json(tmp_path, word):
    path = write_nifti(tmp_path / "a.nii", NOISE)
    beside = {"ImageType": ["ORIGINAL", "PRIMARY", word]}
    (tmp_path / "a.json").write_text(json.dumps(beside), encoding="utf-8")
    with pytest.raises(BadImageError, match="ImageType of its JSON"):
        load_image(path, "auto")


@pytest.mark.parametrize(
    ("name", "array", "intent", "expected"),
    [
        ("a.nii.gz", np.random.default_rng(0).integers(0, 999, (8, 9, 5), "int16"), 1002, "label"),
        ("a.nii.gz", NOISE, 1003, "label"),
        ("a.nii.gz", NOISE, 1001, "gray"),
        ("sub_dseg.nii.gz", patches(0, 2, 9)[..., None].astype("float32"), 0, "label"),
        ("a.nii", patches(0, 2, 9).astype("int16"), 0, "label"),
        ("arterial_phase.nii", np.linspace(-1024, 3071, 960).reshape(8, 12, 10), 0, "gray"),
        ("sub_part-phase_bold.nii", np.linspace(-4096, 4094, 960).reshape(8, 12, 10), 0, "phase"),
        ("wrapped_phase.nii", np.linspace(-3.14, 3.14, 960).reshape(8, 12, 10), 0, "phase"),
    ],
)
def test_nifti_by_intent_name_and_values(tmp_path, name, array, intent, expected):
    import nibabel as nib

    path = write_nifti(
        tmp_path / name, array.astype(array.dtype if array.dtype.kind != "f" else "f4")
    )
    if intent:
        image = nib.load(path)
        image.header["intent_code"] = intent
        nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header).to_filename(path)
    assert kind(path) == expected


def test_soft_segmentations_are_refused(tmp_path):
    soft = np.random.default_rng(0).random((8, 9, 5)).astype("float32")
    for name in ("sub_probseg.nii", "sub_mask.nii"):
        path = write_nifti(tmp_path / name, soft)
        with pytest.raises(BadImageError, match="add --kind intensity"):
            load_image(path, "auto")
        assert kind(path, "intensity") == "gray"


def frames(component: str) -> Dataset:
    item, group = Dataset(), Dataset()
    item.ComplexImageComponent = component
    group.MRImageFrameTypeSequence = [item]
    return group


@pytest.mark.parametrize(
    ("modality", "tags", "expected"),
    [
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]}, "phase"),
        ("MR", {"ComplexImageComponent": "PHASE"}, "phase"),
        ("MR", {"SharedFunctionalGroupsSequence": [frames("PHASE")]}, "phase"),
        ("MR", {"ComplexImageComponent": "MAGNITUDE"}, "gray"),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}, "gray"),
        ("CT", {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "gray"),
        ("CT", {"SegmentationType": "LABELMAP", "Modality": "SEG"}, "label"),
        ("CT", {"ImageType": ["DERIVED", "SECONDARY", "LABEL"]}, "label"),
    ],
)
def test_dicom_by_its_header(tmp_path, modality, tags, expected):
    path = write(tmp_path / "a.dcm", modality=modality, **located(), **tags)
    assert kind(path) == expected


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Modality": "RTDOSE"}, "radiation dose"),
        ({"SegmentationType": "FRACTIONAL", "Modality": "SEG"}, "shares of a class"),
        ({"ComplexImageComponent": "REAL", "Modality": "MR"}, "complex image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "I", "FFE"], "Modality": "MR"}, "complex image"),
    ],
)
def test_what_a_network_would_falsify_is_refused_unless_asked_for(tmp_path, tags, words):
    path = write(tmp_path / "a.dcm", **located(), **tags)
    with pytest.raises(BadImageError, match=f"{words}.*add --kind intensity"):
        LoadImageSRd("image")({"image": path})
    assert kind_of(LoadImageSRd("image", kind="intensity")({"image": path})["image"].meta) == "gray"


def test_thresholded_radiographs_stay_radiographs(tmp_path):
    pixels = patches(0, 4095, dtype="uint16")
    assert kind(write(tmp_path / "a.dcm", pixels, modality="CT", Modality="CR")) == "gray"
    assert kind(write(tmp_path / "b.dcm", pixels, modality="SC")) == "label"


@pytest.mark.parametrize(
    ("image_type", "pixels", "expected"),
    [
        (["DERIVED", "SECONDARY"], patches(0, 3, 7, 12, 50, 251, 600, dtype="uint16"), "label"),
        ("DERIVED", patches(0, 1, dtype="uint16"), "label"),
        (
            ["DERIVED", "SECONDARY"],
            np.kron(17 * np.arange(64).reshape(8, 8), np.ones((8, 8), int)).astype("uint16"),
            "label",
        ),
        (["DERIVED", "SECONDARY"], NOISE[..., 0].astype("uint16"), "gray"),
        (None, patches(0, 3, 7, 12, dtype="uint16"), "label"),
        (["DERIVED", "PRIMARY", "ADC"], None, "gray"),
        (["DERIVED", "SECONDARY"], np.full((48, 48), 7, np.uint16), "gray"),
        (["ORIGINAL", "PRIMARY", "M"], patches(0, 3, 7, 12, dtype="uint16"), "gray"),
    ],
)
def test_segmentations_are_exported_as_derived_images(tmp_path, image_type, pixels, expected):
    path = write(tmp_path / "a.dcm", pixels, modality="MR", ImageType=image_type, **located())
    assert kind(path) == expected


@pytest.mark.parametrize("codes", [(0, 1, 2, 9), (5, 60, 700)])
def test_codes_of_thick_slices_are_codes_within_each(tmp_path, codes):
    """Where slices lie far apart, regions of one have little to do with those of the next."""
    slices = [np.roll(patches(*codes, dtype="uint16"), (8 * z, 16 * z), (0, 1)) for z in range(4)]
    for z, pixels in enumerate(slices):
        place = located([0, 0, 8.0 * z])
        write(tmp_path / f"{z}.dcm", pixels, modality="CT", ImageType=["DERIVED", "AXIAL"],
              SeriesInstanceUID="1.2.3", **place)  # fmt: skip
    assert kind(tmp_path) == "label"
    write_nifti(tmp_path / "a.nii", np.stack(slices, axis=-1).astype("int16"))
    assert kind(tmp_path / "a.nii") == "label"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"low": 2, "high": 4095, "slope": 2, "intercept": -4096}, (0, 4096)),
        ({"low": 0, "high": 4095, "storable": (0, 4095)}, (0, 4096)),
        ({"low": 0, "high": 1000, "storable": (0, 1023)}, (0, 1024)),
        ({"low": -math.pi, "high": 3.1}, (-math.pi, math.pi)),
        ({"low": 0, "high": 6.2}, (0, 2 * math.pi)),
        ({"low": -3141, "high": 3141}, (-1000 * math.pi, 1000 * math.pi)),
        ({"low": -179, "high": 180}, (-180, 180)),
        ({"low": 0, "high": 1000}, None),
        ({"low": 41, "high": 65511}, (0, 65536)),
        ({"low": -32768, "high": 32760}, (-32768, 32768)),
        # Velocities of +-165 cm/s in all values of 12 bits: one turn is these, not 360 degrees.
        (
            {"low": 0, "high": 4095, "slope": 330 / 4095, "intercept": -165, "storable": (0, 4095)},
            (0, 4096),
        ),
        (
            {"low": 0, "high": 4095, "slope": 360 / 4096, "intercept": -180, "storable": (0, 4095)},
            (0, 4096),
        ),
    ],
)
def test_one_turn_of_phase_in_stored_values(given, expected):
    found = phase_turn(**given)
    assert found == (expected and pytest.approx(expected))


def test_a_mosaic_says_how_many_images_it_holds(tmp_path):
    made = dataset(np.zeros((12, 18), np.uint16), modality="MR", **located())
    made.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    block = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 7)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert load_image(tmp_path / "a.dcm", "auto").meta["sr_mosaic"] == 3
    del made[0x0019, 0x100A]
    made.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(BadImageError, match="convert it to NIfTI"):
        load_image(tmp_path / "b.dcm", "auto")
    block = made.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_header(NumberOfImagesInMosaic="8"))
    made.save_as(tmp_path / "c.dcm", enforce_file_format=True)
    assert load_image(tmp_path / "c.dcm", "auto").meta["sr_mosaic"] == 3


def csa_header(**numbers: str) -> bytes:
    """Write a header of Siemens as nibabel documents it (CSA2): each entry one string of digits."""
    header = b"SV10\4\3\2\1" + struct.pack("<II", len(numbers), 77)
    for name, text in numbers.items():
        value = text.encode().ljust(4, b"\0")
        header += struct.pack("<64si4siii", name.encode(), 1, b"US", 6, 1, 77)
        header += struct.pack("<4i", len(value), len(value), 77, len(value)) + value
    return header


def test_unknown_kinds_are_answered_with_those_that_are():
    with pytest.raises(OptionError, match="auto, intensity, label, bits, phase, got 'dose'"):
        LoadImageSRd("image", kind="dose")


def test_a_name_alone_makes_no_phases(tmp_path):
    """Soils have a pH, and a photo of colors is none, whatever it is called."""
    acid = np.linspace(3.4, 9.2, 48 * 48, dtype=np.float32).reshape(1, 48, 48)
    wrapped = np.linspace(-3.14, 3.14, 48 * 48, dtype=np.float32).reshape(1, 48, 48)
    noise = np.random.default_rng(0).integers(0, 255, (3, 48, 48), dtype=np.uint8)
    assert kind(write_raster(tmp_path / "soil_ph.tif", acid, transform=NORTH_UP)) == "gray"
    assert kind(write_raster(tmp_path / "part-phase.png", noise)) == "color"
    # Whole numbers below 4096 are phases of Siemens where a name says so for sure.
    levels = np.linspace(0, 4095, 48 * 48).astype(np.uint16).reshape(1, 48, 48)
    assert kind(write_raster(tmp_path / "river_ph.tif", levels, transform=NORTH_UP)) == "gray"
    path = write_raster(tmp_path / "insar_phase.tif", wrapped, transform=NORTH_UP)
    meta = load_image(path, "auto").meta
    assert kind_of(meta) == "phase"
    assert meta["sr_declared_range"] == pytest.approx([-math.pi, math.pi])


@pytest.mark.parametrize(("side", "expected"), [(48, "label"), (11600, "gray")])
def test_blocks_that_must_be_read_whole_are_not_read_for_their_kind(tmp_path, side, expected):
    """Of 135 million pixels: such a file is found in no time, and takes no memory."""
    path = tmp_path / "a.tif"
    shape = {"width": side, "height": side, "count": 1, "dtype": "uint8", "sparse_ok": True}
    tile = {"tiled": True, "blockxsize": side, "blockysize": side}
    with rasterio.open(path, "w", transform=NORTH_UP, **shape, **tile) as dst:
        dst.set_band_description(1, "SCL")
    with rasterio.open(path) as dataset:
        found = raster_meaning(path, dataset)
    assert (found.kind if found else "gray") == expected

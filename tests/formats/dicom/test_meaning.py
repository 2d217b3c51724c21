"""Stored values have the meaning that a header says, and results stay within it."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from monai_sr.core import BadImageError
from monai_sr.formats import Facts, kind_of
from monai_sr.transforms import load_image
from tests.dicom_factory import dataset, located, stored, write, write_series
from tests.formats.test_meaning import patches
from tests.network_factory import wildest


def mapping(first, last, prefix=""):
    item = Dataset()
    if prefix:
        setattr(item, f"{prefix}RealWorldValueFirstValueMapped", float(first))
        setattr(item, f"{prefix}RealWorldValueLastValueMapped", float(last))
    else:
        item.add_new("RealWorldValueFirstValueMapped", "US", first)
        item.add_new("RealWorldValueLastValueMapped", "US", last)
    item.RealWorldValueSlope, item.RealWorldValueIntercept = 0.001, 0.0
    item.LUTLabel = item.LUTExplanation = "ADC"
    return item


def group(name, item):
    holder = Dataset()
    setattr(holder, name, [item])
    return holder


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, [0, 4095]),
        ({"RealWorldValueMappingSequence": [mapping(90, 3000)]}, [90, 3000]),
        ({"RealWorldValueMappingSequence": [mapping(90, 3000, "DoubleFloat")]}, [90, 3000]),
        ({"RealWorldValueMappingSequence": [mapping(0, 999), mapping(1000, 2500)]}, [0, 2500]),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    group("RealWorldValueMappingSequence", mapping(100, 2000))
                ]
            },
            [100, 2000],
        ),
        ({"RealWorldValueMappingSequence": [mapping(90, 1999)]}, [90, 2000]),
    ],
)
def test_results_have_real_world_values(tmp_path, tags, expected):
    """Of values 100 to 2000: outside of what is mapped (C.7.6.16.2.11) a value means nothing.

    Where the input has such values the result has none beyond them.
    """
    pixels = np.linspace(100, 2000, 54).round().astype(np.uint16).reshape(6, 9)
    path = write(tmp_path / "a.dcm", pixels, modality="MR", **located(), **tags)
    assert wildest(load_image(path)) == expected
    assert wildest(load_image(path), value_range=(0, 3000)) == expected
    assert wildest(load_image(path), bounds=(7, 4000)) == [7, 4000]


@pytest.mark.parametrize(
    ("modality", "tags", "low"),
    [
        ("PT", {"Units": "BQML", "RescaleSlope": 2.5, "RescaleIntercept": 0}, 0),
        ("PT", {"Units": "GML"}, 0),
        ("PT", {"Units": "STDDEV"}, None),
        ("NM", {}, 0),
        ("MR", {"ComplexImageComponent": "MAGNITUDE"}, 0),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}, 0),
        (
            "MR",
            {"ImageType": ["ORIGINAL", "PRIMARY", "M"], "RescaleIntercept": -40, "RescaleSlope": 2},
            20,
        ),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]}, None),
        ("CT", {}, None),
    ],
)
def test_counts_concentrations_and_magnitudes_stay_above_zero(tmp_path, modality, tags, low):
    pixels = stored((6, 9)).astype(np.int16) + np.int16(20)
    tags = {"Modality": modality} | tags
    path = write(tmp_path / "a.dcm", pixels, bits=16, **located(), **tags)
    assert wildest(load_image(path)) == [low or 0, 32767]
    below = write(tmp_path / "b.dcm", pixels - np.int16(90), bits=16, **located(), **tags)
    least = -32768 if low is None else pixels.min() - 90
    assert wildest(load_image(below)) == [least, 32767]


def test_magnitudes_of_ge_are_known_by_their_raw_data_type(tmp_path):
    path = write(tmp_path / "a.dcm", stored((6, 9)).astype(np.int16), bits=16, modality="MR")
    header = dcmread(path)
    header.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 0)
    header.save_as(path)
    assert wildest(load_image(path)) == [0, 32767]


def test_slices_of_a_series_share_the_widest_bounds(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    write_series(folder, [stored((6, 9)).clip(200, 1000)] * 3, modality="MR")
    for i, file in enumerate(sorted(folder.iterdir())):
        header = dcmread(file)
        header.RealWorldValueMappingSequence = [mapping(100 - i, 2000 + i)]
        header.save_as(file)
    assert wildest(load_image(folder)) == [98, 2002]


def test_rescaling_that_cannot_be_read_bounds_nothing(tmp_path):
    tags = {"ImageType": ["ORIGINAL", "PRIMARY", "M"], "RescaleSlope": "1.2345"}
    pixels = stored((6, 9)).astype(np.int16)
    path = write(tmp_path / "a.dcm", pixels, bits=16, modality="MR", RescaleIntercept="0", **tags)
    path.write_bytes(path.read_bytes().replace(b"1.2345", b"1.23x5"))
    image = load_image(path)
    assert not Facts(image.meta).knows("natural")


@pytest.mark.parametrize(("image_type", "expected"), [("DERIVED", "label"), ("ORIGINAL", "color")])
def test_palettes_of_classes_in_dicom_stay_indices(tmp_path, image_type, expected):
    codes = patches(0, 1, 2, 5, 9)
    made = dataset(codes, modality="US", bits=8, photometric="PALETTE COLOR")
    made.ImageType = [image_type, "SECONDARY"]
    for number, color in enumerate(("Red", "Green", "Blue")):
        table = np.roll(np.arange(256, dtype=np.uint16), 70 * number) * 257
        setattr(made, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{color}PaletteColorLookupTableData", table.tobytes())
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    image = load_image(tmp_path / "a.dcm", "auto")
    assert kind_of(image.meta) == expected
    assert (len(image) == 1 and np.array_equal(image[0].numpy().T, codes)) == (expected == "label")


def units(code):
    item, unit = mapping(0, 4000), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = code, "UCUM", code
    item.MeasurementUnitsCodeSequence = [unit]
    return {"SharedFunctionalGroupsSequence": [group("RealWorldValueMappingSequence", item)]}


@pytest.mark.parametrize(
    "tags",
    [{"DoseUnits": "GY"}, {"DoseGridScaling": 0.001}, units("Gy"), units("mGy"),
     units("Gy{RBE}"), units("uGy"), units("Gy/h")]
)  # fmt: skip
def test_doses_are_known_by_their_units(tmp_path, tags):
    path = write(tmp_path / "a.dcm", modality="SC", **tags)
    with pytest.raises(BadImageError, match="a radiation dose"):
        load_image(path, "auto")
    assert kind_of(load_image(write(tmp_path / "b.dcm", **units("mm2/s")), "auto").meta) == "gray"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("P_IR", "phase"), ("P_PCA", "phase"), ("R_IR", None), ("I_PCA", None), ("M_PCA", "gray")],
)
def test_image_types_of_philips_say_phase_and_parts(tmp_path, word, expected):
    path = write(tmp_path / "a.dcm", modality="MR", ImageType=["ORIGINAL", "PRIMARY", word, word])
    if expected is not None:
        assert kind_of(load_image(path, "auto").meta) == expected
        return
    with pytest.raises(BadImageError, match="a part of a complex image"):
        load_image(path, "auto")


@pytest.mark.parametrize(
    ("block", "offset", "vr", "value"),
    [("SIEMENS MR HEADER", 0x190A, "US", 7), ("Image Private Header", 0x6550, "DS", "7")],
)
@pytest.mark.parametrize(
    ("matrix", "side"), [([24, 0, 0, 22], 3), ([0, 24, 24, 0], 3), ([72, 0, 0, 72], 1), (None, 1)]
)
def test_mosaics_are_known_without_image_type(tmp_path, block, offset, vr, value, matrix, side):
    """Slices that were cut out of a mosaic keep its private numbers."""
    made = dataset(stored((72, 72)), modality="MR", AcquisitionMatrix=matrix, **located())
    group, element = divmod(offset, 256)
    made.private_block(group, block, create=True).add_new(element, vr, value)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert load_image(tmp_path / "a.dcm", "auto").meta["sr_mosaic"] == side


@pytest.mark.parametrize(("first", "expected"), [("DERIVED", "label"), ("ORIGINAL", "color")])
def test_few_colors_in_patches_of_derived_images_are_classes(tmp_path, first, expected):
    colors = np.random.default_rng(0).integers(0, 256, (5, 3), dtype=np.uint8)
    image = colors[patches(*range(5))]
    tags = {"ImageType": [first, "SECONDARY"], "photometric": "RGB", "bits": 8}
    path = write(tmp_path / "a.dcm", image, modality="US", **tags)
    meta = load_image(path, "auto").meta
    assert kind_of(meta) == expected


def enhanced(path, *words):
    frames = []
    for word in words:
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", word, "NONE"]
        frames.append(group("MRImageFrameTypeSequence", kind))
    return write(path, stored((len(words), 6, 9)), modality="MR enhanced",
                 PerFrameFunctionalGroupsSequence=frames)  # fmt: skip


def test_types_of_frames_say_phase_and_parts(tmp_path):
    """Converted legacy images have no ComplexImageComponent, and MIXED at their top."""
    assert kind_of(load_image(enhanced(tmp_path / "a.dcm", "P", "P_FFE"), "auto").meta) == "phase"
    assert kind_of(load_image(enhanced(tmp_path / "b.dcm", "M", "M"), "auto").meta) == "gray"
    for words in (("M", "P"), ("R", "R")):
        with pytest.raises(BadImageError, match="a part of a complex image"):
            load_image(enhanced(tmp_path / "c.dcm", *words), "auto")

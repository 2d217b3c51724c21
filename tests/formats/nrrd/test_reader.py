"""NRRD images are read as raw values with geometry, or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import logging

import nibabel as nib
import nrrd
import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.formats import find_reader, format_of
from monai_sr.formats.identity import dependencies
from monai_sr.formats.meaning import LABEL
from monai_sr.formats.nrrd.reader import NrrdReader
from tests.image_factory import pixels

OBLIQUE = np.array([[0.9, 0.1, 0, -40], [-0.1, 0.8, 0.3, 20], [0, -0.2, 5, 7], [0, 0, 0, 1]])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nrrd(path, array, **fields):
    kinds = {"kinds": ["domain"] * array.ndim}
    nrrd.write(str(path), array, kinds | {k.replace("_", " "): v for k, v in fields.items()})
    return path


def load(path, kind="intensity"):
    reader = NrrdReader(kind)
    return reader.get_data(reader.read(path))


def plain(path, header, data=b""):
    path.write_bytes(b"NRRD0004\n" + header.encode() + b"\n" + data)
    return path


@pytest.mark.parametrize("space", ["left-posterior-superior", "LPS", "RAS", "LAS"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "uint32", "int64", "float32", ">f8"])
def test_values_and_affine_are_those_of_the_same_nifti(tmp_path, space, dtype):
    array = pixels((7, 5, 3), np.dtype(dtype).newbyteorder("=")).astype(dtype)
    signs = np.diag({"R": [1, 1], "l": [-1, -1], "L": [-1, -1]}[space[0]] + [1, 1])
    if space == "LAS":
        signs = np.diag([-1, 1, 1, 1])
    own = signs @ OBLIQUE
    write_nrrd(
        tmp_path / "a.nrrd", array, space=space, space_directions=own[:3, :3].T,
        space_origin=own[:3, 3],
    )  # fmt: skip
    native = array.astype(array.dtype.newbyteorder("="))
    nib.Nifti1Image(native, OBLIQUE, dtype=native.dtype).to_filename(tmp_path / "a.nii")
    values, meta = load(tmp_path / "a.nrrd")
    reader = find_reader(tmp_path / "a.nii")
    twin, of_twin = reader.get_data(reader.read(tmp_path / "a.nii"))
    assert values.dtype == twin.dtype
    assert (values == twin).all()
    assert np.allclose(meta["affine"], of_twin["affine"], rtol=0, atol=1e-5)  # float32 there
    assert np.allclose(meta["affine"], OBLIQUE, rtol=0, atol=1e-14)
    for key in ("sr_dtype", "sr_slice_axis", "sr_unit_mm", "spatial_shape"):
        assert np.array_equal(meta[key], of_twin[key]), key


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
def test_every_encoding_is_read_attached_and_detached(tmp_path, encoding, name):
    array = pixels((7, 5, 3), "int16")
    write_nrrd(tmp_path / name, array, encoding=encoding)
    assert (load(tmp_path / name)[0][0] == array).all()
    found = dependencies(tmp_path / name)
    assert len(found) == (2 if name == "a.nhdr" else 1)


@pytest.mark.parametrize(
    "field",
    ["slice%02d.raw 1 3 1", "slice%02d.raw 1 3 1 2", "LIST\nslice01.raw\nslice02.raw\nslice03.raw"],
)
def test_slices_in_files_of_their_own_are_one_volume(tmp_path, field):
    array = pixels((7, 5, 3), "uint16")
    for i in range(3):
        (tmp_path / f"slice0{i + 1}.raw").write_bytes(b"head" + array[..., i].tobytes(order="F"))
    header = "type: ushort\ndimension: 3\nsizes: 7 5 3\nendian: little\nencoding: raw\n"
    plain(tmp_path / "a.nhdr", f"{header}byte skip: 4\ndata file: {field}\n")
    assert (load(tmp_path / "a.nhdr")[0][0] == array).all()
    assert len(dependencies(tmp_path / "a.nhdr")) == 4


def test_lines_and_bytes_before_the_samples_are_skipped(tmp_path):
    array = pixels((7, 5), "uint8")
    header = "type: uchar\ndimension: 2\nsizes: 7 5\nencoding: raw\ndata file: b.raw\n"
    (tmp_path / "b.raw").write_bytes(b"one\ntwo\nxy" + array.tobytes(order="F"))
    for skip in ("line skip: 2\nbyte skip: 2\n", "byteskip: -1\n", "byte skip: 10\n"):
        plain(tmp_path / "a.nhdr", header + skip)
        assert (load(tmp_path / "a.nhdr")[0][0] == array).all()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_axis_that_is_not_in_space_becomes_channels_wherever_it_is(tmp_path, place):
    array = np.moveaxis(pixels((2, 7, 5, 3), "int16"), 0, place)
    kinds = ["domain"] * 4
    kinds[place] = "list"
    steps = np.insert(OBLIQUE[:3, :3].T, place, np.nan, axis=0)
    write_nrrd(tmp_path / "a.nrrd", array, kinds=kinds, space="RAS", space_directions=steps)
    values, meta = load(tmp_path / "a.nrrd")
    assert (values == np.moveaxis(array, place, 0)).all()
    assert np.allclose(meta["affine"][:3, :3], OBLIQUE[:3, :3])


@pytest.mark.parametrize(("kind", "is_rgb"), [("RGB-color", 1), ("vector", 0)])
def test_colors_are_told_from_vectors(tmp_path, kind, is_rgb):
    array = pixels((3, 7, 5))
    path = write_nrrd(tmp_path / "a.nrrd", array, kinds=[kind, "domain", "domain"])
    values, meta = load(path)
    assert (values == array).all()
    assert meta["sr_rgb"] == is_rgb
    assert format_of(path).subject(path).domain == ("natural" if is_rgb else "mri")


def test_time_as_a_fourth_dimension_of_space_is_no_axis_of_it(tmp_path):
    steps = np.diag([1.0, 1.0, 3.0, 2.5])
    array = pixels((7, 5, 3, 2))
    path = write_nrrd(tmp_path / "a.nrrd", array, space="LPST", space_directions=steps)
    values, meta = load(path)
    assert (values == np.moveaxis(array, 3, 0)).all()
    assert np.allclose(meta["affine"], np.diag([-1, -1, 3, 1]))


@pytest.mark.parametrize(
    ("fields", "step", "start", "unit"),
    [
        ({"spacings": [0.5, 2.0], "units": ["cm", "cm"]}, (0.5, 2), (0, 0), 10),
        ({"spacings": [0.5, 2.0], "axis_mins": [1.0, 3.0], "units": ["mm", "mm"]},
         (0.5, 2), (1, 3), 1),
        ({"spacings": [0.5, 2.0], "axis_mins": [1.0, 3.0], "centerings": ["cell", "cell"]},
         (0.5, 2), (1.25, 4), 1),
        ({}, (1, 1), (0, 0), np.nan),
    ],
)  # fmt: skip
def test_lengths_without_a_space_are_those_of_the_axes(tmp_path, fields, step, start, unit):
    _, meta = load(write_nrrd(tmp_path / "a.nrrd", pixels((7, 5)), **fields))
    assert tuple(np.diag(meta["affine"])[:2]) == step
    assert tuple(meta["affine"][:2, 3]) == start
    assert np.array_equal(meta["sr_unit_mm"], unit, equal_nan=True)


def test_what_had_to_be_guessed_is_said(tmp_path, caplog):
    fields = {"space": "3D-right-handed", "space_directions": np.eye(3)}
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5, 3)), **fields)
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "a.nrrd")
    assert "orientation is a guess" in caplog.text
    assert "mm are assumed; set space units" in caplog.text
    write_nrrd(
        tmp_path / "b.nrrd", pixels((7, 5, 3)), space="LPS", space_directions=np.ones((3, 3))
    )
    _, meta = load(tmp_path / "b.nrrd")
    assert np.isnan(meta["sr_unit_mm"])
    assert "make no space" in caplog.text


def test_segmentations_of_slicer_are_codes(tmp_path):
    array = pixels((7, 5, 3)) % 7
    write_nrrd(tmp_path / "a.nrrd", array, Segment0_ID="Segment_1", Segment0_LabelValue="1")
    data = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(data.replace(b"Segment0 ID", b"Segment0_ID"))
    assert load(tmp_path / "a.nrrd", "auto")[1]["sr_kind"] == LABEL


def test_content_tells_the_format_whatever_the_name(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5)))
    (tmp_path / "a.nrrd").rename(tmp_path / "a.png")
    assert isinstance(find_reader(tmp_path / "a.png"), NrrdReader)


HEADER = "type: uint8\ndimension: 2\nsizes: 7 5\nencoding: raw\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER, "too little data for sizes 7 x 5; copy or download it again"),
        (HEADER.replace("raw", "gzip"), "got damaged data; copy or download it again"),
        (HEADER.replace("raw", "hex"), "encoding must be raw, gzip, bzip2 or text, got 'hex'"),
        (HEADER.replace("uint8", "block"), "samples must be integers or floats"),
        (HEADER.replace("uint8", "short"), "of stated endian.*correct its header"),
        (HEADER.replace("sizes: 7 5\n", ""), "must state sizes, got none; export it again"),
        (HEADER.replace("7 5", "7 5 3"), "sizes must have an entry for each of its 2 axes"),
        (HEADER + "kinds: domain\n", "kinds must have an entry for each"),
        (HEADER + "nonsense\n", "got a damaged one; export it again"),
        (HEADER.replace("7 5", "9999999 9999999"), "must fit into memory"),
        (HEADER + "kinds: complex domain\n", "got 1 of sizes 7 x 5; declare the others by kinds"),
        (HEADER + "data file: ../b.raw\n", "must lie in its folder.*correct 'data file'"),
        (HEADER + "data file: /etc/passwd\n", "must lie in its folder"),
        (HEADER + "data file: b.raw\n", "samples must lie beside it, got 0 of 1 data files"),
        (
            "type: float\nendian: little\ndimension: 3\nsizes: 2 7 5\nencoding: raw\n"
            "kinds: complex domain domain\n",
            "must be gray, RGB, vectors, lists or times, got complex; extract an image",
        ),
        (
            "type: uint8\ndimension: 4\nsizes: 3 7 5 2\nencoding: raw\n"
            "kinds: RGB-color domain domain time\n",
            "got rgb-color and time",
        ),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, header, message):
    path = plain(tmp_path / "a.nrrd", header, b"\x01\x02\x03")
    with pytest.raises(BadImageError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_damage_is_found_by_the_checksum(tmp_path, pack):
    array = pixels((70, 50))
    packed = bytearray(pack(array.tobytes(order="F")))
    packed[-5] ^= 1
    encoding = "gzip" if pack is gzip.compress else "bzip2"
    header = f"type: uint8\ndimension: 2\nsizes: 70 50\nencoding: {encoding}\n"
    with pytest.raises(BadImageError, match="must be a complete NRRD file"):
        load(plain(tmp_path / "a.nrrd", header, bytes(packed)))


def test_a_link_to_a_detached_header_finds_the_samples(tmp_path):
    array = pixels((7, 5))
    (tmp_path / "in").mkdir()
    write_nrrd(tmp_path / "in" / "a.nhdr", array, encoding="raw")
    (tmp_path / "b.nhdr").symlink_to(tmp_path / "in" / "a.nhdr")
    assert (load(tmp_path / "b.nhdr")[0][0] == array).all()

"""An enlarged NRRD keeps its header, raw values and place in the world."""

from __future__ import annotations

import nibabel as nib
import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import SpatialCrop

from monai_sr.core.errors import OutputError
from monai_sr.formats import find_reader
from monai_sr.formats.nifti.writer import NiftiWriter
from monai_sr.formats.nrrd.reader import NrrdReader
from monai_sr.formats.nrrd.writer import NrrdWriter, write_map
from tests.formats.nrrd.test_reader import OBLIQUE, write_nrrd
from tests.image_factory import TURNS, enlarged, pixels, same_places, turned


def upscale(source, target, scale=2, **more):
    reader = find_reader(source)
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, scale)
    writer = NrrdWriter() if target.suffix == ".nrrd" else NiftiWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(updated | more)
    writer.write(target)
    return result, updated


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i2", "uint16", "int32", "float32", ">f8"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text"])
def test_values_type_and_encoding_are_kept(tmp_path, dtype, encoding):
    array = pixels((7, 5, 3), np.dtype(dtype).newbyteorder("=")).astype(dtype)
    write_nrrd(tmp_path / "a.nrrd", array, encoding=encoding)
    result, _ = upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    values, header = nrrd.read(str(tmp_path / "b.nrrd"))
    assert values.dtype == array.dtype.newbyteorder("=")
    assert (values == result[0]).all()
    assert header["encoding"] == ("gzip" if encoding == "text" else encoding)


@given(
    turn=st.floats(-3, 3), steps=st.tuples(*[st.floats(0.1, 9)] * 3), scale=st.sampled_from([2, 3]),
    space=st.sampled_from(["LPS", "RAS", "LAS"]),
)  # fmt: skip
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_grid_is_that_of_the_same_nifti(tmp_path, turn, steps, scale, space):
    c, s = np.cos(turn), np.sin(turn)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * steps
    affine[:3, 3] = 10, -20, 30
    signs = np.diag({"LPS": [-1, -1, 1, 1], "RAS": [1, 1, 1, 1], "LAS": [-1, 1, 1, 1]}[space])
    own = signs @ affine
    array = pixels((7, 5, 3), "int16")
    write_nrrd(
        tmp_path / "a.nrrd", array, space=space, space_directions=own[:3, :3].T,
        space_origin=own[:3, 3],
    )  # fmt: skip
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.to_filename(tmp_path / "a.nii")
    upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd", scale)
    upscale(tmp_path / "a.nii", tmp_path / "b.nii", scale)
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = header["space directions"].T, header["space origin"]
    assert np.allclose(signs @ found, nib.load(tmp_path / "b.nii").affine, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["list", "time", "vector"])
@pytest.mark.parametrize("place", [0, 3])
def test_axes_that_are_not_in_space_stay_where_they_are(tmp_path, kind, place):
    array = np.moveaxis(pixels((3, 7, 5, 2), "int16"), 0, place)
    kinds = ["domain"] * 4
    kinds[place] = kind
    steps = np.insert(OBLIQUE[:3, :3].T, place, np.nan, axis=0)
    write_nrrd(
        tmp_path / "a.nrrd", array, kinds=kinds, space="LPS", space_directions=steps,
        space_origin=[1, 2, 3], measurement_frame=np.eye(3), labels=["a", "b", "c", "d"],
        space_units=["mm", "mm", "mm"], thicknesses=[np.nan, np.nan, 4, 4],
    )  # fmt: skip
    result, _ = upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    values, header = nrrd.read(str(tmp_path / "b.nrrd"))
    source = nrrd.read_header(str(tmp_path / "a.nrrd"))
    assert (np.moveaxis(values, place, 0) == result).all()
    steps = header["space directions"]
    assert np.isnan(steps[place]).all()
    own = np.delete(source["space directions"], place, axis=0)
    assert np.allclose(np.delete(steps, place, axis=0), own / [[2], [2], [1]], rtol=0, atol=1e-15)
    for field in ("kinds", "space", "labels", "space units"):
        assert header[field] == source[field], field
    assert (header["measurement frame"] == np.eye(3)).all()
    reader = NrrdReader()
    assert (reader.get_data(reader.read(tmp_path / "b.nrrd"))[0] == result).all()


def test_two_dimensions_and_time_in_space_are_kept(tmp_path):
    steps = np.diag([1.0, 2.0, 3.0, 2.5])
    fields = {"space_directions": steps, "space_origin": [1, 2, 3, 4], "space_dimension": 4}
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5, 3, 2)), **fields)
    upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    assert np.array_equal(header["space directions"], np.diag([0.5, 1, 3, 2.5]))
    assert np.array_equal(header["space origin"], [0.75, 1.5, 3, 4])
    flat = {"space_directions": np.diag([1.0, 2.0]), "space_origin": [1, 2], "space_dimension": 2}
    write_nrrd(tmp_path / "c.nrrd", pixels((7, 5)), **flat)
    upscale(tmp_path / "c.nrrd", tmp_path / "d.nrrd")
    header = nrrd.read_header(str(tmp_path / "d.nrrd"))
    assert np.array_equal(header["space directions"], np.diag([0.5, 1]))
    assert np.array_equal(header["space origin"], [0.75, 1.5])


@pytest.mark.parametrize(
    ("centers", "mins", "maxs"), [("cell", [1, 3], [8, 13]), ("node", [0.75, 2.5], [7.25, 11.5])]
)
def test_ends_of_axes_are_edges_or_centers(tmp_path, centers, mins, maxs):
    last = [8.0, 13.0] if centers == "cell" else [7.0, 11.0]
    write_nrrd(
        tmp_path / "a.nrrd", pixels((7, 5)), spacings=[1.0, 2.0], axis_mins=[1.0, 3.0],
        axis_maxs=last, centerings=[centers] * 2,
    )  # fmt: skip
    upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    assert np.allclose(header["spacings"], [0.5, 1.0])
    assert np.allclose(header["axis mins"], mins)
    assert np.allclose(header["axis maxs"], maxs)


def test_a_detached_header_becomes_one_file(tmp_path):
    array = pixels((7, 5, 3))
    write_nrrd(tmp_path / "a.nhdr", array, encoding="raw")
    result, _ = upscale(tmp_path / "a.nhdr", tmp_path / "b.nrrd")
    values, header = nrrd.read(str(tmp_path / "b.nrrd"))
    assert (values == result[0]).all()
    assert "data file" not in header


def _with_pair(path):
    path.write_bytes(path.read_bytes().replace(b"PatientName", "Patient:=Müller\\n\nx".encode()))


def test_a_result_says_that_it_is_derived_and_keeps_what_else_was_said(tmp_path):
    fields = {"content": "head", "Segment0_Extent": "0 6 0 4 0 2"}
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5, 3)), PatientName="1", **fields)
    _with_pair(tmp_path / "a.nrrd")
    upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    data = (tmp_path / "b.nrrd").read_bytes()
    assert "\nPatient:=Müller\\n\n".encode() in data
    assert b"derivation:=Derived by super-resolution; not for primary diagnosis; monai-sr" in data
    assert b"\nprovenance:={" in data
    assert b"\ncontent: head\n" in data
    assert b"GMT" not in data.partition(b"\n\n")[0]  # equal runs give equal files


def test_a_deidentified_result_keeps_numbers_alone(tmp_path):
    array = pixels((7, 5, 3), "int16")
    write_nrrd(
        tmp_path / "a.nrrd", array, PatientName="1", content="Jane", labels=["Jane", "", ""],
        space="LPS", space_directions=np.eye(3), space_units=["Jane", "mm", "mm"],
        sample_units="HU",
    )  # fmt: skip
    _with_pair(tmp_path / "a.nrrd")
    upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd", sr_deidentified=1)
    head = (tmp_path / "b.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    names = [line.partition(":")[0] for line in head.splitlines()[1:]]
    assert sorted(names) == sorted([
        "type", "dimension", "space", "sizes", "space directions", "kinds", "endian", "encoding",
        "space origin", "derivation", "provenance",
    ])  # fmt: skip


def test_a_map_of_uncertainty_lies_on_the_grid_of_its_result(tmp_path):
    array = np.moveaxis(pixels((2, 7, 5, 3), "int16"), 0, 3)
    write_nrrd(
        tmp_path / "a.nrrd", array, kinds=[*["domain"] * 3, "list"], spacings=[1, 2, 3, np.nan]
    )
    result, meta = upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    half = np.random.default_rng(0).uniform(0, 9, result.shape).astype(np.float32)
    write_map(tmp_path / "b.nrrd", tmp_path / "c.nrrd", half, meta)
    values, header = nrrd.read(str(tmp_path / "c.nrrd"))
    assert values.dtype == np.float32
    assert (np.moveaxis(values, 3, 0) == half).all()
    assert np.array_equal(header["spacings"][:3], [0.5, 1, 3])
    assert header["content"] == "Half width of the 90 % interval"
    write_map(tmp_path / "b.nrrd", tmp_path / "d.nrrd", half, meta | {"sr_interval_basis": "as is"})
    content = nrrd.read_header(str(tmp_path / "d.nrrd"))["content"]
    assert content == "Half width of the 90 % interval, as is"


def test_wrong_names_and_wrong_affines_are_refused(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5)), spacings=[1.0, 1.0])
    reader = NrrdReader()
    stored, meta = reader.get_data(reader.read(tmp_path / "a.nrrd"))
    result, _ = enlarged(stored, meta, 2)
    writer = NrrdWriter()
    writer.set_data_array(result)
    writer.set_metadata(meta)
    with pytest.raises(OutputError, match=r"must end in .nrrd, got '.nhdr'"):
        writer.write(tmp_path / "b.nhdr")
    with pytest.raises(OutputError, match="affine must belong to the enlarged image"):
        writer.write(tmp_path / "b.nrrd")
    assert not (tmp_path / "b.nrrd").exists()


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_volume_lies_where_it_was(tmp_path, turn):
    array = pixels((7, 5, 3), "int16")
    write_nrrd(
        tmp_path / "a.nrrd", array, space="LPS", space_directions=np.diag([1.0, 1.5, 3.0]),
        space_origin=[4, 5, 6], thicknesses=[np.nan, np.nan, 2.5], labels=["x", "y", "slice"],
    )  # fmt: skip
    reader = NrrdReader()
    stored, meta = reader.get_data(reader.read(tmp_path / "a.nrrd"))
    result, updated = enlarged(*turned(stored, meta, turn), 2)
    writer = NrrdWriter()
    writer.set_data_array(result)
    writer.set_metadata(updated)
    writer.write(tmp_path / "b.nrrd")
    values, again = reader.get_data(reader.read(tmp_path / "b.nrrd"))
    assert same_places(array, meta["affine"], values[0], again["affine"])
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    thickest = int(np.linalg.norm(header["space directions"], axis=1).argmax())
    assert np.flatnonzero(np.isfinite(header["thicknesses"])).tolist() == [thickest]
    assert header["thicknesses"][thickest] == 2.5
    assert header["labels"].index("slice") == thickest


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_refused_where_the_source_has_no_directions(tmp_path, turn):
    write_nrrd(tmp_path / "a.nrrd", pixels((7, 5, 3)), spacings=[1.0, 1.0, 3.0])
    reader = NrrdReader()
    stored, meta = reader.get_data(reader.read(tmp_path / "a.nrrd"))
    result, updated = enlarged(*turned(stored, meta, turn), 2)
    writer = NrrdWriter()
    writer.set_data_array(result)
    writer.set_metadata(updated)
    with pytest.raises(OutputError, match="leave out the transform that turns it"):
        writer.write(tmp_path / "b.nrrd")


@pytest.mark.parametrize(
    ("centers", "last", "mins", "maxs"),
    [
        (["node", "node"], [23.0, 38.0], [-0.25, -0.5], [23.25, 38.5]),
        (None, [23.0, 38.0], [-0.25, -0.5], [23.25, 38.5]),
        (["cell", "cell"], [24.0, 40.0], [0, 0], [24, 40]),
        (["cell", "node"], [24.0, 38.0], [0, -0.5], [24, 38.5]),
    ],
)
def test_ends_of_axes_say_how_far_samples_are_apart(tmp_path, centers, last, mins, maxs):
    said = {} if centers is None else {"centerings": centers}
    array = pixels((24, 20))
    write_nrrd(tmp_path / "a.nrrd", array, axis_mins=[0.0, 0.0], axis_maxs=last, **said)
    _, updated = upscale(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    assert np.allclose(np.diag(updated["affine"]), [0.5, 1, 1, 1])
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    assert np.allclose(header["axis mins"], mins)
    assert np.allclose(header["axis maxs"], maxs)
    reader = NrrdReader()
    again = reader.get_data(reader.read(tmp_path / "b.nrrd"))[1]
    assert np.allclose(again["affine"], updated["affine"])
    assert again["sr_unit_mm"] == 1


@pytest.mark.parametrize(
    ("centers", "mins", "maxs"), [("cell", [2, 6], [7, 18]), ("node", [1.75, 5.5], [6.25, 16.5])]
)
def test_ends_of_axes_follow_a_crop(tmp_path, centers, mins, maxs):
    last = [8.0, 22.0] if centers == "cell" else [7.0, 20.0]
    write_nrrd(
        tmp_path / "a.nrrd", pixels((8, 10)), spacings=[1.0, 2.0], axis_mins=[0.0, 2.0],
        axis_maxs=last, centerings=[centers] * 2,
    )  # fmt: skip
    reader = NrrdReader()
    stored, meta = reader.get_data(reader.read(tmp_path / "a.nrrd"))
    crop = SpatialCrop(roi_start=(2, 2), roi_end=(7, 8))(MetaTensor(stored, meta=meta))
    result, updated = enlarged(crop.numpy(), dict(crop.meta), 2)
    writer = NrrdWriter()
    writer.set_data_array(result)
    writer.set_metadata(updated)
    writer.write(tmp_path / "b.nrrd")
    header = nrrd.read_header(str(tmp_path / "b.nrrd"))
    assert np.allclose(header["axis mins"], mins)
    assert np.allclose(header["axis maxs"], maxs)
    assert np.allclose(header["spacings"], [0.5, 1])

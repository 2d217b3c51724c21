"""An enlarged OME-Zarr keeps its metadata and its place, and has all levels of resolution."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from monai_sr.core.errors import OutputError
from monai_sr.formats.facts import with_facts
from monai_sr.formats.meaning import LABEL
from monai_sr.formats.ome_zarr.reader import OmeZarrReader
from monai_sr.formats.ome_zarr.writer import OmeZarrWriter, write_map
from tests.formats.ome_zarr.test_reader import STARTS, STEPS, write_zarr
from tests.full_disk import at_most
from tests.image_factory import TURNS, enlarged, pixels, turned

zarr = pytest.importorskip("zarr")

OMERO = {
    "channels": [
        {"label": "DAPI", "color": "0000FF", "window": {"min": 0, "max": 9, "start": 1, "end": 9}},
        {"label": "Jane", "color": "00FF00", "active": True},
    ]
}  # fmt: skip


def upscale(source, target, scale=2, kind="intensity", **facts):
    reader = OmeZarrReader(kind)
    stored, meta = reader.get_data(reader.read(source))
    result, updated = enlarged(stored, meta, scale)
    writer = OmeZarrWriter()
    writer.set_data_array(result, channel_dim=0)
    writer.set_metadata(with_facts(updated, **facts))
    writer.write(target)
    return result, updated


def said(path):
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    return attributes.get("ome", attributes), attributes


def places(path, axes, level=0):
    """Return scale and translation of a level by the axes' names."""
    steps = said(path)[0]["multiscales"][0]["datasets"][level]["coordinateTransformations"]
    return [dict(zip(axes, step[step["type"]], strict=True)) for step in steps]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int32", "float32"])
def test_values_types_axes_and_codecs_are_kept(tmp_path, version, dtype):
    array = pixels((2, 3, 5, 7), np.dtype(dtype).newbyteorder("=")).astype(dtype)
    write_zarr(
        tmp_path / "a.zarr", array, "czyx", version=version, chunks=(1, 2, 4, 4), omero=OMERO
    )
    result, _ = upscale(tmp_path / "a.zarr", tmp_path / "b.zarr")
    source, made = (zarr.open_array(tmp_path / n / "0", mode="r") for n in ("a.zarr", "b.zarr"))
    assert made.dtype == source.dtype
    assert (made[...].transpose(0, 3, 2, 1) == result).all()
    assert made.chunks == source.chunks
    assert made.compressors == source.compressors
    assert made.metadata.zarr_format == source.metadata.zarr_format
    ome, _ = said(tmp_path / "b.zarr")
    assert ome["multiscales"][0]["axes"] == said(tmp_path / "a.zarr")[0]["multiscales"][0]["axes"]
    assert ome["multiscales"][0]["name"] == "image"
    assert ome["omero"] == OMERO
    is_new = version == "0.5"
    assert (ome if is_new else ome["multiscales"][0])["version"] == version
    reader = OmeZarrReader()
    assert (reader.get_data(reader.read(tmp_path / "b.zarr"))[0] == result).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_outer_edges_stay_where_they_are(tmp_path, scale):
    write_zarr(tmp_path / "a.zarr", pixels((3, 5, 7)), "zyx")
    upscale(tmp_path / "a.zarr", tmp_path / "b.zarr", scale)
    step, start = places(tmp_path / "b.zarr", "zyx")
    for axis in "yx":
        assert step[axis] == STEPS[axis] / scale
        edge = STARTS[axis] - STEPS[axis] / 2
        assert np.isclose(start[axis] - step[axis] / 2, edge, rtol=0, atol=1e-12)
    assert (step["z"], start["z"]) == (STEPS["z"], STARTS["z"])


@pytest.mark.parametrize(("dtype", "size"), [("float32", 640), ("uint8", 612)])
def test_every_level_is_the_area_mean_of_the_one_before(tmp_path, dtype, size):
    array = pixels((size // 2, 300), dtype)
    write_zarr(tmp_path / "a.zarr", array, "yx")
    upscale(tmp_path / "a.zarr", tmp_path / "b.zarr")
    group = zarr.open_group(tmp_path / "b.zarr", mode="r")
    levels = [group[str(i)][...] for i in range(3)]
    assert "3" not in group
    assert max(levels[-1].shape) <= 256 < max(levels[-2].shape)
    for level in (1, 2):
        fine, coarse = levels[level - 1].astype(np.float64), levels[level].astype(np.float64)
        expected = downscale_local_mean(fine, (2, 2))
        found = coarse[: expected.shape[0], : expected.shape[1]]
        even = fine.shape[0] // 2, fine.shape[1] // 2  # an odd last sample stands for itself
        tolerance = 0.5 if dtype == "uint8" else 1e-3  # rounded once
        assert np.abs(found - expected)[: even[0], : even[1]].max() <= tolerance
        # Both levels have their first corner in one place.
        step, start = places(tmp_path / "b.zarr", "yx", level)
        first_step, first = places(tmp_path / "b.zarr", "yx")
        for axis in "yx":
            assert step[axis] == first_step[axis] * 2**level
            assert np.isclose(start[axis] - step[axis] / 2, first[axis] - first_step[axis] / 2)


def test_depth_is_halved_where_the_source_halves_it(tmp_path):
    array = pixels((4, 150, 20))
    path = write_zarr(tmp_path / "a.zarr", array, "zyx", levels=2)
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    level = content["attributes"]["ome"]["multiscales"][0]["datasets"][1]
    level["coordinateTransformations"][0]["scale"][0] *= 2
    file.write_text(json.dumps(content))
    upscale(path, tmp_path / "b.zarr")
    assert zarr.open_array(tmp_path / "b.zarr" / "1", mode="r").shape == (2, 150, 20)


def test_codes_keep_their_values_in_every_level(tmp_path):
    array = (pixels((150, 200)) % 5 * 50).astype(np.uint8)
    label = {"image-label": {"version": "0.5", "colors": [], "source": {"image": "../../"}}}
    write_zarr(tmp_path / "a.zarr", array, "yx", **label)
    result, _ = upscale(tmp_path / "a.zarr", tmp_path / "b.zarr", kind=LABEL)
    coarse = zarr.open_array(tmp_path / "b.zarr" / "1", mode="r")[...]
    assert (coarse == result[0].T[::2, ::2]).all()
    assert places(tmp_path / "b.zarr", "yx", 1)[1] == places(tmp_path / "b.zarr", "yx")[1]
    ome, _ = said(tmp_path / "b.zarr")
    assert ome["image-label"] == {"version": "0.5", "colors": []}


def test_shards_are_kept(tmp_path):
    write_zarr(tmp_path / "a.zarr", pixels((16, 16)), "yx", chunks=(4, 4), shards=(8, 8))
    upscale(tmp_path / "a.zarr", tmp_path / "b.zarr")
    made = zarr.open_array(tmp_path / "b.zarr" / "0", mode="r")
    assert (made.chunks, made.shards) == ((4, 4), (8, 8))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_result_says_that_it_is_derived(tmp_path, version, caplog):
    path = write_zarr(tmp_path / "a.zarr", pixels((2, 5, 7)), "cyx", version=version, omero=OMERO)
    zarr.open_group(path, mode="a").update_attributes({"acquired": "today"})
    (path / "labels").mkdir()
    upscale(path, tmp_path / "b.zarr")
    _, attributes = said(tmp_path / "b.zarr")
    note = attributes["monai-sr"]
    assert note["derivation"] == "Derived by super-resolution; not for primary diagnosis"
    assert note["provenance"]["scale"] == 2
    assert attributes["acquired"] == "today"
    assert "its labels are left out" in caplog.text
    assert [p.name for p in tmp_path.iterdir()].count("b.zarr") == len(list(tmp_path.iterdir())) - 1


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_deidentified_result_keeps_numbers_alone(tmp_path, version):
    path = write_zarr(tmp_path / "a.zarr", pixels((2, 5, 7)), "cyx", version=version, omero=OMERO)
    zarr.open_group(path, mode="a").update_attributes({"patient": "Jane"})
    upscale(path, tmp_path / "b.zarr", is_deidentified=True)
    ome, attributes = said(tmp_path / "b.zarr")
    assert "Jane" not in json.dumps(attributes)
    assert "name" not in ome["multiscales"][0]
    assert [set(c) for c in ome["omero"]["channels"]] == [{"color", "window"}, {"color", "active"}]


def test_a_map_of_uncertainty_lies_on_the_grid_of_its_result(tmp_path):
    write_zarr(tmp_path / "a.zarr", pixels((2, 5, 7), "uint16"), "cyx", version="0.4")
    result, meta = upscale(tmp_path / "a.zarr", tmp_path / "b.zarr")
    half = np.random.default_rng(0).uniform(0, 9, result.shape).astype(np.float32)
    write_map(tmp_path / "b.zarr", tmp_path / "c.zarr", half, meta)
    made = zarr.open_array(tmp_path / "c.zarr" / "0", mode="r")
    assert made.dtype == np.float32
    assert (made[...].transpose(0, 2, 1) == half).all()
    assert places(tmp_path / "c.zarr", "cyx") == places(tmp_path / "b.zarr", "cyx")
    assert said(tmp_path / "c.zarr")[1]["monai-sr"]["content"] == "Half width of the 90 % interval"
    write_map(tmp_path / "b.zarr", tmp_path / "d.zarr", half, meta | {"sr_interval_basis": "as is"})
    content = said(tmp_path / "d.zarr")[1]["monai-sr"]["content"]
    assert content == "Half width of the 90 % interval, as is"


def test_wrong_names_and_wrong_affines_are_refused(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", pixels((5, 7)), "yx")
    reader = OmeZarrReader()
    stored, meta = reader.get_data(reader.read(path))
    writer = OmeZarrWriter()
    writer.set_data_array(enlarged(stored, meta, 2)[0])
    writer.set_metadata(meta)
    with pytest.raises(OutputError, match=r"must end in .zarr, got '.tif'"):
        writer.write(tmp_path / "b.tif")
    with pytest.raises(OutputError, match="affine must belong to the enlarged image"):
        writer.write(tmp_path / "b.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("turn", TURNS)
def test_turns_are_refused(tmp_path, turn):
    path = write_zarr(tmp_path / "a.zarr", pixels((3, 5, 7)), "zyx")
    reader = OmeZarrReader()
    stored, meta = reader.get_data(reader.read(path))
    result, updated = enlarged(*turned(stored, meta, turn), 2)
    writer = OmeZarrWriter()
    writer.set_data_array(result)
    writer.set_metadata(updated)
    with pytest.raises(OutputError, match="leave out the transform that turns it"):
        writer.write(tmp_path / "b.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_chunk_that_cannot_be_written_leaves_nothing_of_the_others(tmp_path):
    array = np.full((512, 512), 7, np.uint8)
    array[:64, :64] = pixels((64, 64))  # its chunk alone is large
    write_zarr(tmp_path / "a.zarr", array, "yx", chunks=(128, 128))
    with at_most(3000), pytest.raises(OutputError, match=r"b\.zarr: cannot be written"):
        upscale(tmp_path / "a.zarr", tmp_path / "b.zarr")
    time.sleep(0.3)  # what threads may still write
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]

"""OME-Zarr images are read as raw values with geometry, or refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_sr.core import optional
from monai_sr.core.errors import BadImageError, MissingDependencyError
from monai_sr.formats import find_reader, format_of, image_folders
from monai_sr.formats.identity import input_digest
from monai_sr.formats.meaning import LABEL
from monai_sr.formats.ome_zarr.reader import OmeZarrReader
from tests.image_factory import pixels

zarr = pytest.importorskip("zarr")

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
STEPS = {"t": 2.5, "c": 1.0, "z": 3.0, "y": 0.5, "x": 0.25}
STARTS = {"t": 0.0, "c": 0.0, "z": 30.0, "y": 20.0, "x": 10.0}


def write_zarr(
    path, array, axes, *, version="0.5", unit="micrometer", levels=1, omero=None, **more
):
    """Write an image by zarr alone; ``more`` are arguments of the arrays, or attributes."""
    is_v3 = version == "0.5"
    group = zarr.open_group(path, mode="w", zarr_format=3 if is_v3 else 2)
    key = {"name": "default" if is_v3 else "v2", "separator": "/"}
    options = {k: more.pop(k) for k in ("chunks", "shards", "compressors") if k in more}
    datasets = []
    for level in range(levels):
        f = 2**level
        step = tuple(slice(None, None, f) if a in "xy" else slice(None) for a in axes)
        values = array[step]
        made = group.create_array(
            str(level), shape=values.shape, dtype=array.dtype, chunk_key_encoding=key,
            dimension_names=list(axes) if is_v3 else None, **options,
        )  # fmt: skip
        made[...] = values
        scale = [STEPS[a] * (f if a in "xy" else 1) for a in axes]
        datasets.append({
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": [STARTS[a] for a in axes]},
            ],
        })  # fmt: skip
    units = {"space": {"unit": unit} if unit else {}, "time": {"unit": "second"}, "channel": {}}
    entries = [{"name": a, "type": TYPES[a]} | units[TYPES[a]] for a in axes]
    ome = {"multiscales": [{"axes": entries, "datasets": datasets, "name": "image"}], **more}
    ome |= {} if omero is None else {"omero": omero}
    if is_v3:
        group.update_attributes({"ome": ome | {"version": version}})
    else:
        ome["multiscales"][0]["version"] = version
        group.update_attributes(ome)
    return path


def load(path, kind="intensity"):
    reader = OmeZarrReader(kind)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [("yx", (5, 7)), ("cyx", (2, 5, 7)), ("zyx", (3, 5, 7)), ("tczyx", (2, 3, 4, 5, 7)),
     ("czyx", (2, 1, 5, 7))],
)  # fmt: skip
def test_axes_become_channels_and_x_y_z(tmp_path, version, axes, shape):
    array = pixels(shape, "uint16")
    path = write_zarr(tmp_path / "a.zarr", array, axes, version=version)
    values, meta = load(path)
    full = array.reshape([shape[axes.index(a)] if a in axes else 1 for a in "tczyx"])
    expected = full.reshape(-1, *full.shape[2:]).transpose(0, 3, 2, 1)
    expected = expected[..., 0] if expected.shape[-1] == 1 else expected
    assert values.dtype == np.float32
    assert (values == expected).all()
    steps = [STEPS[a] if a in axes else 1 for a in "xyz"]
    starts = [STARTS[a] if a in axes else 0 for a in "xyz"]
    assert np.array_equal(meta["affine"], np.vstack([np.c_[np.diag(steps), starts], [0, 0, 0, 1]]))
    assert meta["sr_unit_mm"] == 1e-3
    assert meta["sr_dtype"] == "uint16"


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int32", "float32", ">f8"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_finest_level_is_read_in_every_type(tmp_path, dtype, version):
    array = pixels((6, 8), np.dtype(dtype).newbyteorder("=")).astype(dtype)
    path = write_zarr(tmp_path / "a.zarr", array, "yx", version=version, levels=2, chunks=(4, 5))
    assert (array == load(path)[0][0].T).all()


def test_shards_are_read(tmp_path):
    array = pixels((16, 16), "uint16")
    path = write_zarr(tmp_path / "a.zarr", array, "yx", chunks=(4, 4), shards=(8, 8))
    assert (array == load(path)[0][0].T).all()


def test_transforms_of_the_whole_come_after_those_of_a_level(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", pixels((5, 7)), "yx", version="0.4")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [2, 3]}]
    (path / ".zattrs").write_text(json.dumps(attributes))
    affine = load(path)[1]["affine"]
    assert (affine[0, 0], affine[0, 3]) == (0.75, 30)
    assert (affine[1, 1], affine[1, 3]) == (1, 40)


def test_channels_have_mappings_of_their_own_and_times_share_them(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", pixels((2, 3, 5, 7), "uint16"), "tcyx")
    assert load(path)[1]["sr_groups"].tolist() == [0, 1, 2, 0, 1, 2]


def test_red_green_and_blue_bytes_are_colors(tmp_path):
    def omero(end):
        window = {"start": 0, "end": end, "min": 0, "max": 255}
        return {
            "channels": [{"color": c, "window": window} for c in ("FF0000", "00FF00", "0000FF")]
        }

    photo = write_zarr(tmp_path / "a.zarr", pixels((3, 5, 7)), "cyx", omero=omero(255))
    cells = write_zarr(tmp_path / "b.zarr", pixels((3, 5, 7)), "cyx", omero=omero(90))
    assert load(photo)[1]["sr_rgb"] == 1
    assert load(cells)[1]["sr_rgb"] == 0


def test_label_images_are_codes(tmp_path):
    path = write_zarr(
        tmp_path / "a.zarr", pixels((5, 7)), "yx", **{"image-label": {"version": "0.5"}}
    )
    assert load(path, "auto")[1]["sr_kind"] == LABEL


def test_lengths_without_a_unit_are_none(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", pixels((5, 7)), "yx", unit="")
    assert np.isnan(load(path)[1]["sr_unit_mm"])


def test_a_folder_is_one_image_whatever_its_name(tmp_path):
    write_zarr(tmp_path / "a", pixels((5, 7)), "yx")
    (tmp_path / "b").mkdir()
    assert isinstance(find_reader(tmp_path / "a"), OmeZarrReader)
    assert format_of(tmp_path / "b").has_series
    assert image_folders(tmp_path.rglob("*")) == {tmp_path / "a"}


def test_the_digest_is_of_every_chunk(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", pixels((5, 7)), "yx", chunks=(3, 4))
    before = input_digest(str(path))
    chunk = next(f for f in path.rglob("c/*/*") if f.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert input_digest(str(path), anew=True) != before


def _edit(path, **changes):
    file = path / ".zattrs"
    attributes = json.loads(file.read_text())
    multiscale = attributes["multiscales"][0]
    multiscale |= changes
    file.write_text(json.dumps(attributes))


def _damage(path, what):
    if what == "gone":
        (path / ".zattrs").unlink()
    elif what == "json":
        (path / ".zattrs").write_text("{")
    elif what == "chunk":
        file = path / "0" / "0" / "0"
        file.write_bytes(file.read_bytes()[:9])
    elif what == "array":
        (path / "0" / ".zarray").unlink()
    elif what in ("plate", "well", "labels", "nothing"):
        (path / ".zattrs").write_text(json.dumps({what: []}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("gone", "got a folder without .zattrs and zarr.json; copy it again with its hidden files"),
        ("json", "its .zattrs must be JSON, got a damaged one"),
        ("chunk", "must hold complete chunks, got a damaged one; copy or download it again"),
        ("array", "must hold the array 0, got none or a damaged one"),
        ("plate", "got a plate of many; name an image in it, such as .*A"),
        ("well", "got a collection; name an image in it"),
        ("labels", "got a list of labels; name one of them"),
        ("nothing", "got a folder without multiscales"),
        ({"version": "0.3"}, "must be OME-Zarr 0.4 or 0.5, got '0.3' in Zarr 2; convert it"),
        ({"datasets": []}, "must list datasets, got none"),
        ({"datasets": [{"path": "../b"}]}, "datasets must lie in it"),
        ({"axes": [{"name": "q"}, {"name": "x"}]}, "axes must be x and y.*got q, x; extract"),
        ({"axes": ["y", "x"]}, "axes must be x and y"),
        ({"axes": [{"name": "c"}, {"name": "y"}, {"name": "x"}]}, "scale and translation"),
        ({"datasets": [{"path": "0", "coordinateTransformations": [{"type": "affine"}]}]},
         "must be scale and translation with a number for each axis, got 'affine'"),
        ({"datasets": [{"path": "0", "coordinateTransformations": [
            {"type": "scale", "scale": [0, 1]}]}]}, "scale must be above 0 and finite"),
        ({"datasets": [{"path": "0", "coordinateTransformations": [
            {"type": "scale", "scale": ["a", 1]}]}]}, "must hold numbers, got others"),
    ],
)  # fmt: skip
def test_bad_folders_are_refused_in_one_line(tmp_path, what, message):
    path = write_zarr(tmp_path / "a.zarr", pixels((50, 70)), "yx", version="0.4")
    if isinstance(what, dict):
        _edit(path, **what)
    else:
        _damage(path, what)
    with pytest.raises(BadImageError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_values_that_are_no_real_numbers_are_refused(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", np.ones((5, 7), complex), "yx")
    with pytest.raises(BadImageError, match=r"must be real numbers.*got complex128; convert"):
        load(path)
    with pytest.raises(BadImageError, match="must be the folder of one image, got none"):
        load(tmp_path / "b.zarr")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write_zarr(tmp_path / "a.zarr", pixels((5, 7)), "yx")
    monkeypatch.setitem(optional.sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'monai-sr\[zarr\]'"):
        load(path)

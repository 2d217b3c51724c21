"""Tiles of scenes out of git objects: bands, places, valid parts, and the split of them."""

from __future__ import annotations

import csv
import subprocess
import warnings

import numpy as np
import pytest
import rasterio
import satellite_training as script
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from tests.clone_factory import commit, write_table

COLUMNS = ("file", "place", "repository", "path", "blob", "bands", "shrink", "split")
TRANSFORM = rasterio.transform.from_origin(500000, 5000000, 10, 10)


def _noise(bands, height, width, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(1, 250, (bands, height, width)).astype(dtype)


@pytest.fixture
def made(tmp_path):
    """Return a function that makes the tiles of a scene of some files; it returns them by name."""
    clone = tmp_path / "o" / "n"
    clone.mkdir(parents=True)

    def make(scene, *arguments, nodata=None, **row):
        for name, values in scene.items():
            if name.endswith(".png"):
                Image.fromarray(values.transpose(1, 2, 0)).save(clone / name)
                continue
            count, height, width = values.shape
            with rasterio.open(
                clone / name, "w", driver="GTiff", count=count, height=height, width=width,
                dtype=values.dtype, crs="EPSG:32632", transform=TRANSFORM, nodata=nodata,
            ) as dataset:  # fmt: skip
                dataset.write(values)
        commit(clone)
        git = ["git", "-C", str(clone), "rev-parse", *(f"HEAD:{name}" for name in scene)]
        blobs = subprocess.run(git, check=True, capture_output=True, text=True).stdout.split()
        defaults = {"file": "a", "place": "here", "bands": "1", "shrink": "1", "split": "train"}
        row = {**defaults, "repository": "o/n", "blob": " ".join(blobs), **row}
        table = write_table(tmp_path / "t.csv", COLUMNS, row)
        told = ["--clones", str(tmp_path), "--data", str(tmp_path), "--table", str(table)]
        assert script.main([*told, *arguments]) == 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return {
                file.name: rasterio.open(file)
                for file in sorted((tmp_path / "satellite_more").iterdir())
            }

    return make


def test_bands_are_chosen_and_tiles_lie_where_they_were(made):
    values = _noise(4, 600, 200, "uint16")
    found = made({"s.tif": values}, bands="3 2 1 4")
    assert list(found) == ["a_0_0.tif", "a_0_300.tif"]
    lower = found["a_0_300.tif"]
    np.testing.assert_array_equal(lower.read(), values[[2, 1, 0, 3], 300:])
    assert lower.crs.to_epsg() == 32632
    assert lower.transform * (0, 0) == (500000, 5000000 - 3000)
    assert [color.name for color in lower.colorinterp] == ["red", "green", "blue", "undefined"]


def test_bands_of_several_files_become_one_image_of_integers(made):
    blue, red = _noise(1, 200, 200, "float32"), _noise(1, 200, 200, "float32", seed=1)
    (tile,) = made({"b.tif": blue, "r.tif": red}, bands="2 1").values()
    assert tile.dtypes == ("uint8", "uint8")
    np.testing.assert_array_equal(tile.read(), np.concatenate([red, blue]))


def test_a_photo_is_reduced(made):
    values = np.repeat(np.repeat(_noise(3, 200, 200), 2, axis=1), 2, axis=2)
    (tile,) = made({"p.png": values}, bands="1 2 3", shrink="2").values()
    expected = Image.fromarray(values[0]).resize((200, 200), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(tile.read(1), np.asarray(expected))


def test_flat_tiles_and_tiles_without_values_are_left_out(made):
    values = _noise(1, 600, 600)
    values[:, :300, :300] = 100  # flat
    values[:, 300:, :300] = 0  # without values
    found = made({"s.tif": values}, nodata=0)
    assert list(found) == ["a_300_0.tif", "a_300_300.tif"]


def test_a_few_pixels_that_seem_without_a_value_are_white(made):
    values = _noise(1, 200, 200)
    values[0, 5, 5] = 255
    (tile,) = made({"s.tif": values}, nodata=255).values()
    np.testing.assert_array_equal(tile.read(), values)


def test_of_a_large_scene_the_six_most_detailed_tiles_are_kept():
    values = _noise(1, 1600, 1600)
    values[:, :400, :400] //= 2
    found = script.tiles(values, np.ones((1600, 1600), bool))
    assert len(found) == 6
    assert (0, 0) not in {(window.col_off, window.row_off) for window, _ in found}


def test_the_split_table_has_the_bundles_images_and_the_tiles(made, tmp_path):
    table = tmp_path / "split.csv"
    made({"s.tif": _noise(1, 200, 200)}, "--split_table", str(table), split="validation")
    with table.open(newline="") as stream:
        *own, last = csv.DictReader(stream)
    assert own == script.read_table(script.OWN)
    assert (last["file"], last["place"], last["split"]) == ("a_0_0.tif", "here", "validation")


def test_a_scene_too_small_is_named(made):
    with pytest.raises(SystemExit, match=r"a: no tile of 192 pixels is valid; remove the row"):
        made({"s.tif": _noise(1, 100, 300)})


def test_a_file_of_another_table_is_named(made, tmp_path):
    other = tmp_path / "satellite_more" / "field.tif"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"field\.tif: is not of .*remove it"):
        made({"s.tif": _noise(1, 200, 200)})


def test_of_the_table_no_place_is_in_both_splits_and_all_is_free():
    rows = script.read_table(script.SCENES)
    places = {row["place"]: row["split"] for row in rows}
    assert all(places[row["place"]] == row["split"] for row in rows)
    assert {row["place"] for row in script.read_table(script.OWN)}.isdisjoint(places)
    assert set(places.values()) == {"train", "validation"}
    assert all(row["licence"].startswith(("CC0", "CC BY", "free ", "public ")) for row in rows)
    assert not any("-NC" in row["licence"] for row in rows)
    assert len({row["file"] for row in rows}) == len(rows)


def test_the_campaign_trains_by_the_places_of_the_table():
    split = script.read_table(script.SCENES.with_name("campaign_satellite.csv"))
    count = len(script.read_table(script.OWN))
    assert split[:count] == script.read_table(script.OWN)
    facts = {(row["place"], row["split"]) for row in script.read_table(script.SCENES)}
    assert {(row["place"], row["split"]) for row in split[count:]} == facts

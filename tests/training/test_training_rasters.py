"""Rasters are trained on as they are enlarged, never on nodata, and split by ground."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.windows import from_bounds

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.training import PatchLoader, ReadTrainingImage, training_split
from monai_sr.training.training_rasters import Area, places
from monai_sr.transforms import ScaleToUnit, load_image
from tests.image_factory import NORTH_UP, ROTATED, pixels, write_raster

UTM = "EPSG:32614"
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
HEADER = "file,place,split,west,south,east,north\n"


def at(column: float, row: float) -> tuple[float, float]:
    """Return the coordinates of a pixel's corner in a raster at NORTH_UP."""
    return NORTH_UP * (column, row)


def unit(path) -> np.ndarray:
    """Return what inference maps a file to, rows first."""
    return ScaleToUnit()(load_image(path))[0].numpy().swapaxes(1, 2)


def test_further_bands_are_learned_one_by_one_at_native_depth(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", pixels((5, 6, 8), "uint16"), colorinterp=(*RGB, *[ColorInterp.gray] * 2)
    )
    color, fourth, fifth = ReadTrainingImage(3)(path)
    expected = unit(path)
    assert color.dtype == np.float32
    np.testing.assert_array_equal(color, expected[:3])
    np.testing.assert_array_equal(fourth, np.repeat(expected[3:4], 3, axis=0))
    np.testing.assert_array_equal(fifth, np.repeat(expected[4:5], 3, axis=0))


def test_bands_without_colors_are_all_single(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((6, 6, 8), "uint16"))
    found = ReadTrainingImage(1)(path)
    np.testing.assert_array_equal(np.concatenate(found), unit(path))


def test_opacity_is_not_learned(tmp_path):
    array = pixels((4, 6, 8))
    array[3] = 255
    colors = (*RGB, ColorInterp.alpha)
    path = write_raster(tmp_path / "a.tif", array, colorinterp=colors)
    np.testing.assert_array_equal(ReadTrainingImage(3)(path), array[:3])


def test_near_infrared_beside_declared_colors_is_learned(tmp_path):
    array = pixels((4, 6, 8))
    colors = (*RGB, ColorInterp.undefined)
    path = write_raster(
        tmp_path / "a.tif", array, colorinterp=colors, photometric="RGB", alpha="NO"
    )
    color, infrared = ReadTrainingImage(3)(path)
    np.testing.assert_array_equal(color, array[:3])
    np.testing.assert_array_equal(infrared, np.repeat(array[3:], 3, axis=0))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_areas_of_nodata_are_left_out_and_specks_are_filled(tmp_path, dtype):
    array = np.clip(pixels((1, 256, 256), dtype), 1, 250)
    array[:, 100:, 128:] = 0  # an area: the half is divided, what is left of it used
    array[0, 50, 60] = 0  # a speck
    path = write_raster(tmp_path / "a.tif", array, nodata=0)
    left, upper = ReadTrainingImage(1)(path)
    assert left.shape == (1, 256, 128)
    assert upper.shape == (1, 64, 128)
    whole = unit(path) * (255 if dtype == "uint8" else 1)
    np.testing.assert_allclose(left, whole[:, :, :128], atol=1e-4)
    np.testing.assert_allclose(upper, whole[:, :64, 128:], atol=1e-4)
    neighbors = left[0, 49:52, 59:62].ravel()
    assert left[0, 50, 60] in np.delete(neighbors, 4)


def test_a_raster_without_a_valid_part_is_named(tmp_path):
    array = pixels((1, 64, 64))
    array[0, ::2] = 0
    path = write_raster(tmp_path / "a.tif", array, nodata=0)
    with pytest.raises(BadImageError, match=r"a\.tif: must hold valid pixels side by side"):
        ReadTrainingImage(1)(path)


def test_no_patch_of_a_half_empty_raster_shows_nodata(tmp_path):
    array = np.clip(pixels((4, 128, 300), "uint16"), 20_000, None)
    array[:, :, 150:] = 0
    path = write_raster(tmp_path / "a.tif", array, nodata=0, crs=UTM, transform=NORTH_UP)
    loader = PatchLoader([path], ReadTrainingImage(3), scales=[2], patch_size=16, batch_size=8)
    labels = [loader.batch(i)["label"] for i in range(20)]
    # Filled nodata repeats its neighbor along a row: measurements here never do.
    assert all(bool((label.diff(dim=-1) != 0).any(dim=-1).all()) for label in labels)
    assert len(ReadTrainingImage(3)(path)) == 2  # the valid half: colors, and the fourth band


def test_an_area_is_the_window_that_rasterio_cuts(tmp_path):
    array = pixels((3, 20, 30), "uint16")
    path = write_raster(tmp_path / "a.tif", array, crs=UTM, transform=NORTH_UP)
    (west, north), (east, south) = at(4, 3), at(17, 12)
    found = ReadTrainingImage(3)(Area(path, (west, south, east, north)))
    with rasterio.open(path) as source:
        window = from_bounds(west, south, east, north, source.transform)
        expected = source.read(window=window).astype(np.float64)
    assert found.shape == (3, 9, 13)
    # On the range of the whole file, as inference maps it.
    np.testing.assert_allclose(
        found, (expected - array.min()) / (float(array.max()) - array.min()), atol=1e-6
    )


@pytest.mark.parametrize(
    ("transform", "box", "remedy"),
    [
        (None, (0, 0, 5, 5), "must be georeferenced along the axes of its grid"),
        (ROTATED, (0, 0, 5, 5), "gdalwarp"),
        (NORTH_UP, (0.0, 0.0, 5.0, 5.0), "must reach into the area .* correct the table"),
    ],
)
def test_an_area_that_cannot_be_cut_is_refused(tmp_path, transform, box, remedy):
    path = write_raster(tmp_path / "a.tif", pixels((1, 9, 9)), transform=transform)
    with pytest.raises(BadImageError, match=remedy):
        ReadTrainingImage(1)(Area(path, box))


@pytest.fixture
def years(tmp_path):
    """Return a folder with one ground in two years and another ground, and a writer of tables."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    other = NORTH_UP * Affine.translation(29, 0)
    for name, transform in (("1990", NORTH_UP), ("2000", NORTH_UP), ("east", other)):
        write_raster(folder / f"{name}.tif", pixels((1, 20, 30)), crs=UTM, transform=transform)

    def table(lines):
        (tmp_path / "split.csv").write_text(HEADER + lines)
        return tmp_path / "split.csv"

    return folder, table


def _line(name, place, part, left, right):
    (west, north), (east, south) = at(left, 0), at(right, 20)
    return f"{name},{place},{part},{west},{south},{east},{north}\n"


def test_a_table_divides_files_by_area(years):
    folder, table = years
    lines = "east.tif,e,test,,,,\n" + "".join(
        _line(f"{year}.tif", place, part, left, right)
        for year in (1990, 2000)
        for place, part, left, right in (("a", "train", 0, 12), ("b", "validation", 18, 30))
    )
    train, held = training_split(folder, None, 0.0, table(lines))
    read = ReadTrainingImage(1)
    assert [read(image).shape for image in train] == [(1, 20, 12)] * 2
    assert [read(image).shape for image in held] == [(1, 20, 12)] * 2
    whole = read(folder / "1990.tif")
    np.testing.assert_array_equal(read(train[0]), whole[:, :, :12])
    np.testing.assert_array_equal(read(held[0]), whole[:, :, 18:])


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        (_line("1990.tif", "a", "train", 0, 12) + _line("1990.tif", "b", "test", 11, 30),
         "line 3 contradicts another of 1990.tif"),
        (_line("1990.tif", "a", "train", 0, 12) + _line("1990.tif", "a", "test", 18, 30),
         "puts one place into 'train' and 'test'"),
        (_line("1990.tif", "a", "train", 12, 3), "line 2 must bound its area by rising west"),
        ("1990.tif,a,train,1,2,,4\n", "line 2 must bound its area by rising west"),
        (_line("1990.tif", "a", "train", 0, 9) + "1990.tif,b,test,,,,\n", "line 3 contradicts"),
    ],
)  # fmt: skip
def test_a_table_that_shares_ground_or_bounds_nothing_is_refused(years, lines, remedy):
    folder, table = years
    with pytest.raises(OptionError, match=remedy):
        training_split(folder, None, 0.0, table(lines))


def test_without_a_table_files_of_one_ground_stay_together(years):
    folder, _ = years
    first, second, east = (folder / f"{name}.tif" for name in ("1990", "2000", "east"))
    found = places([first, second, east, folder / "photo.png"])
    assert found[first] == found[second] != found[east]  # the neighbor overlaps by one column
    assert len(found) == 3
    # A share at which the three names alone would be divided otherwise.
    for share in np.linspace(0.05, 0.95, 10):
        try:
            train, held = training_split(folder, None, float(share))
        except OptionError:
            continue
        assert {first, second} <= set(train) or {first, second} <= set(held)


def test_one_ground_in_two_reference_systems_is_one_place(tmp_path):
    first = write_raster(tmp_path / "a.tif", crs=UTM, transform=NORTH_UP)
    with rasterio.open(first) as source:
        west, south, east, north = rasterio.warp.transform_bounds(
            source.crs, "EPSG:4326", *source.bounds
        )
    degrees = Affine((east - west) / 7, 0, west, 0, (south - north) / 5, north)
    second = write_raster(tmp_path / "b.tif", crs="EPSG:4326", transform=degrees)
    found = places([first, second])
    assert found[first] == found[second]


def test_8_bit_and_deeper_images_train_together(tmp_path):
    levels = pixels((1, 40, 40))
    levels[0, 0, :2] = 0, 255
    write_raster(tmp_path / "a.tif", levels)
    write_raster(tmp_path / "b.tif", levels.astype(np.uint16) * 257)
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    loader = PatchLoader(files, ReadTrainingImage(1), scales=[2], patch_size=20, batch_size=16)
    labels = loader.batch(0)["label"]
    # Either is the same picture on [0, 1]; a patch is the whole of it, turned.
    assert labels.flatten(1).mean(dim=1).numpy() == pytest.approx(levels.mean() / 255, abs=1e-5)


def test_single_bands_are_repeated_in_the_share_asked_for(tmp_path):
    path = write_raster(tmp_path / "a.tif", pixels((3, 64, 64)))

    def batch(share):
        loader = PatchLoader(
            [path], ReadTrainingImage(3), scales=[2], patch_size=8, batch_size=64,
            single_band_share=share,
        )  # fmt: skip
        return loader.batch(0)

    plain, half, every = (batch(share) for share in (0.0, 0.5, 1.0))
    for key in ("image", "label"):
        single = (half[key] == half[key][:, :1]).flatten(1).all(dim=1)
        assert 16 < int(single.sum()) < 48
        assert (half[key][~single] == plain[key][~single]).all()  # nothing else is drawn anew
        assert (every[key] == every[key][:, :1]).all()
        which = [
            [i for i in range(3) if (every[key][n, 0] == plain[key][n, i]).all()] for n in range(64)
        ]
        assert {tuple(w) for w in which} == {(0,), (1,), (2,)}
    with pytest.raises(OptionError, match="single_band_share"):
        batch(1.5)

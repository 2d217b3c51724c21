"""What the source hides stays hidden, block by block; what it shows has no ring from there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

from monai_sr.formats.raster.writer import RasterWriter
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.transforms import Provenance, RestoreStoredd, ScaleToUnitd, load_image
from tests.image_factory import NORTH_UP, pixels, write_raster

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def upscale(source, target, scale=4):
    """Enlarge through mapping, bicubic network, restoring and writer; return what is stored."""
    data = ScaleToUnitd("image")({"image": load_image(source)})
    network = create_generator("bicubic", in_channels=1, scale=scale)
    data["pred"] = TiledInferer(scale)(data["image"][None], network)[0]
    result = RestoreStoredd("pred", Provenance("natural_sr", "no.pt", scale, 0))(data)["pred"]
    writer = RasterWriter()
    writer.set_data_array(result)
    writer.set_metadata(result.meta)
    writer.write(target)
    with warnings.catch_warnings(), rasterio.open(target) as dst:
        warnings.simplefilter("ignore")
        return dst.read()


def blocks(array, scale=4):
    return np.repeat(np.repeat(array, scale, axis=-2), scale, axis=-1)


def flat_with_a_hidden_half(dtype="uint8"):
    array = np.full((4, 8, 9), 100, dtype=dtype)
    array[:3, :, :4] = 255
    array[3] = 255
    array[3, :, :4] = 0
    return array


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_hidden_color_does_not_ring_into_what_is_shown(tmp_path, name):
    array = flat_with_a_hidden_half()
    options = {"photometric": "RGB", "alpha": "YES"} if name == "a.tif" else {}
    options |= {"lossless": True, "exact": 1} if name == "a.webp" else {}
    source = write_raster(tmp_path / name, array, **options)
    result = upscale(source, tmp_path / "b.png")
    assert (result[3] == blocks(array[3])).all()
    assert (result[:3][:, result[3] == 255] == 100).all()


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("shown", [0.0, 0.5, 1.0])
def test_binary_alpha_is_enlarged_by_blocks(tmp_path, shown):
    array = pixels((4, 9, 8))
    array[3] = 255 * (np.random.default_rng(1).random((9, 8)) < shown)
    source = write_raster(tmp_path / "a.png", array)
    result = upscale(source, tmp_path / "b.png")
    assert (result[3] == blocks(array[3])).all()


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_smooth_alpha_is_enlarged_smoothly(tmp_path):
    array = pixels((4, 9, 8))
    array[3] = np.linspace(10, 240, 8).astype(np.uint8)
    result = upscale(write_raster(tmp_path / "a.png", array), tmp_path / "b.png")
    assert len(np.unique(result[3])) > 8


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_transparent_color_of_a_png_stays_transparent(tmp_path):
    array = np.full((8, 9, 3), 100, dtype=np.uint8)
    array[:, :4] = (1, 2, 3)
    Image.fromarray(array).save(tmp_path / "a.png", transparency=(1, 2, 3))
    result = upscale(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == "RGBA"
        assert "transparency" not in image.info
        assert "NODATA_VALUES" not in image.text
    assert (result[3] == blocks(255 * (array[..., 0] != 1))).all()
    assert (result[:3, :, 16:] == 100).all()


@pytest.mark.parametrize(("dtype", "invalid"), [("uint8", 0), ("int16", -9), ("float32", -9999)])
def test_an_invalid_color_of_a_tiff_is_a_mask_in_the_result(tmp_path, dtype, invalid):
    array = np.full((3, 8, 9), 100, dtype=dtype)
    array[:, :, :4] = invalid
    source = write_raster(
        tmp_path / "a.tif", array, transform=NORTH_UP, colorinterp=RGB,
        tags={"NODATA_VALUES": f"{invalid} {invalid} {invalid}"}, descriptions=("r", "g", "b"),
    )  # fmt: skip
    with rasterio.open(source, "r+") as dst:
        dst.scales = (1e-4,) * 3
    upscale(source, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as dst:
        valid = blocks(array[0] != invalid)
        assert ((dst.dataset_mask() > 0) == valid).all()
        assert (dst.read()[:, valid] == 100).all()
        assert dst.scales == (1e-4,) * 3
        assert dst.descriptions == ("r", "g", "b")
        assert dst.colorinterp == RGB


@pytest.mark.parametrize("internal", [True, False])
def test_mask_of_a_geotiff_is_kept_and_nothing_rings_out_of_it(tmp_path, internal):
    array, mask = np.full((3, 8, 9), 100, dtype=np.uint8), np.ones((8, 9), dtype=bool)
    mask[:, :4] = False
    array[:, ~mask] = 255
    source = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, photometric="RGB")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(source, "r+") as dst:
        dst.write_mask(mask)
    result = upscale(source, tmp_path / "out" / "b.tif")
    assert (result[:, blocks(mask)] == 100).all()
    with rasterio.open(tmp_path / "out" / "b.tif") as dst:
        assert ((dst.dataset_mask() > 0) == blocks(mask)).all()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.tif"]


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_alpha_and_mask_are_turned_with_the_photo(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    array = pixels((6, 9, 4))
    array[..., 3] = 255 * (pixels((6, 9)) > 100)
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    result = upscale(tmp_path / "a.png", tmp_path / "b.png", 2)
    assert (result[3] == blocks(np.rot90(array[..., 3], -1), 2)).all()


def test_scene_with_alpha_keeps_it_as_such(tmp_path):
    array = np.concatenate([pixels((4, 8, 9), "uint16"), np.full((1, 8, 9), 65535, np.uint16)])
    array[4, 2:5, 3:6] = 0
    colors = [ColorInterp.gray, *[ColorInterp.undefined] * 3, ColorInterp.alpha]
    source = write_raster(
        tmp_path / "a.tif", array, transform=NORTH_UP, crs="EPSG:32633", colorinterp=colors
    )
    result = upscale(source, tmp_path / "b.tif")
    assert (result[4] == blocks(array[4])).all()
    with rasterio.open(tmp_path / "b.tif") as dst:
        assert dst.colorinterp[4] == ColorInterp.alpha

"""What belongs to an older result goes with it, and nothing else does."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from monai_sr.formats import replacing
from monai_sr.upscaling import FileUpscaler
from tests.image_factory import NORTH_UP, ROTATED_POLE, pixels, write_raster
from tests.network_factory import tiny_bundle

BESIDE = (
    "a.tif.aux.xml", "a.tif.msk", "a.tif.msk.ovr", "a.tif.ovr", "a_uncertainty.tif",
    "a_uncertainty.tif.aux.xml", "a_SCL.tif", "a_SCL.tif.ovr", "a_report.html",
    "a.tfw", "a.tifw", "a.wld",
    "a.tab", "a_RPC.TXT", "a.RPB", "a.IMD", "a.tif.vat.dbf",
)  # fmt: skip
OTHERS = ("a.pgw", "a.jgw", "a.prj", "b.tif.msk", "b_uncertainty.tif", "a_b.tif", "a.txt")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


def names(folder):
    return {path.name for path in folder.iterdir()}


def fill(folder, *files):
    for name in files:
        (folder / name).write_bytes(b"older")


def test_what_belongs_to_a_replaced_result_goes_and_nothing_else(tmp_path):
    fill(tmp_path, "a.tif", *BESIDE, *OTHERS)
    with replacing(tmp_path / "a.tif"):
        assert names(tmp_path) == {"a.tif", *BESIDE, *OTHERS}
    assert names(tmp_path) == {"a.tif", *OTHERS}


def test_where_there_is_no_older_result_nothing_named_like_its_own_goes(tmp_path):
    others = [name for name in BESIDE if not name.startswith("a.tif.")]
    fill(tmp_path, *others)
    with replacing(tmp_path / "a.tif"):
        fill(tmp_path, "a.tif")
    assert names(tmp_path) == {"a.tif", *others}


def test_a_result_without_maps_takes_none_away(tmp_path):
    fill(tmp_path, "a.tif", "a.tif.ovr", "a_SCL.tif", "a_uncertainty.tif", "a_report.html")
    with replacing(tmp_path / "a.tif", has_maps=False):
        pass
    assert names(tmp_path) == {"a.tif", "a_SCL.tif", "a_uncertainty.tif", "a_report.html"}


def test_what_comes_with_the_new_result_stays(tmp_path):
    fill(tmp_path, "a.tif", *BESIDE)
    with replacing(tmp_path / "a.tif"):
        (tmp_path / "new").write_bytes(b"newer")
        (tmp_path / "new").replace(tmp_path / "a_uncertainty.tif")
    assert names(tmp_path) == {"a.tif", "a_uncertainty.tif"}


def test_a_failure_leaves_the_older_result_whole(tmp_path):
    fill(tmp_path, "a.tif", *BESIDE)
    with pytest.raises(OSError, match="full"), replacing(tmp_path / "a.tif"):
        raise OSError("full")
    assert names(tmp_path) == {"a.tif", *BESIDE}


def test_what_images_of_one_stem_may_share_stays(tmp_path):
    fill(tmp_path, "a.tif", "a.jpg", "a.wld", "a_uncertainty.tif", "a_report.html", "a.tif.ovr")
    with replacing(tmp_path / "a.tif"):
        pass
    assert names(tmp_path) == {"a.tif", "a.jpg", "a.wld", "a_uncertainty.tif", "a_report.html"}


def test_a_world_file_without_an_older_result_is_somebody_elses(tmp_path):
    fill(tmp_path, "a.tfw", "a.tif.msk")
    with replacing(tmp_path / "a.tif"):
        pass
    assert names(tmp_path) == {"a.tfw"}


def test_maps_that_are_folders_go_as_a_whole(tmp_path):
    for name in ("a.ome.zarr", "a_uncertainty.ome.zarr"):
        (tmp_path / name / "0").mkdir(parents=True)
    with replacing(tmp_path / "a.ome.zarr"):
        pass
    assert names(tmp_path) == {"a.ome.zarr"}


def add_mask_and_overviews(path):
    """Add what GDAL's tools add beside a file: half is masked, overviews are of these pixels."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dst:
        mask = np.full(dst.shape, 255, dtype=np.uint8)
        mask[: dst.height // 2] = 0
        dst.write_mask(mask)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dst:
        dst.build_overviews([2])


@pytest.mark.parametrize("options", [{}, {"scene_limit": 0}, {"kind": "label", "scene_limit": 0}])
def test_a_new_result_has_no_mask_and_no_overviews_of_the_one_before(bundle, tmp_path, options):
    upscaler = FileUpscaler(bundle, scale=2, device="cpu", **options)
    source, out = tmp_path / "a.tif", tmp_path / "out"
    values = pixels((3, 12, 10), seed=1)
    write_raster(source, values, crs="EPSG:32633", transform=NORTH_UP)
    upscaler.upscale_all(source, out)
    result = out / "a_x2.tif"
    add_mask_and_overviews(result)
    (out / "a_x2.tif.aux.xml").write_text("<PAMDataset/>")
    assert len(names(out)) == 6
    write_raster(source, 255 - values, crs="EPSG:32633", transform=NORTH_UP)
    upscaler.upscale_all(source, out)
    assert names(out) == {"a_x2.tif", "monai_sr_manifest.csv"}
    with rasterio.open(result) as dst:
        assert (dst.dataset_mask() == 255).all()
        assert dst.overviews(1) == []
        again = dst.read()
    shutil.rmtree(out)
    upscaler.upscale_all(source, out)
    with rasterio.open(result) as dst:
        np.testing.assert_array_equal(dst.read(), again)


def test_facts_and_maps_beside_an_older_result_go_where_the_new_one_has_none(tmp_path):
    with_map = FileUpscaler("natural_sr", scale=2, device="cpu", uncertainty=True, runtime="torch")
    without = FileUpscaler(system="bicubic", scale=2, device="cpu")
    source, out = tmp_path / "a.tif", tmp_path / "out"
    values = pixels((3, 12, 10), seed=1)
    rotated = CRS.from_wkt(ROTATED_POLE)
    write_raster(source, values, crs=rotated, transform=NORTH_UP)
    with_map.upscale_all(source, out)
    files = {"a_x2.tif", "a_x2_uncertainty.tif", "monai_sr_manifest.csv"}
    assert files | {"a_x2.tif.aux.xml"} <= names(out)
    source.unlink()
    (tmp_path / "a.tif.aux.xml").unlink(missing_ok=True)
    write_raster(source, values, crs="EPSG:32633", transform=NORTH_UP)
    with_map.upscale_all(source, out)
    assert names(out) == files
    without.upscale_all(source, out)
    assert names(out) == files - {"a_x2_uncertainty.tif"}


def test_a_world_file_beside_an_older_picture_gives_the_new_one_no_place(bundle, tmp_path):
    upscaler = FileUpscaler(bundle, scale=2, device="cpu")
    source = write_raster(tmp_path / "a.png", pixels((3, 12, 10)))
    upscaler.upscale_all(source, tmp_path / "out")
    (tmp_path / "out" / "a_x2.pgw").write_text("30\n0\n0\n-30\n500000\n4600000\n")
    upscaler.upscale_all(source, tmp_path / "out")
    assert names(tmp_path / "out") == {"a_x2.png", "monai_sr_manifest.csv"}

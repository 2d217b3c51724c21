"""A run enlarges each resolution of a Sentinel-2 product, and its classes by blocks beside it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import rasterio

from monai_sr.cli.main import main
from monai_sr.formats.sentinel2.classes import LEGEND
from monai_sr.transforms import LoadImageSRd
from monai_sr.upscaling import FileDataset
from monai_sr.upscaling.manifest import Manifest
from tests.image_factory import write_raster
from tests.network_factory import tiny_bundle
from tests.sentinel2_factory import band_file, stored, write_product, write_zip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


def upscale(source, out, bundle, *options):
    words = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--device", "cpu"]
    return main([*words, *options])


def names(data, out):
    return [item["output"] for item in FileDataset(data, LoadImageSRd("image"), out, 4).data]


def test_a_product_is_three_inputs_named_after_it(tmp_path):
    product = write_product(tmp_path)
    expected = [str(tmp_path / "out" / f"{product.stem}_{r}m_x4.tif") for r in (10, 20, 60)]
    assert names(product, tmp_path / "out") == expected
    assert names(product / "MTD_MSIL2A.xml", tmp_path / "out") == expected
    assert names(write_zip(product), tmp_path / "out") == expected


def test_a_folder_run_finds_products_and_not_their_parts(tmp_path):
    scenes = tmp_path / "scenes"
    (scenes / "2023").mkdir(parents=True)
    product = write_product(scenes / "2023")
    write_zip(write_product(scenes, level="1C")).rename(scenes / "packed.zip")
    write_raster(scenes / "a.tif")
    made = names(scenes, tmp_path / "out")
    stems = {str(n).removeprefix(f"{tmp_path / 'out'}/") for n in made}
    other = next(scenes.glob("*.SAFE")).stem
    assert stems == {
        "a_x4.tif",
        *(f"2023/{product.stem}_{r}m_x4.tif" for r in (10, 20, 60)),
        *(f"{other}_{r}m_x4.tif" for r in (10, 20, 60)),
        *(f"packed_{r}m_x4.tif" for r in (10, 20, 60)),
    }


@pytest.mark.parametrize("scale", [2, 3])
def test_results_keep_reflectance_holes_and_classes(tmp_path, bundle, scale):
    product = write_product(tmp_path)
    out = tmp_path / "out"
    assert upscale(write_zip(product), out, bundle, "--scale", str(scale)) == 0
    for resolution, bands in ((10, ("B04", "B03", "B02", "B08")), (60, ("B01", "B09"))):
        with rasterio.open(out / f"{product.stem}_{resolution}m_x{scale}.tif") as dataset:
            values = stored(product, bands, resolution)
            assert dataset.descriptions == bands
            assert dataset.dtypes[0] == "uint16"
            assert dataset.scales == pytest.approx((1e-4,) * len(bands))
            assert dataset.offsets == pytest.approx((-0.1,) * len(bands))
            assert dataset.tags()["PROCESSING_BASELINE"] == "05.09"
            hole = (values == 0).repeat(scale, 1).repeat(scale, 2)
            assert np.array_equal(dataset.read() == 0, hole)
            with rasterio.open(band_file(product, bands[0], resolution)) as band:
                assert dataset.bounds == pytest.approx(band.bounds)
    with rasterio.open(out / f"{product.stem}_20m_x{scale}_SCL.tif") as dataset:
        blocks = stored(product, ("SCL",), 20).repeat(scale, 1).repeat(scale, 2)
        assert np.array_equal(dataset.read(), blocks)
        assert dataset.colormap(1)[6] == (0, 0, 255, 255)
        assert dataset.tags(1)["CLASS_6"] == "water"
        assert len(LEGEND) == 12
        with rasterio.open(out / f"{product.stem}_20m_x{scale}.tif") as result:
            assert (dataset.bounds, dataset.crs) == (result.bounds, result.crs)
    assert {f.name for f in out.iterdir()} == {
        *(f"{product.stem}_{r}m_x{scale}.tif" for r in (10, 20, 60)),
        f"{product.stem}_20m_x{scale}_SCL.tif", Manifest.name,
    }  # fmt: skip


def test_classes_between_two_scales_are_those_of_the_covering_pixel(tmp_path, bundle):
    product = write_product(tmp_path)
    assert upscale(product, tmp_path / "out", bundle, "--scale", "2.5") == 0
    with rasterio.open(tmp_path / "out" / f"{product.stem}_20m_x2.5_SCL.tif") as dataset:
        classes = stored(product, ("SCL",), 20)[0]
        # The center of pixel i lies at (i + 1/2) / 2.5 pixels of the source.
        rows, columns = (((2 * np.arange(n) + 1) // 5) for n in dataset.shape)
        assert np.array_equal(dataset.read(1), classes[np.ix_(rows, columns)])


def test_damage_is_reported_for_each_resolution_and_the_rest_is_done(tmp_path, bundle, caplog):
    product = write_product(tmp_path)
    band_file(product, "B08", 10).unlink()
    cut = band_file(product, "B05", 20)
    cut.write_bytes(cut.read_bytes()[:-300])
    assert upscale(product, tmp_path / "out", bundle, "--scale", "2") == 2
    with (tmp_path / "out" / Manifest.name).open() as stream:
        errors = {row["source"].rpartition(":")[2]: row["error"] for row in csv.DictReader(stream)}
    assert "got no B08 of 10 m; download the product again" in errors["10m"]
    assert errors["20m"].startswith(f"{product}:20m: must be a complete raster image")
    assert errors["60m"] == ""
    assert not list((tmp_path / "out").glob("*_20m*"))


@pytest.mark.parametrize(
    "options", [(), ("--scene_limit", "0"), ("--scene_limit", "0", "--kind", "label")],
    ids=["memory", "windows", "codes"],
)  # fmt: skip
def test_a_result_and_its_classes_appear_together_or_not_at_all(tmp_path, bundle, options):
    product, out = write_product(tmp_path), tmp_path / "out"
    assert upscale(product, out, bundle, "--scale", "2", *options) == 0
    before = {f.name: f.read_bytes() for f in out.glob("*_20m*")}
    assert {name.rpartition("_20m_")[2] for name in before} == {"x2.tif", "x2_SCL.tif"}
    cut = band_file(product, "SCL", 20)
    cut.write_bytes(cut.read_bytes()[:-100])
    assert upscale(product, out, bundle, "--scale", "2", *options) == 2
    assert {f.name: f.read_bytes() for f in out.glob("*_20m*")} == before
    out = tmp_path / "anew"
    assert upscale(product, out, bundle, "--scale", "2", *options) == 2
    assert not [*out.glob("*_20m*"), *out.glob(".*")]
    with (out / Manifest.name).open() as stream:
        errors = {row["source"].rpartition(":")[2]: row["error"] for row in csv.DictReader(stream)}
    assert errors["20m"].startswith(f"{cut}: must be a whole image of scene classes")
    assert (errors["10m"], errors["60m"]) == ("", "")


def test_a_damaged_product_in_a_folder_is_one_error(tmp_path, bundle, capsys):
    scenes = tmp_path / "scenes"
    product = write_product(scenes)
    (product / "MTD_MSIL2A.xml").unlink()
    assert upscale(scenes, tmp_path / "out", bundle) == 2
    assert "must hold MTD_MSIL1C.xml or MTD_MSIL2A.xml" in capsys.readouterr().err


def test_results_in_the_input_folder_are_no_inputs_of_the_next_run(tmp_path, bundle):
    product = write_product(tmp_path)
    assert upscale(tmp_path, tmp_path, bundle, "--scale", "2") == 0
    made = [f"{product.stem}_{r}m_x2.tif" for r in (10, 20, 60)]
    again = FileDataset(tmp_path, LoadImageSRd("image"), tmp_path, 2).data
    assert [item["output"] for item in again] == [str(tmp_path / name) for name in made]


def test_products_of_one_name_in_two_folders_stay_apart(tmp_path):
    first = write_product(tmp_path / "a")
    second = write_product(tmp_path / "b")
    edited = band_file(second, "B02", 10)
    edited.write_bytes(band_file(second, "B08", 10).read_bytes())
    dataset = FileDataset(tmp_path, LoadImageSRd("image"), tmp_path / "out", 4)
    samples = {item["origin"]: dataset[i] for i, item in enumerate(dataset.data)}
    for product in (first, second):
        path = samples[f"{product}:10m"]["image"].meta["filename_or_obj"]
        with rasterio.open(path) as dataset_of_it:
            assert np.array_equal(dataset_of_it.read(3), stored(product, ("B02",), 10)[0])

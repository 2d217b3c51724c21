from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.private_folder import is_private, make_private_folder
from monai_sr.formats import RasterReader
from monai_sr.formats.naming import output_suffix
from monai_sr.formats.raster.open import LINKED_FILES, gdal_options, made_folder, open_raster
from monai_sr.formats.raster.source import RasterSource
from monai_sr.formats.sentinel2.metadata import open_product
from monai_sr.formats.sentinel2.product import write_vrt
from monai_sr.transforms import load_image
from monai_sr.upscaling.temporary import Aliases, Archives
from tests.hostile_factory import attacks, harmless, image, source, vrt
from tests.image_factory import write_raster
from tests.sentinel2_factory import write_product

NAMES = list(attacks(Path("s.tif"), Path("v"), ""))


@pytest.fixture(scope="module")
def server():
    """Serve nothing, and remember who asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "home").mkdir()
    image(tmp_path / "home" / "secret.tif")
    (tmp_path / "home" / "victim").write_text("mine")
    (tmp_path / "mail" / "in").mkdir(parents=True)
    return tmp_path / "home", tmp_path / "mail" / "in"


def _read(path):
    """Do with an input what a run does, but for the network."""
    if path.suffix in (".SAFE", ".zip"):
        product = open_product(path)
        for resolution in (10, 20):
            path = write_vrt(product, resolution, made_folder(make_private_folder(), "a"))
            RasterReader().read(path)
        return None
    output_suffix(path)
    with RasterSource(path) as raster:
        raster.dataset.overviews(1)
        raster.warn()
        return raster.read()


@pytest.mark.parametrize("name", NAMES)
def test_no_input_reaches_what_the_user_did_not_name(name, elsewhere, server):
    home, folder = elsewhere
    url, asked = server
    path = attacks(home / "secret.tif", home / "victim", url)[name](folder)
    asked.clear()
    with pytest.raises(BadImageError) as caught:
        _read(path)
    assert "\n" not in str(caught.value)
    assert asked == []
    assert (home / "victim").read_text() == "mine"
    assert sorted(p.name for p in home.iterdir()) == ["secret.tif", "victim"]


@pytest.mark.parametrize("name", list(harmless("")))
def test_what_can_be_read_without_other_files_is(name, tmp_path, server, caplog):
    url, asked = server
    path = harmless(url)[name](tmp_path)
    asked.clear()
    with caplog.at_level(logging.WARNING):
        read = _read(path)
    assert asked == []
    expected = np.arange(576, dtype=np.uint8).reshape(1, 24, 24)
    np.testing.assert_array_equal(read.pixels, expected)
    if name.startswith("pam"):
        assert "a.tif.aux.xml: names overviews in another file and is left out" in caplog.text
        with open_raster(path) as dataset:
            assert "OVERVIEWS" not in dataset.tag_namespaces()
            assert dataset.crs == "EPSG:32633"


def test_files_elsewhere_are_read_by_leave_of_the_user(elsewhere, monkeypatch):
    home, folder = elsewhere
    (folder / "a.vrt").write_text(vrt(source(home / "secret.tif")))
    with pytest.raises(BadImageError, match="--linked_files anywhere"):
        load_image(folder / "a.vrt")
    monkeypatch.setenv(LINKED_FILES, "anywhere")
    assert load_image(folder / "a.vrt").shape == (1, 24, 24)
    assert "GDAL_HTTP_TIMEOUT" in gdal_options("scene.tif")
    monkeypatch.setenv(LINKED_FILES, "maybe")
    with pytest.raises(OptionError, match="folder or anywhere, got 'maybe'"):
        load_image(folder / "a.vrt")


def test_reader_opens_with_a_driver_of_the_list_alone(tmp_path):
    image(tmp_path / "a.tif")
    with open_raster(tmp_path / "a.tif", driver="GTiff") as dataset:
        assert dataset.driver == "GTiff"
    with pytest.raises(rasterio.errors.RasterioIOError):
        open_raster(tmp_path / "a.tif", driver=["WMS", "PNG"])


def test_vrts_that_gdal_writes_are_read(tmp_path):
    image(tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif", "r+") as dst:
        dst.update_tags(ns="xml:XMP", **{"xml:XMP": "<x:m xmlns:x='u'><x:f a='1'/></x:m>"})
        dst.update_tags(1, STATISTICS_MEAN="3")
        dst.write_colormap(1, {i: (i, 255 - i, 0, 255) for i in range(256)})
    rasterio.shutil.copy(tmp_path / "b.tif", tmp_path / "a.vrt", driver="VRT")
    assert RasterReader().read(tmp_path / "a.vrt").pixels.shape == (3, 24, 24)


def test_hidden_names_and_zips_trust_no_vrt(elsewhere):
    home, folder = elsewhere
    (folder / "a.vrt").write_text(vrt(source(home / "secret.tif")))
    aliases = Aliases({folder / "a.vrt": [folder / "a.vrt"]})
    (linked,) = aliases.found
    assert is_private(linked.parent)
    with pytest.raises(BadImageError, match="of its own folder only"):
        open_raster(linked)
    copied = make_private_folder() / "a.vrt"  # as where there are no links
    copied.write_bytes((folder / "a.vrt").read_bytes())
    with pytest.raises(BadImageError, match="of its own folder only"):
        open_raster(copied)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "a.vrt", "made_by_monai_sr/x/a.vrt")
    archives = Archives()
    unpacked = archives.unpack(folder / "a.zip")
    with pytest.raises(BadImageError, match="of its own folder only"):
        open_raster(next(unpacked.rglob("a.vrt")))


def test_private_folders_are_known_again(tmp_path):
    folder = make_private_folder()
    assert is_private(folder)
    assert is_private(folder / "below")
    assert not is_private(tmp_path)
    os.chmod(folder, 0o755)
    assert not is_private(folder)
    folder.rmdir()


def test_product_whose_band_is_no_jpeg_2000_says_so(tmp_path):
    product = write_product(tmp_path)
    band = next(product.rglob("*_B04_10m.jp2"))
    band.unlink()
    write_raster(band, np.zeros((1, 48, 36), np.uint16), driver="PNG")
    with pytest.raises(BadImageError, match="B04 must be a JPEG 2000 image"):
        write_vrt(open_product(product), 10, make_private_folder())


def test_cases_of_the_first_release_contact_nobody(request, monkeypatch):
    folder = Path(__file__).resolve().parents[3] / "shared" / "cases" / "security"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases: they are not part of the project")
    opened = []
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(BadImageError):
            _read(path)
            opened.append(path.name)
    assert opened == ["side_ovr.tif"]


def test_all_rasters_are_opened_in_one_place(repo_root):
    """Results are written by rasterio itself; nothing else may read through it."""
    reads = re.compile(
        r"rasterio\.open\(\s*[\w.]+\)|Image\.open\((?!.*formats=)|(?:DatasetReader|AnyText)\((?!DatasetReader)|memory\.open\(\)"
    )
    found = {f.name for f in (repo_root / "monai_sr").rglob("*.py") if reads.search(f.read_text())}
    assert found == {"open.py"}


@pytest.mark.parametrize(
    ("name", "form"), [("brain.MGZ", "NIfTI"), ("scene.xyz", "GeoTIFF or PNG")]
)
def test_what_nothing_reads_is_to_be_converted_to_what_holds_its_voxel_sizes(tmp_path, name, form):
    path = tmp_path / name
    path.write_bytes(b"no image")
    for read in (RasterReader().read, output_suffix):
        with pytest.raises(BadImageError, match=rf"damaged file; convert it to {form}\."):
            read(path)

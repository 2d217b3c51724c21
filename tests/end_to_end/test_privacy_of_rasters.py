"""Markers in every text of photos, rasters and NIfTI show up nowhere after de-identification."""

from __future__ import annotations

import csv
import tempfile

import nibabel as nib
import numpy as np
import pytest
import rasterio
from nibabel.nifti1 import Nifti1Extension
from PIL import Image, ImageCms, PngImagePlugin
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin

from monai_sr.cli.main import main
from monai_sr.upscaling.manifest import Manifest
from tests.network_factory import tiny_bundle

MARK = "QZXMARKER"
NOISE = np.random.default_rng(0).integers(0, 255, (24, 20, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


def photo(path):
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x013C, 0x8298, 0x9C9B, 0x9C9D):
        exif[tag] = MARK
    inner = exif.get_ifd(0x8769)
    inner.update({0xA430: MARK, 0xA431: MARK, 0xA435: MARK, 0x9003: MARK, 0x927C: MARK.encode()})
    inner[0x9286] = b"ASCII\0\0\0" + MARK.encode()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 4711.0), 0x1D: MARK})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a b='{MARK}'/></x:xmpmeta>".encode()
    Image.fromarray(NOISE).save(
        path, exif=exif, comment=MARK, xmp=xmp, icc_profile=profile.tobytes(), quality=95
    )


def drawing(path):
    info = PngImagePlugin.PngInfo()
    for key in ("Author", "Comment", "Title", MARK):
        info.add_text(key, MARK)
    info.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{MARK}</x:xmpmeta>")
    Image.fromarray(NOISE).save(path, pnginfo=info)


def scene(path):
    with rasterio.open(
        path, "w", driver="GTiff", width=20, height=24, count=3, dtype="uint16", nodata=0,
        crs="EPSG:32633", transform=from_origin(500000, 5000000, 10, 10),
    ) as dst:  # fmt: skip
        dst.write(NOISE.transpose(2, 0, 1).astype("uint16") * 40 + 1)
        dst.update_tags(
            TIFFTAG_ARTIST=MARK, TIFFTAG_HOSTCOMPUTER=MARK, TIFFTAG_DOCUMENTNAME=MARK,
            TIFFTAG_COPYRIGHT=MARK, TIFFTAG_DATETIME=MARK, TIFFTAG_IMAGEDESCRIPTION=MARK,
            AREA_OR_POINT="Area", ACQUIRED_BY=MARK,
        )  # fmt: skip
        dst.update_tags(ns="IMAGERY", SATELLITEID=MARK)
        dst.update_tags(ns=MARK, anything=MARK)
        dst.update_tags(
            ns="xml:XMP", **{"<x:xmpmeta xmlns:x": f"'adobe:ns:meta/'>{MARK}</x:xmpmeta>"}
        )
        for band, name in enumerate(("B08", MARK, "red"), start=1):
            dst.update_tags(band, note=MARK)
            dst.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.842", OWNER=MARK)
            dst.set_band_description(band, name)
        dst.units = ("m", MARK, "reflectance")
        dst.scales = (0.5, 0.5, 0.5)


def classes(path):
    with rasterio.open(
        path, "w", driver="GTiff", width=20, height=24, count=1, dtype="uint8", crs="EPSG:3857",
        transform=from_origin(9, 9, 2, 2),
    ) as dst:  # fmt: skip
        dst.write(np.kron(np.eye(4, dtype=np.uint8), np.ones((6, 5), np.uint8))[None])
        dst.set_band_description(1, "landcover")
    path.with_name(f"{path.name}.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><CategoryNames>"
        f"<Category>{MARK}</Category><Category>{MARK}</Category></CategoryNames></PAMRasterBand>"
        f"<Metadata><MDI key='note'>{MARK}</MDI></Metadata></PAMDataset>"
    )


def points(path):
    gcps = [
        GroundControlPoint(row, col, 10 + col / 100, 50 - row / 100, 0, id=MARK, info=MARK)
        for row in (0, 24) for col in (0, 20)
    ]  # fmt: skip
    with rasterio.open(
        path, "w", driver="GTiff", width=20, height=24, count=1, dtype="uint8", gcps=gcps,
        crs="EPSG:4326",
    ) as dst:  # fmt: skip
        dst.write(NOISE[None, :, :, 0])


def volume(path, kind=nib.Nifti1Image):
    image = kind(NOISE.astype(np.int16) * 9, np.diag([1.0, 1, 3, 1]))
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type", "unused_str"):
        if name in image.header:
            image.header[name] = MARK.encode()
    for code in (4, 6, 44):
        image.header.extensions.append(Nifti1Extension(code, f'{{"name": "{MARK}"}}'.encode()))
    image.to_filename(path)


MAKERS = {
    "photo.jpg": photo, "drawing.png": drawing, "scene.tif": scene, "classes.tif": classes,
    "points.tif": points, "brain.nii.gz": volume, "brain.nii": volume, "pair.hdr": None,
    "second.nii": lambda path: volume(path, nib.Nifti2Image),
}  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--scene_limit", "0"]], ids=str)
def test_no_marker_is_left_anywhere(bundle, tmp_path, monkeypatch, capfd, caplog, options):
    folder = tmp_path / f"in_{MARK}"
    folder.mkdir()
    for name, make in MAKERS.items():
        if make is None:
            pair = nib.Nifti1Pair(NOISE.astype(np.int16), np.eye(4))
            pair.header["descrip"] = pair.header["aux_file"] = MARK.encode()
            pair.to_filename(folder / f"{MARK}_{name}")
        else:
            make(folder / f"{MARK}_{name}")
    planted = [f.name for f in folder.iterdir() if MARK.encode() in f.read_bytes()]
    assert len(planted) >= 7  # others are compressed
    places = {name: tmp_path / name for name in ("out", "temporary", "home")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places["temporary"]))
    monkeypatch.setenv("HOME", str(places["home"]))
    command = ["upscale", str(folder), "-o", str(places["out"]), "--bundle", str(bundle)]
    report = [] if "--scene_limit" in options else ["--report"]
    done = main([*command, "--scale", "2", "--deidentify", *report, *options])
    told = "".join(capfd.readouterr()) + caplog.text
    assert done == 0, told
    assert MARK not in told
    assert "monai_sr_" not in told.replace(Manifest.name, "")
    for path in (p for place in places.values() for p in place.rglob("*")):
        assert MARK not in path.name
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = nib.openers.Opener(path).read()
        assert MARK.encode() not in content, path
    check_what_stays(places["out"], len(MAKERS))


def check_what_stays(out, count):
    with (out / Manifest.name).open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == count
    scenes = []
    for file in out.glob("*_x2.tif"):
        with rasterio.open(file) as src:
            text = str([src.tags(), src.descriptions, *[src.tags(i, ns=d) for i in src.indexes
                        for d in src.tag_namespaces(i)]])  # fmt: skip
            assert MARK not in text
            if src.count == 3:
                scenes.append(file)
                assert src.descriptions == ("B08", None, "red")
                assert src.units == ("m", None, "reflectance")
                assert src.scales == (0.5, 0.5, 0.5)
                assert src.nodata == 0
                assert src.transform == from_origin(500000, 5000000, 5, 5)
                assert src.crs.to_epsg() == 32633
                assert src.tags(1, ns="IMAGERY") == {"CENTRAL_WAVELENGTH_UM": "0.842"}
                assert "not for primary diagnosis" in src.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    assert len(scenes) == 1
    profiles = 0
    for file in out.glob("*_x2.png"):
        with Image.open(file) as image:
            profiles += "icc_profile" in image.info
    assert profiles == 1


def test_a_key_decides_on_names_and_checksums(bundle, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    drawing(folder / "a.png")
    found = []
    for key in ("1" * 32, "1" * 32, "2" * 32, None):
        out = tmp_path / f"out{len(found)}"
        command = ["upscale", str(folder), "-o", str(out), "--bundle", str(bundle), "--deidentify"]
        if key is not None:
            (tmp_path / "key").write_text(key)
            command += ["--deidentify_key", str(tmp_path / "key")]
        assert main(command) == 0
        with (out / Manifest.name).open() as stream:
            (row,) = csv.DictReader(stream)
        found.append((row["output"], row["input_sha256"]))
    assert found[0] == found[1]
    for column in zip(*found, strict=True):
        assert len(set(column)) == 3

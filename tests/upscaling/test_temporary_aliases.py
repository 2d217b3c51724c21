"""A run that de-identifies shows the old names nowhere, and finds its own results again."""

from __future__ import annotations

import csv
import hashlib
import shutil

import numpy as np
import pydicom
import pytest
from rasterio.errors import NotGeoreferencedWarning

from monai_sr.cli.main import main
from monai_sr.core import ignored_warnings
from monai_sr.formats import open_raster
from monai_sr.upscaling import FileDataset
from monai_sr.upscaling.manifest import Manifest
from monai_sr.upscaling.temporary import Aliases
from tests import dicom_factory as factory
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny_bundle

NAMES = ("Doe", "Jane", "holiday")
CAMERA = ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")
COEFFICIENTS = ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def folder(tmp_path):
    """Write a radiograph, a copy of it, a series, a damaged file and a photo, all named."""
    root = tmp_path / "in"
    plain = factory.write(root / "Doe^Jane" / "Doe_chest.dcm", modality="DX")
    shutil.copy(plain, root / "Doe_again.dcm")
    factory.write_series(root / "Doe^Jane" / "Jane_CT")
    (root / "Doe_cut.dcm").write_bytes(plain.read_bytes()[:-30])
    write_raster(root / "Jane_holiday.png", pixels((3, 5, 7)))
    (root / "Jane_link").symlink_to(root / "Doe^Jane")
    return root


def upscale(source, out, bundle, *options):
    return main(["upscale", str(source), "-o", str(out), "--bundle", str(bundle), *options])


def test_old_names_are_shown_nowhere(folder, bundle, tmp_path, capsys, caplog):
    out = tmp_path / "out"
    assert upscale(folder, out, bundle, "--scale", "2", "--deidentify") == 2
    text = "".join(capsys.readouterr()) + caplog.text + (out / Manifest.name).read_text()
    text += "".join(str(p.relative_to(out)) for p in out.rglob("*"))
    assert not [name for name in NAMES if name in text]
    assert "copy the file again" in text
    assert "monai_sr_" not in text.replace(Manifest.name, "")  # nor the folder of the links
    for path in out.rglob("*.dcm"):
        assert not any(secret.encode() in path.read_bytes() for secret in factory.SECRETS[:2])


def test_results_are_named_by_their_content(folder, bundle, tmp_path):
    out = tmp_path / "out"
    upscale(folder, out, bundle, "--scale", "2", "--deidentify")
    content = (folder / "Doe_again.dcm").read_bytes()
    stem = hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()[:12]
    found = sorted(p.name for p in out.iterdir())
    assert f"{stem}_x2.dcm" in found
    assert len(found) == 4  # the copy runs once
    with (out / Manifest.name).open() as stream:
        rows = {row["source"]: row["output"] for row in csv.DictReader(stream)}
    assert rows[f"{stem}.dcm"] == f"{stem}_x2.dcm"
    (series,) = (p for p in out.iterdir() if p.is_dir())
    slices = [pydicom.dcmread(p) for p in sorted(series.iterdir())]
    assert len(slices) == 4
    assert len({s.SeriesInstanceUID for s in slices}) == 1


def test_a_rerun_finds_its_own_results(folder, bundle, tmp_path):
    for _ in range(2):
        upscale(folder, tmp_path / "out", bundle, "--scale", "2", "--deidentify")
        found = sorted(p.name for p in (tmp_path / "out").rglob("*"))
    assert len(found) == 1 + 1 + 1 + 5  # manifest, photo, radiograph, folder of four slices


def test_the_links_are_removed_with_the_data_set(folder, tmp_path):
    data = FileDataset(folder, dict, tmp_path / "out", 2, deidentify=True)
    links = data._aliases.folder
    assert len(list(links.iterdir())) == 4
    del data
    assert not links.exists()
    assert (folder / "Doe_again.dcm").exists()


def test_equal_contents_have_aliases_of_their_own(tmp_path):
    for name in ("Doe1", "Doe2"):
        (tmp_path / name).write_bytes(b"the same")
    aliases = Aliases({path: [path] for path in sorted(tmp_path.iterdir())})
    first, second = (path.name for path in aliases.found)
    assert second == f"{first}_2"


def test_compression_goes_through_the_command(bundle, tmp_path):
    source = factory.write(tmp_path / "a.dcm", factory.stored((40, 36)), modality="DX")
    for kind in ("none", "jpegls"):
        assert upscale(source, tmp_path / kind, bundle, "--compression", kind) == 0
    plain, packed = (pydicom.dcmread(tmp_path / k / "a_x4.dcm") for k in ("none", "jpegls"))
    assert packed.file_meta.TransferSyntaxUID.name == "JPEG-LS Lossless Image Compression"
    np.testing.assert_array_equal(packed.pixel_array, plain.pixel_array)


def test_an_unknown_compression_is_one_line(bundle, tmp_path, capsys):
    source = factory.write(tmp_path / "a.dcm", modality="DX")
    assert upscale(source, tmp_path / "out", bundle, "--compression", "zip") == 2
    assert capsys.readouterr().err.endswith("known: jpeg2000, jpegls, none, rle\n")
    assert not (tmp_path / "out").exists()


def test_maps_beside_their_sources_are_no_inputs_of_the_next_run(bundle, tmp_path):
    write_raster(tmp_path / "a.png", pixels((3, 5, 7)))
    assert upscale(tmp_path, tmp_path, bundle, "--scale", "2") == 0
    write_raster(tmp_path / "a_x2_uncertainty.tif", pixels((3, 10, 14)))
    data = FileDataset(tmp_path, dict, tmp_path, 2)
    assert [item["origin"] for item in data.data] == [str(tmp_path / "a.png")]


def test_a_camera_model_beside_a_scene_is_found_by_its_alias(tmp_path):
    scene = write_raster(tmp_path / "Doe.tif", pixels((1, 5, 7)))
    offsets = (f"{each}_{kind}: 5" for each in CAMERA for kind in ("OFF", "SCALE"))
    terms = (f"{n}_COEFF_{i}: 1" for n in COEFFICIENTS for i in range(1, 21))
    (tmp_path / "Doe_RPC.TXT").write_text("\n".join([*offsets, *terms]))
    aliases = Aliases({scene: [scene]})
    (alias,) = aliases.found
    with ignored_warnings(NotGeoreferencedWarning), open_raster(alias) as dataset:
        assert "Doe" not in " ".join(dataset.files)
        assert dataset.rpcs is not None
        assert (dataset.rpcs.line_off, dataset.rpcs.lat_scale) == (5, 5)

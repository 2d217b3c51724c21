"""A file that ends too early, whoever writes it, is one line; nothing has its name or a record.

A limit of file sizes stands for a full disk: both refuse a write in the middle of a file.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_sr.cli.main import main
from monai_sr.core.errors import OutputError
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.formats.sentinel2.classes import with_classes
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.full_disk import at_most
from tests.image_factory import NORTH_UP, write_nifti, write_raster
from tests.network_factory import tiny_bundle

# Of the largest file: the record of a run, of some 600 bytes, fits; no result of these does.
SHARE, LEAST_BYTES = 0.6, 2000
NOISE = np.random.default_rng(0).integers(0, 256, (4, 40, 60), np.uint8)
MAP = ("--uncertainty", "True")
WINDOWS = ("--scene_limit", "0")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A tiny bundle whose weights the factors of uncertainty are said to be fitted for."""
    folder = tiny_bundle(tmp_path_factory.mktemp("bundles"))
    file = folder / "configs" / "metadata.json"
    content = json.loads(file.read_text())
    content["uncertainty"]["weights_sha256"] = weights_sha256(folder / "models" / "model.pt")
    file.write_text(json.dumps(content))
    return folder


def tif(folder):
    return write_raster(folder / "a.tif", NOISE[:3], transform=NORTH_UP, crs="EPSG:32633")


def png(folder):
    return write_raster(folder / "a.png", NOISE[:3])


def nifti(folder):
    return write_nifti(folder / "a.nii", NOISE[..., None][0])


def packed_nifti(folder):
    return write_nifti(folder / "a.nii.gz", NOISE[..., None][0])


def dicom(folder):
    return dicom_factory.write(folder / "a.dcm", NOISE[0], bits=8)


def series(folder):
    volume = NOISE.astype(np.uint16)
    return dicom_factory.write_series(folder / "a", volume, bits=8)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (tif, ()),
        (tif, WINDOWS),
        (tif, ("--cog", "True")),
        (tif, (*WINDOWS, "--kind", "label")),
        (tif, MAP),
        (png, ()),
        (png, WINDOWS),
        (nifti, ()),
        (nifti, MAP),
        (packed_nifti, ()),
        (dicom, ()),
        (dicom, ("--compression", "rle")),
        (series, ()),
        (series, ("--deidentify", "True")),
    ],
    ids=lambda value: value.__name__ if callable(value) else "_".join(value).replace("--", ""),
)
def test_a_result_that_ends_too_early_is_one_line_and_leaves_nothing(
    make, options, bundle, tmp_path, capsys
):
    def run(name):
        words = ["upscale", str(source), "-o", str(tmp_path / name), "--bundle", str(bundle)]
        code = main([*words, "--scale", "2", "--device", "cpu", *options])
        return code, capsys.readouterr().err.splitlines()

    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    assert run("whole") == (0, [])
    whole = [f for f in (tmp_path / "whole").rglob("*") if f.is_file()]
    largest = max(f.stat().st_size for f in whole if f.name != Manifest.name)
    with at_most(max(int(SHARE * largest), LEAST_BYTES)):
        code, said = run("cut")
    assert code == 2
    assert len(said) == 1, said
    assert said[0].startswith(f"monai-sr: error: {tmp_path / 'cut'}/")
    assert "cannot be written" in said[0] or "must " in said[0]
    assert "Traceback" not in said[0]
    left = {f.name for f in (tmp_path / "cut").iterdir() if not f.name.endswith(".parts")}
    assert left == {Manifest.name}
    (row,) = Manifest(tmp_path / "cut").rows.values()
    assert (row["output"], row["output_sha256"]) == ("", "")
    assert row["error"] == said[0].removeprefix("monai-sr: error: ")
    # Room again: the same command ends as if nothing had happened.
    assert run("cut") == (0, [])
    again = {f.relative_to(tmp_path / "cut") for f in (tmp_path / "cut").rglob("*") if f.is_file()}
    assert again == {f.relative_to(tmp_path / "whole") for f in whole}


@pytest.mark.parametrize("make", [tif, dicom])
def test_a_page_that_ends_too_early_leaves_the_new_result(make, bundle, tmp_path, capsys):
    source, out = make(tmp_path), tmp_path / "out"
    words = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--scale", "2"]
    assert main([*words, "--consistency", "0"]) == 0
    (result,) = out.glob("a_x2.*")
    older = result.read_bytes()
    assert main([*words, "--report"]) == 0
    (page,), newer = out.glob("*.html"), result.read_bytes()
    whole = page.read_bytes()
    assert newer != older
    assert main([*words, "--consistency", "0"]) == 0
    assert (result.read_bytes(), page.exists()) == (older, False)
    capsys.readouterr()
    with at_most(len(whole) - 1):
        assert main([*words, "--report", "--skip_done"]) == 2
    said = capsys.readouterr().err.removeprefix("monai-sr: error: ").strip()
    assert f"{result}: is whole, but has no page: {page}: cannot be written" in said
    assert "\n" not in said
    assert result.read_bytes() == newer
    assert {f.name for f in out.iterdir()} == {result.name, Manifest.name}
    (row,) = Manifest(out).rows.values()
    assert (row["output"], row["output_sha256"], row["error"]) == (result.name, "", said)
    assert main([*words, "--report", "--skip_done"]) == 0
    assert page.read_bytes() == whole


def test_a_map_that_ends_too_early_takes_its_result_along(tmp_path, bundle):
    source, out = tif(tmp_path), tmp_path / "out"
    words = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--scale", "2", *MAP]
    assert main(words) == 0
    sizes = {f.name: f.stat().st_size for f in out.glob("*.tif")}
    (small, large) = sorted(sizes.values())
    assert sizes["a_x2.tif"] == small
    for name in sizes:
        (out / name).unlink()
    with at_most((small + large) // 2):
        assert main(words) == 2
    assert {f.name for f in out.iterdir()} == {Manifest.name}


def test_classes_that_end_too_early_take_their_result_along(tmp_path):
    place = {"crs": "EPSG:32633", "transform": NORTH_UP}
    classes = write_raster(tmp_path / "scl.tif", NOISE[:1] % 12, **place)
    result = tmp_path / "out" / "a.tif"

    def write():
        with at_most(1000), with_classes(result, str(classes)) as where:
            write_raster(where, NOISE[:1, :4, :4], **place)

    with pytest.raises(OutputError, match=r"out/a_SCL\.tif: .*free space"):
        write()
    assert not result.parent.exists()


def test_a_record_that_ends_too_early_leaves_the_one_before(tmp_path):
    record = Manifest(tmp_path)
    record.add(source="a.png", output="a_x2.png")
    record.save()
    before = record.path.read_bytes()
    record.add(source="b.png", output="b_x2.png")
    said = r"monai_sr_manifest\.csv: cannot be written"
    with at_most(150), pytest.raises(OutputError, match=said):
        record.save()
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [before]

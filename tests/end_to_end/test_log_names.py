"""The log of a run names inputs as users know them, each guess once, and no temporary place."""

from __future__ import annotations

import tempfile
import zipfile

import numpy as np
import pytest

from monai_sr.cli.main import main
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle
from tests.sentinel2_factory import write_product

INFINITE = "infinite pixels are taken as holes"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def run(bundle, tmp_path, capsys, monkeypatch):
    """Enlarge an input; return the lines that are said."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def upscale(source, *options):
        words = ["upscale", str(source), "-o", str(tmp_path / "out"), "--bundle", str(bundle)]
        main([*words, "--scale", "2", "--device", "cpu", *options])
        said = capsys.readouterr()
        assert "temporary" not in said.out + said.err
        return (said.out + said.err).splitlines()

    return upscale


def write_doubtful(path):
    """Write a raster of which a run says that it has infinite pixels, in two tiles."""
    values = np.linspace(0, 1, 3 * 300 * 20, dtype=np.float32).reshape(3, 300, 20)
    values[0, 5, 5], values[1, 290, 9] = np.inf, -np.inf
    return write_raster(path, values, crs="EPSG:32633", transform=NORTH_UP)


def write_gap(folder):
    """Write a series of which a slice is missing."""
    return [
        dicom_factory.write(
            folder / f"doe_{number}.dcm",
            ImagePositionPatient=[0, 0, number],
            ImageOrientationPatient=list(dicom_factory.AXIAL),
            InstanceNumber=number,
        )
        for number in (1, 2, 3, 5)
    ]


@pytest.mark.parametrize("options", [(), ("--scene_limit", "0")], ids=["memory", "windows"])
def test_a_guess_is_said_once(run, tmp_path, options):
    source = write_doubtful(tmp_path / "a.tif")
    beside = "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>b.ovr</MDI>"
    source.with_name("a.tif.aux.xml").write_text(f"{beside}</Metadata></PAMDataset>")
    said = run(source, *options)
    assert [line for line in said if INFINITE in line] == [f"{source}: {INFINITE}, like NaN"]
    assert sum("names overviews in another file" in line for line in said) == 1


@pytest.mark.parametrize("options", [(), ("--scene_limit", "0")], ids=["memory", "windows"])
def test_members_of_an_archive_go_by_its_name(run, tmp_path, options):
    write_doubtful(tmp_path / "a.tif")
    write_nifti(tmp_path / "v.nii.gz", pixels((6, 5, 4), "int16"), xyzt_units=0)
    slices = [file.name for file in write_gap(tmp_path)]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for name in ("a.tif", "v.nii.gz", "broken.png", *slices):
            archive.write(tmp_path / name, f"in/{name}")
    said = run(tmp_path / "study.zip", *options)
    inside = f"{tmp_path / 'study.zip'}/in"
    assert f"{inside}/a.tif: {INFINITE}, like NaN" in said
    assert any(
        line.startswith(f"{inside}/doe_1.dcm: ") and "slices are missing" in line for line in said
    )
    assert any(line.startswith(f"monai-sr: error: {inside}/broken.png: ") for line in said)


def test_parts_of_a_product_go_by_its_name(run, tmp_path):
    product = write_product(tmp_path, level="1C")
    said = run(product, "--window", "1", "1", "900", "900")
    for resolution in (10, 20, 60):
        assert any(f"{product}/{product.stem}_{resolution}m.vrt: window" in line for line in said)


def test_inputs_that_are_deidentified_go_by_their_aliases(run, tmp_path):
    write_gap(tmp_path)
    said = "\n".join(run(tmp_path, "--deidentify", "True"))
    assert "slices are missing" in said
    assert "doe" not in said

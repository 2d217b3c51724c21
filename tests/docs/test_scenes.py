"""docs/how-to/scenes.md is true: its commands run, with a tiny network, and give what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from monai_sr.cli import main as cli
from tests.docs.pages import sections
from tests.network_factory import tiny_bundle
from tests.scene_factory import contents, smooth, write_scene

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "scenes.md"
SECTIONS = sections(PAGE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return a bundle of the page's name with a tiny network."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


def run(command, bundle, folder, *more):
    """Run a command of the page where scene.tif is."""
    program, *arguments = command.split()
    assert program == "monai-sr"
    return cli.main([*arguments, "--bundle", str(bundle), "--device", "cpu", *more])


def test_the_commands_of_the_page_run_and_agree(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "scene.tif", array=smooth((3, 120, 200)))
    (whole,) = SECTIONS[""][0].commands
    assert run(whole, bundle, tmp_path, "--scene_limit", "0.5") == 0
    pixels = contents(tmp_path / "out" / "scene_x4.tif")["pixels"]
    window, bbox = SECTIONS["A part"][0].commands
    assert run(window, bundle, tmp_path) == 0
    part = contents(tmp_path / "out" / "scene_x4_at_100_40_60_50.tif")["pixels"]
    np.testing.assert_array_equal(part, pixels[:, 160:360, 400:640])
    assert run(bbox, bundle, tmp_path) == 0
    part = contents(tmp_path / "out" / "scene_x4_at_100_50_50_50.tif")["pixels"]
    np.testing.assert_array_equal(part, pixels[:, 200:400, 400:600])
    (cog,) = SECTIONS["Cloud-optimized GeoTIFF"][0].commands
    assert run(cog, bundle, tmp_path) == 0
    with rasterio.open(tmp_path / "out" / "scene_x4.tif") as dst:
        assert dst.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        np.testing.assert_array_equal(dst.read(), pixels)
    rows = (tmp_path / "out" / "monai_sr_manifest.csv").read_text().splitlines()
    assert len(rows) == 4
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "monai_sr_manifest.csv", "scene_x4.tif", "scene_x4_at_100_40_60_50.tif",
        "scene_x4_at_100_50_50_50.tif",
    ]  # fmt: skip


def test_the_python_of_the_page_runs(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_scene(tmp_path / "scene.tif", array=smooth((3, 120, 200)))
    (block,) = (block for block in SECTIONS["Limits"] if block.kind == "python")
    exec(block.text.replace('"natural_sr"', repr(str(bundle))), {})
    assert "part_at_100_40_60_50.tif (3, 120, 100)" in capsys.readouterr().out

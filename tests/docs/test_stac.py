"""docs/how-to/stac.md is true: its commands run against a server on loopback."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import rasterio

from monai_sr.cli import main as cli
from tests.catalogs.stac_items import write_item
from tests.docs.pages import sections
from tests.network_factory import tiny_bundle
from tests.scene_factory import write_scene
from tests.web import serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "stac.md"
SECTIONS = sections(PAGE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work where item.json is, beside a server of the same files at $URL."""
    monkeypatch.chdir(tmp_path)
    write_item(tmp_path)
    write_scene(tmp_path / "scene.tif", (3, 90, 80), driver="COG")
    with serving() as web:
        web.files.update({f"/{f.name}": f.read_bytes() for f in tmp_path.iterdir()})
        monkeypatch.setenv("URL", web.url)
        yield tmp_path


def run(command, folder, url):
    program, *arguments = shlex.split(command.replace("$URL", url))
    assert program == "monai-sr"
    bundle = folder / "natural_sr"
    bundle = bundle if bundle.exists() else tiny_bundle(folder)
    return cli.main([*arguments, "--bundle", str(bundle), "--device", "cpu"])


def test_the_commands_of_the_page_run(folder, monkeypatch):
    import os

    url = os.environ["URL"]
    (window,) = SECTIONS["Addresses"][0].commands
    assert run(window, folder, url) == 0
    with rasterio.open(folder / "out" / "scene_x4_at_0_0_64_64.tif") as dst:
        assert dst.shape == (256, 256)
    near, far, _ = SECTIONS["Items"]
    assert run(near.commands[0], folder, url) == 0
    made = folder / "out" / "S2A_31UFT_x4" / "S2A_31UFT_x4.json"
    assert sorted(json.loads(made.read_text())["assets"]) == ["B03-B02", "B04"]
    assert run(far.commands[0], folder, url) == 0
    again = folder / "far" / "S2A_31UFT_x4" / "S2A_31UFT_x4.json"
    asset = json.loads(again.read_text())["assets"]["B04"]
    assert asset == json.loads(made.read_text())["assets"]["B04"]


@pytest.mark.slow
def test_the_python_of_the_page_runs(folder, capsys):
    exec(compile(SECTIONS["Items"][2].text, str(PAGE), "exec"), {})
    assert "S2A_31UFT_x2.json" in capsys.readouterr().out


def test_the_schemes_of_the_page_are_those_of_the_code():
    from monai_sr.core.address import _ARCHIVES, _SCHEMES

    text = PAGE.read_text()
    for spelling in ("/vsicurl/", *_SCHEMES, *_ARCHIVES):
        assert f"`{spelling}`" in text

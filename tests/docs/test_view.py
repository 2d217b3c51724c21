"""docs/how-to/view.md is true: its commands serve what it says, from the files that they name."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from monai_sr.cli.view import VIEW
from monai_sr.core import UPSCALE
from monai_sr.viewer import ViewServer
from tests.docs.pages import run, sections
from tests.image_factory import NORTH_UP, write_raster
from tests.scene_factory import smooth

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "view.md"
SECTIONS = sections(PAGE)


@pytest.fixture
def seen(monkeypatch, tmp_path):
    """Serve until the result is there, then stop as Ctrl-C does; return what was seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    serving, found = ViewServer.serve_forever, []

    def serve(server):
        threading.Thread(target=lambda: serving(server, 0.05), daemon=True).start()
        while True:
            with urllib.request.urlopen(f"{server.address}state", timeout=20) as answer:
                state = json.load(answer)
            if state["phase"] != "computing":
                break
            time.sleep(0.05)
        found.append(state)
        server.shutdown()
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewServer, "serve_forever", serve)
    return found


def titles(state):
    return [layer["title"] for layer in state["layers"]]


@pytest.mark.slow
def test_the_commands_of_the_page_show_what_it_says(seen, tmp_path):
    shutil.copy(ROOT / "samples" / "xray_sr" / "chest_xray_dx.dcm", tmp_path / "chest.dcm")
    array = smooth((3, 120, 160))
    write_raster(tmp_path / "scene.tif", array, transform=NORTH_UP, crs="EPSG:32614")
    run(SECTIONS[""][0], str)
    run(SECTIONS["Options"][0], str)
    chest, there, part = seen
    assert {state["phase"] for state in seen} == {"done"}
    assert titles(chest) == ["Input", "Bicubic", "Result", "Agreement"]
    assert dict(chest["facts"])["Model"] == "xray_sr"
    assert dict(there["facts"])["Size"] == "160 x 120, 3 bands to 640 x 480, 3 bands"
    assert there["place"]["crs"] == "EPSG:32614"
    assert part["size"] == [100, 80]
    assert part["layers"][2]["size"] == [200, 160]


def test_the_options_of_the_page_are_those_of_the_command():
    text = PAGE.read_text(encoding="utf-8")
    own = {option.name for option in VIEW} - {option.name for option in UPSCALE}
    assert own == {"result", "port", "no_browser"}
    for name in (*own, "deidentify_key"):
        assert f"`--{name}" in text.replace("no-browser", "no_browser")


def test_the_picture_is_small_and_of_its_own_script():
    with Image.open(ROOT / "docs" / "view.webp") as picture:
        assert picture.format == "WEBP"
        assert picture.width <= 1280
    assert (ROOT / "docs" / "view.webp").stat().st_size < 150_000

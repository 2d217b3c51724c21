"""The page in a browser: one place for all layers, slices, values, keys; nothing from elsewhere.

Needs ``pip install playwright`` and a Chromium on the path; skipped where either lacks.
"""

from __future__ import annotations

import json
import re
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio

from monai_sr.viewer import View, ViewServer
from tests.dicom_factory import SECRETS, write_series
from tests.image_factory import NORTH_UP, write_raster
from tests.viewer.factory import doubled, made_of

pytestmark = pytest.mark.slow

CANVAS = "document.querySelectorAll('#stage figure > canvas')"
SECONDS = 60


@pytest.fixture
def open_page(browser):
    """Serve a view and open its page; afterwards nothing was said and no other host was asked."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said, asked, ends = [], [], []
    # The browser's advice on how to read pixels back, which only this test does.
    advice = "Canvas2D: Multiple readback"
    page.on("console", lambda m: None if m.text.startswith(advice) else said.append(m.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(urlsplit(request.url)))

    def opened(view):
        server = ViewServer(view)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        ends.append((view, server, thread))
        page.goto(server.address)
        return page

    yield opened
    page.set_viewport_size({"width": 360, "height": 740})  # a phone
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
    (view, server, thread) = ends[0]
    server.shutdown()
    thread.join()
    server.server_close()
    view.close()
    assert said == []
    hosts = {place.netloc for place in asked if place.scheme != "data"}
    assert hosts == {f"127.0.0.1:{server.server_port}"}


def until(page, expression):
    """Wait until an expression holds; the page's policy forbids the browser's own waiting."""
    end = time.monotonic() + SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def settle(page, count):
    """Wait until so many pictures are drawn whole."""
    until(
        page,
        f"{CANVAS}.length === {count} && [...{CANVAS}].every((c) => c.dataset.whole === 'true')",
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def places(page):
    return [
        json.loads(text) for text in page.evaluate(f"[...{CANVAS}].map((c) => c.dataset.place)")
    ]


def color(page, number, x, y):
    """Return the color that a picture has at a place of the input, as the browser drew it."""
    x0, y0, x1, y1 = places(page)[number]
    script = f"""([u, v]) => {{ const c = {CANVAS}[{number}];
      const at = [Math.floor(u * c.width), Math.floor(v * c.height), 1, 1];
      return [...c.getContext("2d").getImageData(...at).data]; }}"""
    return page.evaluate(script, [(x - x0) / (x1 - x0), (y - y0) / (y1 - y0)])


def told(page, layer):
    """Return the values that the page tells of a layer."""
    cell = f"document.querySelector('#values td[data-layer={layer}]')"
    until(page, f"{cell} !== null")
    return page.evaluate(f"{cell}.textContent")


def test_a_scene_is_zoomed_at_one_place_in_all_layers(open_page, tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(1, 255, (3, 300, 420), dtype=np.uint8)
    path = write_raster(tmp_path / "a.tif", array, transform=NORTH_UP, crs="EPSG:32614")
    view = View(path)
    page = open_page(view)
    settle(page, 1)  # the input alone, while the result is computed
    assert page.inner_text("#state").startswith("The result is being computed")
    view.run(made_of(doubled(tmp_path / "b.tif", array, transform=NORTH_UP)))
    settle(page, 4)
    assert "not for primary diagnosis" in page.inner_text("header")
    told(page, "agreement")  # now the page has its final shape
    settle(page, 4)
    box = page.locator("#stage figure > canvas").nth(2).bounding_box()
    x, y = round(box["x"] + 0.7 * box["width"]), round(box["y"] + 0.3 * box["height"])
    share = (x - box["x"]) / box["width"], (y - box["y"]) / box["height"]

    def under_cursor(place):
        return [place[i] + share[i] * (place[i + 2] - place[i]) for i in (0, 1)]

    page.mouse.move(x, y)
    before = places(page)[2]
    for _ in range(14):
        page.mouse.wheel(0, -100)
    settle(page, 4)
    after = places(page)
    assert all(place == pytest.approx(after[0], abs=0.01) for place in after)
    assert (before[2] - before[0]) / (after[2][2] - after[2][0]) == pytest.approx(1.25**14, 0.01)
    # The place under the cursor stays under it, but for half a pixel of the screen.
    at = under_cursor(after[2])
    screen_pixel = (before[2] - before[0]) / box["width"]
    assert under_cursor(before) == pytest.approx(at, abs=screen_pixel / 2)
    # The page tells that place, what is drawn there are its stored values, and so is what it says.
    text = page.inner_text("#place")
    column, row = map(int, re.findall(r"Column (\d+), row (\d+) of the input", text)[0])
    assert [column + 0.5, row + 0.5] == pytest.approx(at, abs=0.6)
    values = array[:, row, column].tolist()
    for layer in (0, 2):
        assert color(page, layer, column + 0.5, row + 0.5) == [*values, 255]
    cell = "document.querySelector('#values td[data-layer=input]')"
    until(page, f"{cell}.textContent === '{', '.join(map(str, values))}'")
    with rasterio.open(path) as dataset:
        east, north = dataset.transform * at
    numbers = [float(word) for word in text.partition("Map: ")[2].split(" (")[0].split(", ")]
    assert numbers == pytest.approx([east, north], abs=0.1 * 30)  # a tenth of a pixel of 30 m
    assert "EPSG:32614" in text


def test_keys_zoom_move_fit_and_blink(open_page, tmp_path):
    array = np.random.default_rng(0).integers(1, 255, (1, 60, 90), dtype=np.uint8)
    view = View(write_raster(tmp_path / "a.tif", array))
    view.run(made_of(doubled(tmp_path / "b.tif", 255 - array)))
    page = open_page(view)
    settle(page, 4)
    whole = places(page)[0]
    page.focus("#stage")
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    settle(page, 4)
    moved = places(page)
    assert (whole[2] - whole[0]) / (moved[0][2] - moved[0][0]) == pytest.approx(1.25**2)
    assert sum(moved[0][::2]) > sum(whole[::2])
    assert moved[0] == pytest.approx(moved[3], abs=0.01)
    box = page.locator("#stage figure > canvas").first.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 20, steps=4)
    page.mouse.up()
    settle(page, 4)
    dragged = places(page)[3]
    pixel = (dragged[2] - dragged[0]) / box["width"]
    steps = [moved[0][0] - dragged[0], moved[0][1] - dragged[1]]
    assert steps == pytest.approx([40 * pixel, 20 * pixel], abs=pixel)
    page.keyboard.press("0")
    settle(page, 4)
    assert places(page)[0] == pytest.approx(whole, abs=0.01)
    page.keyboard.press("b")
    settle(page, 1)
    page.select_option("#first", "input")
    settle(page, 1)
    first = color(page, 0, 30.5, 20.5)[0]
    page.focus("#stage")
    page.keyboard.press("b")
    settle(page, 1)
    second = color(page, 0, 30.5, 20.5)[0]
    assert (first, second) == (array[0, 20, 30], 255 - array[0, 20, 30])
    page.click("[data-mode=swipe]")
    settle(page, 1)
    assert color(page, 0, 30.5, 20.5)[0] == first  # left of the line
    assert color(page, 0, 60.5, 20.5)[0] == 255 - array[0, 20, 60]


def test_slices_of_a_dicom_series_go_by_slider_and_keys(open_page, tmp_path):
    volume = np.random.default_rng(0).integers(0, 4000, (5, 30, 40)).astype(np.uint16)
    window = {"WindowCenter": 2000, "WindowWidth": 4000}
    source = write_series(tmp_path / "Doe", volume, **window)
    large = volume.repeat(2, 1).repeat(2, 2)
    result = write_series(tmp_path / "Doe_x2", large, PixelSpacing=[0.35, 0.2], **window)
    view = View(source)
    view.run(made_of(result))
    page = open_page(view)
    settle(page, 4)
    assert page.inner_text("#number") == "3 of 5"
    seen = []
    for number, key in enumerate(("ArrowUp", "ArrowRight"), 4):
        page.focus("#stage")
        page.keyboard.press(key)
        settle(page, 4)
        until(page, f"document.querySelector('#number').textContent === '{number} of 5'")
        seen.append([color(page, layer, 12.5, 8.5)[0] for layer in (0, 2)])
    page.fill("#slice", "0")
    settle(page, 4)
    seen.append([color(page, layer, 12.5, 8.5)[0] for layer in (0, 2)])
    assert all(lr == sr for lr, sr in seen)  # the result's slice is the input's
    grays = volume[:, 8, 12] / 4000 * 255
    ways = ([3, 4, 0], [1, 0, 4])  # files may be counted from either end
    assert any(np.allclose([s[0] for s in seen], grays[way], atol=1.5) for way in ways)
    # The table of the file gives way to black and white as they are typed.
    page.fill("#low", "0")
    page.fill("#high", "1")
    page.keyboard.press("Enter")
    settle(page, 4)
    assert color(page, 0, 12.5, 8.5)[0] == 255
    everything = page.content()
    assert not [secret for secret in (*SECRETS, "Doe") if secret in everything]
    assert page.title() == "monai-sr view"


def test_a_failure_is_told_on_the_page(open_page, tmp_path):
    view = View(write_raster(tmp_path / "a.tif"))

    def fail(source, folder):
        raise MemoryError

    view.run(fail)
    page = open_page(view)
    settle(page, 1)
    assert page.inner_text("#state").startswith("No result: ")
    assert page.is_disabled("[data-mode=swipe]")

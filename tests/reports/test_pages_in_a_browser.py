"""Pages work in a browser by keys alone, without a message on its console.

Needs ``pip install playwright`` and a Chromium on the path; skipped where either lacks.
"""

from __future__ import annotations

import csv

import pytest

from monai_sr.cli.main import main
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny_bundle
from tests.reports.test_evaluation import write_results

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    assert said == []
    opened.set_viewport_size({"width": 360, "height": 740})  # a phone
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    opened.close()


def property_of(page, selector, name):
    return page.evaluate(
        "([s, n]) => document.querySelector(s).style.getPropertyValue(n)", [selector, name]
    )


def test_a_slider_moves_by_arrow_keys_and_colors_change(page, tmp_path):
    bundle = tiny_bundle(tmp_path)
    source = write_raster(tmp_path / "a.png", pixels((3, 20, 30)))
    command = ["upscale", str(source), "-o", str(tmp_path), "--bundle", str(bundle), "--report"]
    assert main([*command, "--scale", "2"]) == 0
    page.goto((tmp_path / "a_x2_report.html").as_uri())
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.type"))
    assert names == ["theme", "pixels", "range"]
    page.keyboard.press("ArrowRight")
    assert property_of(page, ".slider", "--cut") == "51%"
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_crops_of_an_image_move_together(page, tmp_path):
    pytest.importorskip("matplotlib")
    write_results(tmp_path)
    main(["report", str(tmp_path)])
    page.goto((tmp_path / "report.html").as_uri())
    page.focus(".tiles")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    moved = page.evaluate(
        "[...document.querySelector('.tiles').querySelectorAll('img')]"
        ".map((i) => new DOMMatrix(getComputedStyle(i).transform)).map((m) => [m.a, m.e, m.f])"
    )
    zoom, right, down = moved[0]
    assert zoom == 2
    assert right > 1
    assert down == 0
    # Widths of tiles differ by fractions of a pixel.
    assert all(one == pytest.approx(moved[0], abs=0.1) for one in moved)
    page.select_option(".order", "name")
    order = page.evaluate("[...document.querySelectorAll('.image')].map((i) => i.dataset.name)")
    assert order == sorted(order)


def test_a_click_zooms_where_it_falls(page, tmp_path):
    pytest.importorskip("matplotlib")
    write_results(tmp_path)
    main(["report", str(tmp_path)])
    page.goto((tmp_path / "report.html").as_uri())
    page.evaluate("document.querySelector('.tiles').scrollIntoView()")
    corner = page.locator(".tile").first.bounding_box()
    left, top, side = corner["x"], corner["y"], corner["width"]

    def drawn(image):
        """Where the browser draws a crop, in widths of its tile."""
        box = page.locator(".tile img").nth(image).bounding_box()
        tile = page.locator(".tile").nth(image).bounding_box()
        return [(box[k] - tile[k]) / tile["width"] for k in ("x", "y")] + [
            box["width"] / tile["width"]
        ]

    page.mouse.click(left + 0.75 * side, top + 0.25 * side)
    for image in (0, 2):
        assert drawn(image) == pytest.approx([-0.75, -0.25, 2], abs=0.02)
    page.keyboard.down("Shift")
    page.mouse.click(left + 0.5 * side, top + 0.5 * side)
    page.keyboard.up("Shift")
    assert drawn(0) == pytest.approx([0, 0, 1], abs=0.02)
    page.mouse.click(left + 0.5 * side, top + 0.5 * side)
    page.mouse.move(left + 0.5 * side, top + 0.5 * side)
    page.mouse.down()
    page.mouse.move(left + 0.6 * side, top + 0.5 * side, steps=5)
    page.mouse.up()
    assert drawn(0) == pytest.approx([-0.4, -0.5, 2], abs=0.02)  # dragged, not zoomed


def test_answers_are_kept_and_exported(page, tmp_path):
    for seed, system in enumerate("ab"):
        (tmp_path / system).mkdir()
        for i in range(3):
            image = pixels((3, 20, 30), seed=10 * seed + i)
            write_raster(tmp_path / system / f"{i}.png", image)
    out = tmp_path / "page"
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(out)])
    page.goto((out / "index.html").as_uri())
    page.wait_for_function("[...document.images].every((i) => i.naturalWidth)")
    page.fill("#reader", 'Dr "X", 1')
    page.keyboard.press("Tab")
    for key in "120b":
        page.keyboard.press(key)
    page.reload()
    assert page.inner_text("#state") == "Pair 3 of 3"
    page.keyboard.press("d")
    assert page.inner_text("#state").startswith("All 3 pairs are judged")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["choice"] for row in rows] == ["left", "right", "right"]
    assert {row["reader"] for row in rows} == {'Dr "X", 1'}
    command = ["compare-scores", str(tmp_path / "answers.csv")]
    assert main([*command, "--key", str(tmp_path / "page_key.json")]) == 0

"""Take the picture of docs/how-to/view.md: ``python benchmarks/view.py`` writes docs/view.webp.

Needs ``pip install playwright`` and a Chromium on the path.
"""

from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path

from faces import save
from PIL import Image
from playwright.sync_api import sync_playwright

from monai_sr.viewer import View, ViewServer, made_by_model

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "samples" / "satellite_sr" / "naip.tif"
SIZE = {"width": 1180, "height": 800}
STEPS = 6  # of the wheel
WAIT_MS = 100


def main() -> None:
    """Write the picture."""
    view = View(SOURCE)
    view.run(made_by_model("satellite_sr", device="cpu"))
    with ViewServer(view) as server, sync_playwright() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(server.address)
        drawn = "#stage canvas[data-whole=true]"
        page.wait_for_selector(f"{drawn}[data-layer=agreement]")
        box = page.locator(drawn).first.bounding_box()
        page.mouse.move(box["x"] + 0.62 * box["width"], box["y"] + 0.4 * box["height"])
        for _ in range(STEPS):
            page.mouse.wheel(0, -100)
            page.wait_for_timeout(WAIT_MS)
        page.wait_for_selector(f"{drawn}[data-layer=agreement]")
        page.wait_for_timeout(10 * WAIT_MS)
        save(Image.open(io.BytesIO(page.screenshot())), "view.webp")
        browser.close()
        server.shutdown()
    view.close()


if __name__ == "__main__":
    main()

"""docs/how-to/model-zoo.md is true: its commands of the export run, and its table is complete."""

from __future__ import annotations

from pathlib import Path

import yaml
from PIL import Image

from monai_sr.core import find_config, list_bundles
from tests.docs.pages import run, sections, write_photos

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "model-zoo.md"


def test_the_pages_export_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos"), (24, 20))
    for block in sections(PAGE)["A bundle that runs without monai-sr"]:
        run(block, lambda command: command)
    with Image.open("out/a_x2.png") as result:
        assert result.size == (48, 40)


def test_the_table_says_of_every_bundle_whether_it_is_exported() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    for name in list_bundles():
        (row,) = [row for row in rows if f"`{name}`" in row]
        plan = yaml.safe_load(find_config("standalone", name).read_text())
        assert ("refused" in plan) == ("refused" in row)

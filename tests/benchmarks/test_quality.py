"""The script benchmarks/quality.py: rows, table, and one line on failure."""

from __future__ import annotations

import numpy as np
import pytest
import quality
from facts import Facts
from PIL import Image

from monai_sr.evaluation.benchmark import System
from monai_sr.evaluation.rows import read_rows
from monai_sr.functional.resize import upsample


@pytest.fixture
def command(tmp_path):
    """Return options that evaluate one small image, kept in a temporary folder."""
    (tmp_path / "Set5").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (24, 28, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "Set5" / "baby.png")
    return [
        "--root", str(tmp_path), "--sets", "set5", "--scales", "2", "3",
        "--results", str(tmp_path / "results"), "--output", str(tmp_path / "results.md"),
    ]  # fmt: skip


def test_script_keeps_rows_of_every_system_and_scale_and_writes_the_table(
    command, tmp_path, monkeypatch
):
    def ours(name, scale, _options):
        return System(name, upsample), Facts(system=name, domain="natural", scale=scale)

    monkeypatch.setattr(quality, "bundle_system", ours)
    assert quality.main([*command, "--bundle", "ours"]) == 0
    rows = read_rows(tmp_path / "results" / "set5.csv")
    assert [(row.scale, row.system) for row in rows] == [
        (2, "bicubic"), (2, "ours"), (3, "bicubic"), (3, "ours"),
    ]  # fmt: skip
    assert "| ours | **" in (tmp_path / "results.md").read_text()


def test_script_ends_with_one_line_and_code_two_where_images_are_missing(command, capsys):
    command[1] += "/elsewhere"
    assert quality.main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("monai-sr: error: ")

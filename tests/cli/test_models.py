"""The table of models says what metadata and measurements say."""

from __future__ import annotations

import json
import re

import pytest

from monai_sr.cli.main import main
from monai_sr.core.registry import list_bundles


@pytest.fixture(scope="module")
def listed():
    """Return what metadata say: name of a model -> its entry and figures."""
    found = {}
    for name, folder in list_bundles().items():
        content = json.loads((folder / "configs" / "metadata.json").read_text())
        for way, entry in content["models"].items():
            model = name if way == "best" else f"{name}:{way}"
            found[model] = {**entry, "figures": content["model_figures"].get(way, {})}
    return found


def test_table_has_a_line_for_each_model(listed, capsys):
    assert main(["models"]) == 0
    head, *lines = (re.split(r"  +", line) for line in capsys.readouterr().out.splitlines())
    assert head[0] == "model"
    assert {len(line) for line in lines} == {len(head)}
    assert [line[0] for line in lines] == list(listed)
    rows = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert rows["natural_sr"] == {
        "model": "natural_sr", "parameters": "673,312", "MB": "1.36", "scales": "x2, x4",
        "x4 MP/s": "2.21", "set": "Set5 x4", "PSNR": "31.79", "gain": "+3.36", "LPIPS": "0.107",
        "license": "Apache-2.0, research only",
    }  # fmt: skip
    # What was not measured is not invented.
    for name in (name for name, entry in listed.items() if not entry["figures"]):
        assert rows[name]["PSNR"] == rows[name]["x4 MP/s"] == "-"


def test_json_has_all_figures(listed, capsys):
    assert main(["models", "--json"]) == 0
    found = {entry.pop("model"): entry for entry in json.loads(capsys.readouterr().out)}
    assert {name: {k: v for k, v in e.items() if k != "bundle"} for name, e in found.items()} == (
        listed
    )
    sets = found["xray_sr:perceptual"]["figures"]["sets"]
    assert list(sets) == ["chest X-rays x4", "chest X-rays x2"][: len(sets)]
    own = found["xray_sr"]["figures"]["sets"]["chest X-rays x4"]
    # The trade of a perceptual model: nearer by LPIPS, farther by PSNR.
    assert sets["chest X-rays x4"]["lpips"] < own["lpips"]
    assert sets["chest X-rays x4"]["psnr"] < own["psnr"]


def test_figures_are_those_of_the_bundles_own_table(listed):
    for name, folder in list_bundles().items():
        metrics = json.loads((folder / "configs" / "metadata.json").read_text())["eval_metrics"]
        psnr = [value for key, value in metrics.items() if re.fullmatch(r"[^_]+_x\d_psnr", key)]
        assert psnr == [figure["psnr"] for figure in listed[name]["figures"]["sets"].values()]

"""The script that inserts lesions and judges the faces of bundles."""

from __future__ import annotations

import lesions as script
import numpy as np
import pytest
import torch
import yaml
from lesion_rows import FILE, LESION_TABLE
from PIL import Image
from skimage.data import camera

from monai_sr.evaluation import BICUBIC


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan of one small set, and faces that need no network."""
    content = yaml.safe_load(script.PLAN.read_text(encoding="utf-8"))
    entry = content["sets"]["xray"] | {"per_class": 1, "side_px": 240}
    entry["test"] = entry["test"] | {"passes": 1, "contrasts": [0.08, 0.32], "body": [0.05, 0.95]}
    content["sets"] = {"xray": entry}
    content["test"]["marks_per_megapixel"] = 500
    file = tmp_path / "lesions.yaml"
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(script, "PLAN", file)
    monkeypatch.setattr(script, "systems", lambda _bundle, _scale: [BICUBIC])
    for number, label in enumerate(("normal", "pneumonia", "covid19")):
        folder = tmp_path / "xray" / label
        folder.mkdir(parents=True)
        Image.fromarray(np.rot90(camera(), number)).save(folder / f"0000000{number}_000.png")
    return content


def test_the_script_measures_every_figure_on_both_inputs(plan, repo_root, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'monai-sr[plot]'")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "set5.csv").write_bytes(
        (repo_root / "benchmarks/results/set5.csv").read_bytes()
    )
    options = ["--root", str(tmp_path), "--results", str(tmp_path / "results")]
    assert script.main([*options, "--output", str(tmp_path / "results.md")]) == 0
    rows = LESION_TABLE.read(tmp_path / "results" / FILE)
    assert {(row.system, row.input) for row in rows} == {
        (system, kind) for system in ("bicubic", "reference") for kind in ("clean", "degraded")
    }
    each = [row for row in rows if (row.system, row.input) == ("bicubic", "clean")]
    assert len(each) == 3 * (2 * 3 + 4)  # three figures of each contrast, four of all
    assert {row.images for row in rows} == {3}
    assert "### xray x4, degraded input" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "lesions_xray.svg").is_file()


def test_the_middle_begins_at_a_whole_small_pixel():
    image = torch.arange(100)[:, None] * 1000 + torch.arange(60)
    cut = script.middle(image, 40, 4)
    assert cut.shape == (40, 40)
    assert cut[0, 0] == 28 * 1000 + 8
    assert script.middle(image, None, 4).shape == (100, 60)


def test_plans_degrade_by_the_middle_of_what_devices_have(repo_root):
    content = yaml.safe_load(script.PLAN.read_text(encoding="utf-8"))
    for name, domain in (("xray", "xray"), ("mr", "mr")):
        file = repo_root / "configs" / "degradations" / f"{domain}.yaml"
        stages = yaml.safe_load(file.read_text(encoding="utf-8"))["degradation"]["stages"]
        known = {stage["_target_"]: stage for stage in stages}
        for stage in content["sets"][name]["degraded"]:
            for key, value in stage.items():
                if not isinstance(value, list):
                    continue
                low, high = known[stage["_target_"]][key]
                middle = (low * high) ** 0.5 if key == "quanta" else (low + high) / 2
                assert value == [pytest.approx(middle, rel=1e-3)] * 2
        corrupt = script.sensor(content["sets"][name]["degraded"])
        lr = torch.full((1, 1, 32, 32), 0.5)
        assert not torch.equal(corrupt(lr, 1), lr)
        assert torch.equal(corrupt(lr, 1), corrupt(lr, 1))
        assert not torch.equal(corrupt(lr, 1), corrupt(lr, 2))


def test_every_face_with_weights_is_judged():
    names = [candidate.name for candidate in script.candidates("xray_sr", 4)]
    assert names[:4] == ["bicubic", "xray_sr", "xray_sr, fast", "xray_sr, perception 1"]

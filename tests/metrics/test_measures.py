"""Every measure by its name: on planes or colors as it should be, left out where it cannot be."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.cli.main import main
from monai_sr.core.errors import OptionError
from monai_sr.core.optional import import_torchvision
from monai_sr.evaluation.benchmark import BICUBIC, enlarge_image
from monai_sr.evaluation.datasets import load_benchmark
from monai_sr.evaluation.rows import read_rows
from monai_sr.functional.color import rgb_to_y
from monai_sr.functional.resize import downsample, upsample
from monai_sr.functional.ssim import ms_ssim
from monai_sr.metrics import MEASURES, find_measures, get_protocol, sam
from monai_sr.metrics.base import Comparison
from monai_sr.metrics.protocol import NATURAL

_WITH_WEIGHTS = {"lpips_alex", "lpips_vgg", "vgg"}


def _comparison(channels=3, side=180, protocol=NATURAL, *, has_width=True):
    rng = np.random.default_rng(0)
    smooth = torch.from_numpy(rng.random((1, channels, side // 6, side // 6)))
    hr = torch.nn.functional.interpolate(smooth, scale_factor=6, mode="bicubic").clamp(0, 1)
    lr = downsample(hr, 2).clamp(0, 1)
    sr = upsample(lr, 2).clamp(0, 1)
    half = torch.full_like(sr, 0.01) if has_width else None
    return Comparison(sr, hr, lr, 2, protocol, half)


def test_every_measure_has_a_figure_on_a_large_color_image():
    names = [name for name in MEASURES if name not in _WITH_WEIGHTS]
    measures, left_out = find_measures(names)
    comparison = _comparison()
    figures = {measure.name: measure(comparison) for measure in measures}
    assert left_out == {}
    assert set(figures) == set(names)
    assert [name for name, value in figures.items() if not math.isfinite(value)] == []


def test_structure_is_judged_on_luma_and_spectra_on_every_band():
    comparison = _comparison()
    stored = [(x * 255 + 0.5).floor() for x in (comparison.sr, comparison.hr)]
    planes = [rgb_to_y(x / 255)[..., 2:-2, 2:-2] * 255 for x in stored]
    expected = ms_ssim(*planes, data_range=255).item()
    assert MEASURES.get("ms_ssim")(comparison) == pytest.approx(expected, rel=1e-9)
    bands = [x[..., 2:-2, 2:-2] / 255 for x in stored]
    assert MEASURES.get("sam")(comparison) == pytest.approx(sam(*bands).item(), rel=1e-9)


def test_small_and_grey_images_lack_what_they_cannot_have():
    small = _comparison(channels=1, side=30, protocol=get_protocol("native"), has_width=False)
    figures = {m.name: m(small) for m in find_measures(["ms_ssim", "sam", "ssim", "coverage"])[0]}
    assert math.isfinite(figures["psnr"])
    assert math.isfinite(figures["ssim"])
    assert all(math.isnan(figures[name]) for name in ("ms_ssim", "sam", "coverage"))


def test_grey_images_count_as_published_figures_count_them():
    grey = _comparison(channels=1)
    planes = [
        rgb2ycbcr(np.repeat((x[0, 0].numpy() * 255 + 0.5).astype(np.uint8)[..., None], 3, 2))[
            ..., 0
        ]
        for x in (grey.sr, grey.hr)
    ]
    inner = [plane[2:-2, 2:-2] for plane in planes]
    expected = peak_signal_noise_ratio(*inner[::-1], data_range=255)
    assert MEASURES.get("psnr_y")(grey) == pytest.approx(expected, abs=1e-6)
    assert expected - MEASURES.get("psnr")(grey) == pytest.approx(
        20 * math.log10(255 / 219), abs=1e-6
    )
    color = _comparison()
    assert MEASURES.get("psnr_y")(color) == MEASURES.get("psnr")(color)


def test_the_grey_image_of_set14_is_the_one_that_its_description_names(shared_data):
    benchmark = load_benchmark("set14")
    images = benchmark.images(shared_data)
    channels = {image.name: benchmark.load(image).shape[1] for image in images}
    assert {name for name, count in channels.items() if count == 1} == benchmark.grey
    (bridge,) = (image for image in images if image.name in benchmark.grey)
    found = enlarge_image(benchmark, bridge, BICUBIC, 4)
    gain = MEASURES.get("psnr_y")(found) - MEASURES.get("psnr")(found)
    assert gain / len(images) == pytest.approx(0.0944, abs=5e-5)


def test_networks_are_loaded_from_the_given_file(tmp_path):
    torchvision = import_torchvision()
    for name, model, side in (("lpips_alex", "alexnet", 36), ("lpips_vgg", "vgg16", 24)):
        state = torchvision.models.get_model(model, weights=None).features.state_dict()
        state = {f"features.{key}": value for key, value in state.items()}
        torch.save(state, tmp_path / f"{model}.pth")
        measures, left_out = find_measures([name], {name: tmp_path / f"{model}.pth"})
        assert left_out == {}
        assert measures[-1].weights_sha256
        small = _comparison(side=side)
        assert measures[-1](small) > 0
        assert measures[-1](Comparison(small.hr, small.hr, small.lr, 2, NATURAL)) == 0


def test_a_measure_whose_weights_are_missing_is_left_out_with_the_reason(tmp_path, caplog):
    measures, left_out = find_measures(["vgg", "mse"], {"vgg": tmp_path / "none.pth"})
    assert [measure.name for measure in measures] == ["psnr", "ssim", "lr_psnr", "mse"]
    assert "none.pth" in left_out["vgg"]
    assert "vgg is left out" in caplog.text


def test_an_unknown_measure_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'ergas'"):
        find_measures(["ergass"])


MADE_UP = """
from monai_sr.metrics import Measure, register_metric
from monai_sr.metrics.base import PairMetric

@register_metric(
    Measure(name="made_up", label="made up", unit="levels", is_more_better=False, digits=3,
            about="mean absolute difference")
)
class MadeUpMetric(PairMetric):
    def _measure(self, sr, hr):
        return (sr - hr).abs().flatten(1).mean(1)
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Add a metric as anybody would: one file, and the line that imports it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "made_up_metric.py").write_text(MADE_UP)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))
    yield importlib.import_module("made_up_metric")
    sys.modules.pop("made_up_metric")


def test_a_new_metric_is_one_file_and_one_line(made_up, tmp_path):
    (tmp_path / "hr").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (24, 28, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "hr" / "a.png")
    out = tmp_path / "out"
    told = ["--measures", "made_up", "--scale", "2", "--system", "nearest", "--save_images"]
    assert main(["evaluate", "--root", str(tmp_path / "hr"), "-o", str(out), *told]) == 0
    rows = read_rows(out / "hr_x2.csv")
    assert [row.system for row in rows] == ["bicubic", "nearest"]
    for row in rows:
        files = (out / "images" / "hr_x2" / "a" / f"{name}.png" for name in (row.system, "hr"))
        luma = [rgb2ycbcr(np.asarray(Image.open(f)))[2:-2, 2:-2, 0] for f in files]
        # The pictures are of 8 bits, as the protocol rounds results.
        assert row["made_up"] == pytest.approx(np.abs(luma[0] - luma[1]).mean(), abs=1e-5)
    found = json.loads((out / "hr_x2.json").read_text())
    assert found["measures"]["made_up"] == {
        "title": "made up (levels)", "is_more_better": False, "digits": 3,
        "about": "mean absolute difference",
    }  # fmt: skip
    assert found["systems"][1]["means"]["made_up"]["images"] == 1


def test_which_figures_are_better_stands_with_the_metric_alone(repo_root):
    names = "|".join({*MEASURES, *(MEASURES.get(name).label for name in MEASURES)})
    pattern = re.compile(rf"[\"']({names})\b.*(\bTrue\b|\bFalse\b|is better|max\(|min\()")
    files = [*(repo_root / "monai_sr").rglob("*.py"), *(repo_root / "benchmarks").glob("*.py")]
    told = [
        f"{file.name}: {line.strip()}"
        for file in files
        if file.parent.name != "metrics"
        for line in file.read_text(encoding="utf-8").splitlines()
        if pattern.search(line.replace("strict=True", ""))
    ]
    assert told == []


def test_the_document_names_every_measure_with_its_direction(repo_root):
    text = (repo_root / "docs/how-to/evaluate.md").read_text(encoding="utf-8")
    words = {"higher": True, "lower": False, "neither": None, "": None}
    told = {}
    for line in text.split("## Measures")[1].splitlines():
        if line.startswith("| `"):
            _, names, _, better, _ = (cell.strip() for cell in line.split("|"))
            found = re.findall(r"`(\w+)`", names)
            directions = [words[word] for word in better.split(", ")]
            directions *= len(found) if len(directions) == 1 else 1
            told |= dict(zip(found, directions, strict=True))
    assert told == {name: MEASURES.get(name).is_more_better for name in MEASURES}

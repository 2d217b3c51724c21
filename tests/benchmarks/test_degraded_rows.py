"""Spoiled input: the noise that is added, what becomes of it, and the table."""

from __future__ import annotations

import dataclasses
import math

import degraded as script
import numpy as np
import pytest
import torch
from degraded_rows import (
    CONDITIONS,
    FILE,
    Condition,
    blur,
    degraded_section,
    judge_degraded,
    noise,
    read_degraded,
    write_degraded,
)
from PIL import Image
from skimage.data import camera
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.benchmark import BICUBIC, System
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.functional.resize import upsample
from monai_sr.metrics.protocol import NATURAL

_SIDE = 256
_CONDITIONS = (Condition("clean"), noise(5), blur(1))


@pytest.fixture
def benchmark(tmp_path):
    mild = camera()[:_SIDE, :_SIDE] // 2 + 64  # noise then meets no limit
    Image.fromarray(mild).save(tmp_path / "camera.png")
    return Benchmark("small", "Small", (".",), "*.png", NATURAL)


def _judged(benchmark, root, system=BICUBIC, conditions=_CONDITIONS, scale=2):
    rows = judge_degraded(benchmark, benchmark.images(root), system, scale, conditions)
    return {row.condition: row for row in rows}


def _repeated(lr, scale):
    return lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


def test_noise_has_the_strength_it_is_named_by_and_is_the_same_for_every_system(
    benchmark, tmp_path
):
    (image,) = benchmark.images(tmp_path)
    lr = torch.full((1, 1, 200, 200), 128 / 255, dtype=torch.float64)
    spoiled = noise(5).spoil(lr, image, benchmark)
    assert float((spoiled - lr).std() * 255) == pytest.approx(5, rel=0.02)
    assert torch.equal(spoiled * 255, (spoiled * 255).round())  # stored again in 8 bits
    assert torch.equal(spoiled, noise(5).spoil(lr, image, benchmark))


def test_repeating_pixels_passes_noise_on_and_bicubic_dampens_it(benchmark, tmp_path):
    repeated = _judged(benchmark, tmp_path, System("nearest", _repeated))
    assert repeated["noise 5"].noise_gain == pytest.approx(1, abs=1e-5)
    assert 0.7 < _judged(benchmark, tmp_path)["noise 5"].noise_gain < 1
    assert math.isnan(repeated["blur 1"].noise_gain)
    louder = System("louder", lambda lr, scale: 1.2 * _repeated(lr, scale) - 0.1)
    assert _judged(benchmark, tmp_path, louder)["noise 5"].noise_gain == pytest.approx(1.2)


def test_psnr_is_that_of_scikit_image_on_the_same_spoiled_input(benchmark, tmp_path):
    (image,) = benchmark.images(tmp_path)
    hr, lr = benchmark.load_pair(image, 2)
    rows = _judged(benchmark, tmp_path)
    for condition in _CONDITIONS:
        sr = upsample(condition.spoil(lr, image, benchmark).float(), 2)
        stored = np.floor(sr[0, 0].double().clamp(0, 1).numpy() * 255 + 0.5)[2:-2, 2:-2]
        reference = hr[0, 0].numpy()[2:-2, 2:-2] * 255
        expected = peak_signal_noise_ratio(reference, stored, data_range=255)
        assert rows[condition.name].psnr == pytest.approx(expected, abs=1e-3)
    assert rows["clean"].psnr > rows["noise 5"].psnr > 20
    assert rows["clean"].psnr > rows["blur 1"].psnr > 20


def test_rows_come_back_and_replace_their_like(benchmark, tmp_path):
    path = tmp_path / FILE
    rows = list(_judged(benchmark, tmp_path).values())
    other = [dataclasses.replace(row, system="other", psnr=1.0) for row in rows]
    write_degraded(path, [*rows, *other])
    write_degraded(path, [dataclasses.replace(row, psnr=2.0) for row in rows])
    kept = read_degraded(path)
    assert len(kept) == 2 * len(rows)
    assert {row.psnr for row in kept if row.system == "bicubic"} == {2.0}
    assert {row.psnr for row in kept if row.system == "other"} == {1.0}
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match=r"must be a table with the columns .* run benchmarks"):
        read_degraded(path)


def test_the_section_shows_means_and_marks_the_best(benchmark, tmp_path):
    rows = list(_judged(benchmark, tmp_path).values())
    better = [dataclasses.replace(row, system="better", psnr=row.psnr + 1) for row in rows]
    text = "\n".join(degraded_section([*rows, *better]))
    assert "### small x2, 1 images" in text
    assert "| system | clean | noise 5 | blur 1 |" in text
    clean, spoiled = rows[0], rows[1]
    assert f"| bicubic | {clean.psnr:.2f} | {spoiled.psnr:.2f} / {spoiled.noise_gain:.2f}" in text
    assert f"| better | **{clean.psnr + 1:.2f}**" in text


def test_the_script_measures_every_condition(repo_root, tmp_path, monkeypatch):
    monkeypatch.setitem(script.JUDGED, "set14", [("natural_sr", ["bicubic"])])
    (tmp_path / "Set14").mkdir()
    Image.fromarray(camera()[:64, :64]).save(tmp_path / "Set14" / "camera.png")
    options = ["--root", str(tmp_path), "--sets", "set14", "--results", str(tmp_path / "results")]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "set5.csv").write_bytes(
        (repo_root / "benchmarks/results/set5.csv").read_bytes()
    )
    assert script.main([*options, "--output", str(tmp_path / "results.md")]) == 0
    rows = read_degraded(tmp_path / "results" / FILE)
    assert [row.condition for row in rows] == [c.name for c in CONDITIONS]
    assert "## Degraded input" in (tmp_path / "results.md").read_text()

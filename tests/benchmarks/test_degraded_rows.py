"""Rows on degraded input: figures of systems that are known, and the table they are kept in."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from degraded_input import CONDITIONS, load_domains
from degraded_rows import DEGRADED_TABLE, EDGE, FILE, judge_edges, judge_images
from PIL import Image
from skimage.data import camera
from skimage.metrics import peak_signal_noise_ratio

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.benchmark import BICUBIC, System
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.functional import gaussian_blur, upsample
from monai_sr.metrics.protocol import NATURAL

_SIDE = 128
_XRAY = load_domains()["xray"]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    mild = camera()[64 : 64 + _SIDE, 128 : 128 + _SIDE] // 2 + 64  # noise then meets no limit
    Image.fromarray(mild).save(root / "camera.png")
    return Benchmark("small", "Small", (str(root),), "*.png", NATURAL)


def _repeated(lr, scale):
    return lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


NEAREST = System("nearest", _repeated)


def _judged(benchmark, system=BICUBIC, scale=2):
    rows = judge_images(_XRAY, benchmark, benchmark.images("/"), system.name, system, scale)
    return {row.strength: row for row in rows}


def test_repetition_passes_noise_on_with_specks_and_bicubic_dampens_it(benchmark):
    nearest, bicubic = _judged(benchmark, NEAREST), _judged(benchmark)
    assert list(nearest) == list(CONDITIONS)
    for strength in CONDITIONS[1:]:
        assert nearest[strength].noise_gain == pytest.approx(1, abs=1e-5)
        assert 0.7 < bicubic[strength].noise_gain < 0.95
        assert bicubic[strength].fine_noise < 15 < nearest[strength].fine_noise
    assert math.isnan(nearest["clean"].noise_gain)
    assert math.isnan(nearest["clean"].fine_noise)
    louder = System("louder", lambda lr, scale: 1.2 * _repeated(lr, scale) - 0.1)
    assert _judged(benchmark, louder)["weak"].noise_gain == pytest.approx(1.2, rel=1e-3)


def test_psnr_is_that_of_scikit_image_on_the_same_degraded_input(benchmark):
    (image,) = benchmark.images("/")
    hr, lr = benchmark.load_pair(image, 2)
    rows = _judged(benchmark)
    for strength in CONDITIONS:
        noisy, _ = _XRAY.spoil(lr, strength, int(image.digest[:15], 16), benchmark.protocol)
        sr = upsample(noisy.float(), 2)
        stored = np.floor(sr[0, 0].double().clamp(0, 1).numpy() * 255 + 0.5)[2:-2, 2:-2]
        reference = hr[0, 0].numpy()[2:-2, 2:-2] * 255
        expected = peak_signal_noise_ratio(reference, stored, data_range=255)
        assert rows[strength].psnr == pytest.approx(expected, abs=1e-3)
    psnr = [rows[strength].psnr for strength in CONDITIONS]
    assert psnr == sorted(psnr, reverse=True)


def test_edges_lose_sharpness_by_degradation_and_gain_it_by_sharpening():
    def sharpened(lr, scale):
        sr = upsample(lr, scale)
        return sr + (sr - gaussian_blur(sr[0], 4.0)[None])

    means = {}
    for system in (BICUBIC, System("sharpened", sharpened)):
        rows = list(judge_edges(_XRAY, NATURAL, 1, system.name, system, 4, ("clean", "strong")))
        assert {row.image for row in rows} == {"0", "90", "180", "270"}
        assert {row.set for row in rows} == {EDGE}
        assert all(math.isnan(row.psnr) for row in rows)
        for strength in ("clean", "strong"):
            found = [row.mtf50 for row in rows if row.strength == strength]
            assert max(found) - min(found) < 0.08
            means[system.name, strength] = np.mean(found)
    # Reduction and enlargement are Keys' kernel, once as wide as a small pixel and once more.
    place = np.linspace(-2, 2, 4001)
    x = np.abs(place)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kernel = np.where(x <= 1, inner, outer)
    frequency = np.linspace(0, 0.6, 601)
    transfer = np.trapezoid(np.cos(2 * np.pi * frequency[:, None] * place) * kernel, place) ** 2
    expected = frequency[np.argmax(transfer < 0.5)]
    assert means["bicubic", "clean"] == pytest.approx(expected, rel=0.03)
    assert means["bicubic", "strong"] < 0.7 * means["bicubic", "clean"]
    assert means["sharpened", "clean"] > 1.05 * means["bicubic", "clean"]


def test_rows_come_back_and_replace_their_like(benchmark, tmp_path):
    path = tmp_path / FILE
    rows = list(_judged(benchmark).values())
    other = [dataclasses.replace(row, face="robust", psnr=1.0) for row in rows]
    DEGRADED_TABLE.write(path, [*rows, *other])
    DEGRADED_TABLE.write(path, [dataclasses.replace(row, psnr=2.0) for row in rows])
    kept = DEGRADED_TABLE.read(path)
    assert len(kept) == 2 * len(rows)
    assert {row.psnr for row in kept if row.face == "bicubic"} == {2.0}
    assert {row.psnr for row in kept if row.face == "robust"} == {1.0}
    assert [row.strength for row in kept if row.face == "robust"] == list(CONDITIONS)
    assert kept[0].noise_gain != kept[0].noise_gain  # clean: none
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match=r"must be a table with the columns .* run benchmarks"):
        DEGRADED_TABLE.read(path)

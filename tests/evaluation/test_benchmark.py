"""Evaluation: published bicubic figures, channel rules, and the CSV files of rows."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.evaluation.benchmark import BICUBIC, System, evaluate
from monai_sr.evaluation.datasets import Benchmark, load_benchmark
from monai_sr.evaluation.rows import HEADER, has_rows, read_rows, write_rows
from monai_sr.functional.resize import downsample_uint8, upsample
from monai_sr.metrics import FAST, Protocol, dss, get_protocol, gmsd, lpips, make_lr
from monai_sr.metrics.protocol import NATURAL, native
from tests.image_factory import pixels, write_raster

# MATLAB bicubic, Y channel, border = scale: the rows of every paper since SRCNN. Luma is rounded
# there and LR images are not, hence the tolerances.
_PSNR_TOLERANCE_DB = 0.03
_SSIM_TOLERANCE = 0.0015
_FAST = [("set5", 2, 33.66, 0.9299), ("set5", 3, 30.39, 0.8682), ("set5", 4, 28.42, 0.8104)]
_SLOW = [
    ("set14", 2, 30.24, 0.8688), ("set14", 3, 27.55, 0.7742), ("set14", 4, 26.00, 0.7027),
    ("bsd100", 2, 29.56, 0.8431), ("bsd100", 3, 27.21, 0.7385), ("bsd100", 4, 25.96, 0.6675),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "scale", "psnr", "ssim"),
    [*_FAST, *(pytest.param(*row, marks=pytest.mark.slow) for row in _SLOW)],
)
def test_bicubic_meets_the_published_figures(shared_data, name, scale, psnr, ssim):
    benchmark = load_benchmark(name)
    rows = list(evaluate(benchmark, shared_data, BICUBIC, scale, measures=FAST))
    assert np.mean([row["psnr"] for row in rows]) == pytest.approx(psnr, abs=_PSNR_TOLERANCE_DB)
    assert np.mean([row["ssim"] for row in rows]) == pytest.approx(ssim, abs=_SSIM_TOLERANCE)


@pytest.fixture
def make_small(tmp_path):
    """Return a function that makes a benchmark of one color and one grey image, and its root."""

    def make(height, width):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "color.png")
        Image.fromarray(noise[..., 0]).save(tmp_path / "grey.png")
        return Benchmark("small", "Small", (".",), "*.png", NATURAL), tmp_path

    return make


@pytest.fixture
def small(make_small):
    """Return a small benchmark of odd sizes."""
    return make_small(29, 34)


def _rows(small, system, scale=2):
    benchmark, root = small
    return {row.image: row for row in evaluate(benchmark, root, system, scale)}


def _channels(seen):
    def upscale(lr, scale):
        seen.append(tuple(lr.shape))
        assert lr.dtype == torch.float32
        return upsample(lr, scale)

    return upscale


def test_a_system_of_any_channels_gets_images_as_they_are(small):
    seen = []
    _rows(small, System("any", _channels(seen)))
    assert seen == [(1, 3, 14, 17), (1, 1, 14, 17)]


def test_a_color_system_gets_grey_images_three_times_and_gives_grey(small):
    seen = []
    rows = _rows(small, System("color", _channels(seen), channels=3))
    assert seen == [(1, 3, 14, 17), (1, 3, 14, 17)]
    assert rows["grey"]["psnr"] == pytest.approx(_rows(small, BICUBIC)["grey"]["psnr"], abs=0.01)


def test_a_grey_system_gets_color_images_band_by_band(small):
    seen = []
    rows = _rows(small, System("grey", _channels(seen), channels=1))
    assert seen == [(3, 1, 14, 17), (1, 1, 14, 17)]
    assert rows["color"]["psnr"] == pytest.approx(_rows(small, BICUBIC)["color"]["psnr"], abs=1e-6)


def test_a_color_system_gets_many_bands_one_by_one(tmp_path):
    array = pixels((4, 40, 50))
    write_raster(tmp_path / "a.tif", array, photometric="MINISBLACK")
    benchmark = Benchmark("bands", "Bands", (".",), "*.tif", native(255), channels=4)
    seen = []
    rows = _rows((benchmark, tmp_path), System("color", _channels(seen), channels=3))
    assert seen == [(4, 3, 20, 25)]
    hr = torch.from_numpy(array)[None]
    sr = upsample(downsample_uint8(hr[0], 2)[None].float() / 255, 2)
    error = ((sr * 255 + 0.5).floor().clamp(0, 255) - hr)[..., 2:-2, 2:-2].double()
    assert rows["a"]["psnr"] == pytest.approx(
        float(10 * torch.log10(255**2 / (error**2).mean())), abs=0.01
    )


def test_a_system_of_other_channels_is_refused(small):
    with pytest.raises(OptionError, match="takes 4 channels"):
        _rows(small, System("four", upsample, channels=4))


def test_results_are_clipped_and_rounded_by_the_evaluator(small):
    exact = _rows(small, BICUBIC)

    def stored(lr, scale):
        return (upsample(lr, scale).clamp(0, 1) * 255).round() / 255

    for name, row in _rows(small, System("stored", stored)).items():
        assert row["psnr"] == pytest.approx(exact[name]["psnr"], abs=1e-3)


def test_protocols_without_rounding_judge_the_values_themselves(small):
    benchmark, root = small
    protocol = Protocol("native", data_range=1.0, is_rounded=False, uses_luma=False)
    assert protocol == get_protocol("native")
    exact = dataclasses.replace(benchmark, protocol=protocol)
    rows = list(evaluate(exact, root, BICUBIC, 2))
    assert rows[0].protocol == "native"
    assert rows[0]["psnr"] != _rows(small, BICUBIC)["color"]["psnr"]


def test_a_result_of_another_size_is_refused(small):
    with pytest.raises(BadImageError, match="check the scale it was built for"):
        _rows(small, System("wrong", lambda lr, _scale: upsample(lr, 3)))


def test_a_result_with_nan_is_refused(small):
    with pytest.raises(BadImageError, match=r"color\.png: broken: its result must be finite"):
        _rows(small, System("broken", lambda lr, scale: upsample(lr, scale) * float("nan")))


def test_an_image_too_small_to_judge_is_refused(small):
    with pytest.raises(BadImageError, match="leave it out of the benchmark"):
        _rows(small, BICUBIC, scale=11)


def test_perceptual_measures_see_stored_colors_inside_the_border(small):
    benchmark, root = small
    row = _rows(small, BICUBIC)["color"]
    hr = benchmark.load(benchmark.images(root)[0])[..., :28, :34]
    sr = upsample(make_lr(hr, 2, NATURAL).float(), 2).double().clamp(0, 1)
    sr, hr = ((image * 255 + 0.5).floor()[..., 2:-2, 2:-2] / 255 for image in (sr, hr))
    assert row["lpips"] == pytest.approx(lpips(sr, hr).item(), rel=1e-5)
    assert row["gmsd"] == pytest.approx(gmsd(sr, hr).item(), rel=1e-6)
    assert math.isnan(row["dss"])  # too few blocks


def test_sub_bands_are_compared_where_the_image_has_blocks_enough(make_small):
    benchmark, root = make_small(44, 40)
    row = _rows((benchmark, root), BICUBIC)["color"]
    hr = benchmark.load(benchmark.images(root)[0])
    sr = upsample(make_lr(hr, 2, NATURAL).float(), 2).double().clamp(0, 1)
    sr, hr = ((image * 255 + 0.5).floor()[..., 2:-2, 2:-2] / 255 for image in (sr, hr))
    assert row["dss"] == pytest.approx(dss(sr, hr).item(), rel=1e-6)


def test_perceptual_measures_may_be_left_out(small):
    benchmark, root = small
    row = next(evaluate(benchmark, root, BICUBIC, 2, measures=FAST))
    assert math.isnan(row["lpips"])
    assert math.isnan(row["gmsd"])
    assert math.isnan(row["dss"])


def test_a_costly_system_may_be_judged_on_the_first_images_of_each_class(tmp_path):
    for label, name in (("b", "3"), ("a", "1"), ("a", "2")):
        (tmp_path / label).mkdir(exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / label / f"{name}.png")
    benchmark = Benchmark("c", "C", (".",), "*.png", NATURAL, classes={"a": 2, "b": 1})
    rows = evaluate(benchmark, tmp_path, BICUBIC, 2, measures=FAST, per_class=1)
    assert [(row.label, row.image) for row in rows] == [("a", "1"), ("b", "3")]


def test_files_of_before_the_perceptual_measures_are_read_and_extended(small, tmp_path):
    table = tmp_path / "a.csv"
    rows = list(_rows(small, BICUBIC).values())
    write_rows(table, rows)
    cells = [line.split(",") for line in table.read_text().splitlines()]
    kept = [i for i, name in enumerate(cells[0]) if name not in ("lpips", "gmsd", "dss")]
    table.write_text("".join(",".join(line[i] for i in kept) + "\n" for line in cells))
    old = read_rows(table)
    assert all(math.isnan(row["lpips"]) and math.isnan(row["gmsd"]) for row in old)
    assert [row["psnr"] for row in old] == [round(row["psnr"], 4) for row in rows]
    write_rows(table, [dataclasses.replace(rows[0], system="new")])
    assert has_rows(table)
    assert [math.isnan(row["lpips"]) for row in read_rows(table)] == [True, True, False]


def test_rows_of_one_system_and_scale_are_replaced_and_others_kept(small, tmp_path):
    table = tmp_path / "results" / "small.csv"
    old = list(_rows(small, BICUBIC).values())
    write_rows(table, old)
    write_rows(table, _rows(small, BICUBIC, scale=3).values())
    new = [dataclasses.replace(row, figures={"psnr": 1.0}) for row in old[:1]]
    write_rows(table, new)
    rows = read_rows(table)
    assert [(row.scale, row.image) for row in rows] == [(2, "color"), (3, "color"), (3, "grey")]
    assert rows[0]["psnr"] == 1.0


def test_the_same_rows_give_the_same_file_in_any_order(small, tmp_path):
    rows = [*_rows(small, BICUBIC).values(), *_rows(small, BICUBIC, scale=3).values()]
    digests = set()
    for order in (rows, rows[::-1]):
        write_rows(tmp_path / "a.csv", order)
        digests.add(hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_rows_come_back_from_the_file(small, tmp_path):
    row = _rows(small, BICUBIC)["grey"]
    row = dataclasses.replace(row, figures={**row.figures, "psnr": math.inf}, label="a, b")
    write_rows(tmp_path / "a.csv", [row])
    (back,) = read_rows(tmp_path / "a.csv")
    assert back.cells() == row.cells()
    assert back["psnr"] == float("inf")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == ",".join(HEADER)


@pytest.mark.parametrize("text", ["", "some,other,table\n1,2,3\n", ",".join(HEADER) + "\nset5,a\n"])
def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path, text):
    table = tmp_path / "a.csv"
    table.write_text(text)
    with pytest.raises(BadImageError, match="move it away"):
        write_rows(table, [])
    assert table.read_text() == text

"""The section on the papers' systems: costs, and claims beside measured means."""

from __future__ import annotations

import pytest
from facts import Facts
from systems_page import system_section

from monai_sr.evaluation.rows import Row, short
from monai_sr.networks.systems import list_systems, read_system


def _row(name="set5", scale=4, psnr=30.0, image="a", system="ours"):
    return Row(
        set=name, image=image, label="", scale=scale, system=system,
        figures={"psnr": psnr, "ssim": 0.8, "lpips": 0.1, "lr_psnr": 60.0},
        seconds=0.1, protocol="natural", weights_sha256="ab",
    )  # fmt: skip


def _claim_line(rows, **claim):
    claim = {"source": "A 2025, table 1", "why": "other data", **claim}
    systems = {"ours": {"title": "Ours", "row": "proposal", "paper": "A", "claims": [claim]}}
    lines = system_section(systems, rows, [])
    return next(line for line in lines if line.endswith("| other data |"))


def test_a_claim_stands_beside_our_mean_on_the_same_set_and_scale():
    rows = [_row(psnr=30.0), _row(psnr=31.0, image="b"), _row(scale=2, psnr=40.0)]
    line = _claim_line(rows, set="Set5", scale=4, psnr=32.55, ssim=0.9122)
    assert line == (
        "| ours | Set5 | x4 | 32.55 / 0.9122 | 30.50 / 0.8000 (2 of 5 images) "
        "| A 2025, table 1 | other data |"
    )


def test_without_a_stated_scale_every_measured_one_is_shown():
    line = _claim_line([_row(), _row(scale=2, psnr=40.0)], set="Set5", scale=None, psnr=36.1)
    assert "| x2: 40.00 (1 of 5 images), x4: 30.00 (1 of 5 images) |" in line


def test_sets_that_the_paper_joins_are_pooled():
    rows = [_row(), _row("set14", psnr=27.0), _row("set14", psnr=27.0, image="b")]
    assert "| 28.00 (3 of 19 images) |" in _claim_line(rows, set="Set5+Set14", scale=4, psnr=30.0)
    assert "| not measured |" in _claim_line(rows[:1], set="Set5+Set14", scale=4, psnr=30.0)


def test_only_what_the_paper_states_is_compared():
    assert "| 0.156 | 0.100 (1 of 14 images) |" in _claim_line(
        [_row("set14")], set="Set14", scale=4, lpips=0.156
    )


def test_a_claim_is_compared_on_the_range_of_the_literature_too():
    rows = [_row("set14", image=name) for name in ("bridge", *"abcdefghijklm")]
    line = _claim_line(rows, set="Set14", scale=4, psnr=28.6, ssim=0.78)
    assert "| 30.00 / 0.8000 (grey as luma 30.09) |" in line
    assert "grey" not in _claim_line(rows, set="Set14", scale=4, ssim=0.78)


def test_a_claim_without_figures_has_dashes():
    assert "| Urban100 | not stated | - | - |" in _claim_line([_row("urban100")], set="Urban100")


def test_costs_name_device_precision_and_what_training_saw():
    facts = Facts(
        system="ours", domain="natural", scale=4, parameters=1_517_571,
        multiply_adds_per_output_pixel=123_948, output_mp_per_s=1.234, threads=2, device="CPU",
        hr_megapixels_seen=12, minutes_stage_1=4, minutes_stage_2=4, steps_stage_1=900,
        steps_stage_2=150, loss_features="squeezenet1_1", note="bfloat16 autocast",
    )  # fmt: skip
    lines = system_section({"ours": {"row": "baseline"}}, [], [facts])
    assert (
        "| ours † *undertrained* | natural | x4 | 1.52 M | 124 k | 114 G | 1.23 | CPU, 2 threads "
        "| 12 | 4 + 4 | 900 + 150 | bfloat16 autocast |"
    ) in lines


def test_proposals_come_first():
    systems = {"b": {"row": "baseline"}, "c": {"row": "shipped"}, "a": {"row": "proposal"}}
    names = [line.split(" | ")[0] for line in system_section(systems, [], []) if "| - |" in line]
    assert names == ["| a", "| b", "| c"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(999.4, "999"), (999.6, "1.00 k"), (43_089_923, "43.1 M"), (1.77e6, "1.77 M"), (0, "0"),
     (17.7e12, "17.7 T"), (float("nan"), "-")],
)  # fmt: skip
def test_numbers_are_shown_with_three_digits(value, text):
    assert short(value) == text


def test_every_claim_of_an_installed_system_names_source_and_reason():
    for file in list_systems().values():
        for claim in read_system(file).get("claims") or ():
            assert {"set", "source", "why"} <= set(claim), file
            figures = {"scale", "psnr", "ssim", "lpips", "rank"}
            assert set(claim) <= figures | {"set", "source", "why"}, file

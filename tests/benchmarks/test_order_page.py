"""Who is above whom in the papers' tables, and in ours."""

from __future__ import annotations

import csv
import math

import pytest
from facts import Facts
from order_page import order_section, validation_gains

from monai_sr.evaluation.rows import Row


def _row(system, psnr, image="a", set_name="set5", ssim=0.8, lpips=0.1, scale=4):
    return Row(
        set=set_name, image=image, label="", scale=scale, system=system,
        figures={"psnr": psnr, "ssim": ssim, "lpips": lpips, "lr_psnr": 60.0},
        seconds=0.1, protocol="natural", weights_sha256="ab",
    )  # fmt: skip


def _systems(**claims):
    return {
        name: {"claims": [{"set": "Set5", "source": 'A 2025, table 1, "X"', **claim}]}
        for name, claim in claims.items()
    }


def _cells(lines, above, below):
    line = next(line for line in lines if line.startswith(f"| {above} | {below} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def _section(tmp_path, systems, rows, facts=()):
    return order_section(systems, rows, list(facts), tmp_path)


def test_an_order_that_is_ours_needs_no_reason(tmp_path):
    rows = [_row("good", 31.0), _row("bad", 30.0)]
    systems = _systems(bad={"psnr": 28.0}, good={"psnr": 30.5})
    lines = _section(tmp_path, systems, rows)
    assert _cells(lines, "good", "bad") == ["PSNR +2.50 dB", "PSNR +1.00 dB", "1", "yes", "-"]
    assert "**A 2025, table 1**: 1 of 1 measured pairs as in the paper, on set5.\n" in lines


def test_of_lpips_less_is_better(tmp_path):
    rows = [_row("good", 31.0, lpips=0.2), _row("bad", 30.0, lpips=0.15)]
    systems = _systems(good={"lpips": 0.1}, bad={"lpips": 0.3})
    cells = _cells(_section(tmp_path, systems, rows), "good", "bad")
    assert cells[:4] == ["LPIPS +0.200", "LPIPS -0.050", "1", "no"]


def test_measures_may_disagree(tmp_path):
    rows = [_row("good", 31.0, ssim=0.7), _row("bad", 30.0)]
    systems = _systems(good={"psnr": 31, "ssim": 0.9}, bad={"psnr": 30, "ssim": 0.8})
    assert _cells(_section(tmp_path, systems, rows), "good", "bad")[3] == "by PSNR only"


def test_only_images_that_both_were_measured_on_are_compared(tmp_path):
    rows = [_row("good", 31.0), _row("good", 50.0, image="b"), _row("bad", 30.0)]
    systems = _systems(good={"psnr": 31.0}, bad={"psnr": 30.0})
    assert _cells(_section(tmp_path, systems, rows), "good", "bad")[1:3] == ["PSNR +1.00 dB", "1"]


def test_other_scales_are_not_compared(tmp_path):
    rows = [_row("good", 31.0), _row("bad", 20.0, scale=2)]
    systems = _systems(good={"psnr": 31.0}, bad={"psnr": 30.0})
    cells = _cells(_section(tmp_path, systems, rows), "good", "bad")
    assert cells[1:] == ["-", "-", "not measured", "bad is not trained here"]


def test_a_set_that_is_not_here_is_judged_on_others(tmp_path):
    rows = [_row(name, psnr, set_name="set14") for name, psnr in (("good", 31), ("bad", 30))]
    claims = {"good": {"psnr": 31.0}, "bad": {"psnr": 30.0}}
    systems = _systems(**{name: {**claim, "set": "DIV2K"} for name, claim in claims.items()})
    lines = _section(tmp_path, systems, rows)
    assert _cells(lines, "good", "bad")[2:4] == ["1", "yes"]
    assert any("on set5, set14, bsd100." in line for line in lines)


@pytest.mark.parametrize(("ours", "verdict"), [(31.0, "yes"), (29.0, "no")])
def test_ranks_stand_for_figures_that_a_paper_does_not_print(tmp_path, ours, verdict):
    rows = [
        _row("good", ours, ssim=ours / 40),
        *(_row(name, 30.0, ssim=0.75) for name in ("bad", "worse")),
    ]
    lines = _section(tmp_path, _systems(bad={"rank": 2}, worse={"rank": 2}, good={"rank": 1}), rows)
    cells = _cells(lines, "good", "bad")
    assert (cells[0], cells[3]) == ("better, without figures", verdict)
    assert not any(line.startswith("| bad | worse") for line in lines)


def test_another_order_is_explained_by_the_ledger_or_the_time(tmp_path):
    ledger = [
        {"job": "natural_sr/good_x4/stage_1", "val_psnr": "27.5", "bicubic_psnr": "25.5"},
        {"job": "natural_sr/good_x4/stage_2", "val_psnr": "25.0", "bicubic_psnr": "25.5"},
        {"job": "natural_sr/bad_x2/stage_1", "val_psnr": "29.5", "bicubic_psnr": "25.5"},
        {"job": "natural_sr/late_x4/stage_1", "val_psnr": "", "bicubic_psnr": ""},
    ]
    with (tmp_path / "campaign.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(ledger[0]))
        writer.writeheader()
        writer.writerows(ledger)
    assert validation_gains(tmp_path / "campaign.csv") == {"good": [2.0, -0.5]}
    facts = [Facts(system="bad", domain="natural", scale=4, minutes_stage_1=4.0)]
    rows = [_row("good", 29.0), _row("bad", 30.0)]
    systems = _systems(good={"psnr": 31.0}, bad={"psnr": 30.0})
    cells = _cells(_section(tmp_path, systems, rows, facts), "good", "bad")
    assert cells[3:] == ["no", "good +2.00 dB then -0.50 dB; bad trained 4 minutes"]


def test_a_figure_that_was_not_measured_is_left_out(tmp_path):
    rows = [_row("good", 31.0, lpips=math.nan), _row("bad", 30.0)]
    systems = _systems(good={"lpips": 0.1}, bad={"lpips": 0.3})
    assert _cells(_section(tmp_path, systems, rows), "good", "bad")[3] == "not measured"


def test_without_tables_there_is_no_section(tmp_path):
    assert _section(tmp_path, {"a": {"claims": [{"set": "Set5", "source": "a letter"}]}}, []) == []


def test_systems_with_small_images_of_their_own_are_judged_on_such(tmp_path):
    rows = [
        _row(name, psnr, set_name=set_name)
        for name, psnr, set_name in (
            ("own", 31, "set5_opencv"), ("bicubic", 30, "set5_opencv"), ("bicubic", 35, "set5"),
        )
    ]  # fmt: skip
    systems = _systems(own={"psnr": 31.0}, bicubic={"psnr": 30.0})
    systems["own"]["degradation"] = {"_target_": "a.OpenCV"}
    lines = _section(tmp_path, systems, rows)
    assert _cells(lines, "own", "bicubic")[1:4] == ["PSNR +1.00 dB", "1", "yes"]
    assert any("on set5_opencv." in line for line in lines)

"""How long systems were trained here, and which were not, out of rows, facts and the ledger."""

from __future__ import annotations

import csv
import math

import pytest
from facts import Facts, read_facts
from systems_page import (
    campaign_curves,
    curves_section,
    find_untrained,
    key_of,
    system_section,
    told_time,
    trials_section,
    untrained_section,
)

from monai_sr.evaluation.rows import Row

SYSTEMS = {
    "deep": {"network_def": {"name": "edsr"}, "discriminator_def": {}},
    "nearest": {"network_def": {"name": "nearest"}},
}


def row(system, psnr, lpips, image="a", **changes):
    values = {
        "set": "set5", "image": image, "label": "", "scale": 4, "system": system,
        "figures": {"psnr": psnr, "ssim": 0.8, "lpips": lpips, "lr_psnr": 40.0},
        "seconds": 0.1, "protocol": "natural",
        "weights_sha256": "" if system in ("bicubic", "nearest") else "ab",
    }  # fmt: skip
    return Row(**(values | changes))


BICUBIC = [row("bicubic", 28.0, 0.3), row("bicubic", 30.0, 0.2, "b")]


@pytest.mark.parametrize(
    ("psnr", "lpips", "is_trained"),
    [(27.0, 0.35, False), (27.0, 0.25, True), (29.0, 0.35, True), (29.0, 0.25, True)],
)
def test_who_lies_under_bicubic_by_both_was_not_trained(psnr, lpips, is_trained):
    rows = [*BICUBIC, row("deep", psnr, lpips), row("nearest", 20.0, 0.5)]
    found = find_untrained(rows, SYSTEMS)
    assert list(found) == ([] if is_trained else [("deep", 4, "ab")])
    if not is_trained:
        assert found["deep", 4, "ab"] == pytest.approx((-1.0, 0.05))


def test_means_over_all_images_decide_each_beside_bicubic_on_the_same():
    rows = [*BICUBIC, row("deep", 27.5, 0.31), row("deep", 31.0, 0.21, "b")]
    assert find_untrained(rows, SYSTEMS) == {}  # +0.25 dB
    assert find_untrained([*BICUBIC[:1], *rows[2:]], SYSTEMS)  # "a" alone has a partner
    assert find_untrained([*rows, row("deep", 9.0, 0.9, "b", scale=2)], SYSTEMS) == {}


def test_a_command_stands_in_place_of_figures():
    rows = [*BICUBIC, row("deep", 27.0, 0.35)]
    facts = [Facts(system="deep", domain="xray", scale=4, weights_sha256="ab")]
    text = "\n".join(untrained_section(SYSTEMS, find_untrained(rows, SYSTEMS), rows, facts))
    assert "### Not trained here" in text
    assert (
        "| deep | xray | x4 | `monai-sr train --bundle xray_sr --system deep --scale 4 "
        "--stages 2 --dataset_dir DIR --minutes 60 -o runs/deep` | -1.00 dB and +0.0500 LPIPS |"
    ) in text


def test_a_system_that_learns_and_has_no_rows_of_photos_is_named_too():
    facts = [Facts(system="deep", domain="xray", scale=4, weights_sha256="cd")]
    rows = [*BICUBIC, row("deep", 40.0, 0.1, set="xray", weights_sha256="cd")]
    (line,) = [
        line for line in untrained_section(SYSTEMS, {}, rows, facts) if line.startswith("| deep")
    ]
    assert line.startswith("| deep | natural | x4 | `monai-sr train ")
    assert line.endswith("| no weights |")
    assert untrained_section({"nearest": SYSTEMS["nearest"]}, {}, BICUBIC, []) == []


def claim_line(rows, facts, **content):
    claim = {"set": "Set5", "scale": 4, "psnr": 32.0, "source": "A", "why": "other data"}
    systems = {"deep": {**SYSTEMS["deep"], "claims": [claim], **content}}
    lines = system_section(systems, rows, facts)
    return next(line for line in lines if "other data" in line)


def test_a_claim_tells_the_time_of_the_weights_that_were_measured():
    facts = [
        Facts(system="deep", domain=domain, scale=4, weights_sha256=weights,
              minutes_stage_1=minutes, minutes_stage_2=1)
        for domain, weights, minutes in (("natural", "ab", 137), ("xray", "cd", 3))
    ]  # fmt: skip
    assert claim_line([row("deep", 31.0, 0.2)], facts).endswith(
        "| other data; trained here for 2.3 hours |"
    )
    gone = claim_line([], facts)
    assert "| not trained here |" in gone
    assert gone.endswith("| other data; 2.3 hours of training here were not enough |")


@pytest.mark.parametrize(("minutes", "told"), [(0, ", without its adversarial stage"), (9, "")])
def test_weights_of_a_gan_that_had_no_adversarial_stage_say_so(minutes, told):
    facts = [Facts(system="deep", domain="natural", scale=4, weights_sha256="ab",
                   minutes_stage_1=60 - minutes, minutes_stage_2=minutes)]  # fmt: skip
    line = claim_line([row("deep", 31.0, 0.2)], facts, discriminator_def={})
    assert line.endswith(f"; trained here for 60 minutes{told} |")


def test_times_are_told_by_scale_where_they_differ():
    facts = [Facts(system="a", domain="", scale=scale, minutes_stage_1=minutes)
             for scale, minutes in ((2, 4.04), (4, 4.1))]  # fmt: skip
    assert told_time(facts) == "4 minutes"
    assert told_time([*facts, Facts(system="a", domain="", scale=3, minutes_stage_1=480)]) == (
        "4 minutes (x2), 4 minutes (x4), 8.0 hours (x3)"
    )
    assert told_time([Facts(system="a", domain="", scale=4)]) == ""


def test_the_ledger_of_the_campaign_tells_the_same_time(repo_root):
    results = repo_root / "benchmarks/results"
    facts = {fact.weights_sha256: fact for fact in read_facts(results / "systems.csv")}
    with (results / "campaign.csv").open(newline="") as stream:
        lines = {line["job"]: line for line in csv.DictReader(stream)}
    compared = 0
    for name, line in lines.items():
        fact = facts.get(line["weights_sha256"])
        if fact is None or math.isnan(fact.minutes):
            continue  # its weights were not measured
        stages = [f"{name[:-1]}{number}" for number in range(1, int(name[-1]) + 1)]
        hours = sum(float(lines[stage]["hours"]) for stage in stages)
        assert fact.minutes == pytest.approx(60 * hours, rel=0.01), name
        compared += 1
    assert compared


def test_every_curve_of_the_campaign_is_drawn_and_shown(repo_root):
    networks = campaign_curves(repo_root / "benchmarks/results")
    assert [f.name for f in networks["hybrid_cnn_gan_x4"]][:1] == [
        "mri_sr-hybrid_cnn_gan_x4-stage_1.csv"
    ]
    lines = "".join(curves_section(repo_root / "benchmarks/results"))
    for network in networks:
        assert f"(curves/{network}.png)" in lines
        assert (repo_root / "docs/curves" / f"{network}.png").is_file(), "run benchmarks/curves.py"


def test_without_a_campaign_there_are_no_curves(tmp_path):
    assert curves_section(tmp_path) == []


def test_published_tables_hold_no_row_of_untrained_weights(repo_root):
    from monai_sr.evaluation.rows import has_rows, read_rows
    from monai_sr.networks.systems import list_systems, read_system

    files = [f for f in (repo_root / "benchmarks/results").glob("*.csv") if has_rows(f)]
    rows = [r for file in files for r in read_rows(file)]
    systems = {name: read_system(file) for name, file in list_systems().items()}
    text = (repo_root / "docs/results.md").read_text()
    for key in find_untrained(rows, systems):
        assert f"`{key[2][:12]}` |" not in text, key
    assert {key_of(r)[0] for r in rows} >= {"srcnn", "vdsr"}


def test_trials_stand_in_a_table_of_their_own(tmp_path):
    assert trials_section(tmp_path) == []
    (tmp_path / "trials.csv").write_text("trial,minutes\nplain,8.0\n")
    lines = trials_section(tmp_path)
    assert lines[0] == "## Ways to get more from training\n"
    assert "| plain | 8.0 |" in lines

"""The Markdown table: means, differences, best in bold, classes, and what is left out."""

from __future__ import annotations

import math
import re

import pytest
from facts import Facts, read_facts, write_facts
from lesion_rows import FILE, LESION_TABLE, LesionRow
from results_page import main, render, write_table
from summary import summarize

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.evaluation.rows import Row, write_rows


def _row(system="bicubic", image="a", psnr=30.0, **changes):
    values = {
        "set": "set5", "image": image, "label": "", "scale": 4, "system": system, "seconds": 0.1,
        "protocol": "natural",
        "weights_sha256": "" if system == "bicubic" else "0123456789abcdef" * 4,
    }  # fmt: skip
    figures = {
        "psnr": psnr, "ssim": psnr / 40, "lpips": 3 / psnr, "gmsd": 1.5 / psnr, "dss": psnr / 50,
        "lr_psnr": 2 * psnr,
    }  # fmt: skip
    figures |= {name: changes.pop(name) for name in figures.keys() & changes}
    return Row(figures=figures, **(values | changes))


def _line(text, system):
    return next(line for line in text.splitlines() if line.startswith(f"| {system} "))


@pytest.fixture
def results(tmp_path):
    """Return a function that keeps rows and gives the rendered text."""

    def render_rows(*rows, facts=None):
        for name in {row.set for row in rows}:
            write_rows(tmp_path / f"{name}.csv", [row for row in rows if row.set == name])
        if not (tmp_path / "systems.csv").exists():
            known = {(row.system, row.scale, row.weights_sha256) for row in rows}
            every = [
                Facts(system=name, domain="", scale=scale, weights_sha256=weights)
                for name, scale, weights in known
            ]
            write_facts(tmp_path / "systems.csv", every if facts is None else facts)
        return render(tmp_path, systems={})

    return render_rows


def test_a_line_holds_means_differences_count_and_weights(results):
    text = results(_row(), _row(image="b", psnr=32.0), _row("ours", psnr=33.0), _row("ours", "b"))
    assert _line(text, "bicubic") == (
        "| bicubic | 31.00 | 0.7750 | 0.0969 | 0.0484 | 0.6200 | 62.00 | - | - | - | - | - | - | - "
        "| 2 of 5 | - |"
    )
    assert _line(text, "ours") == (
        "| ours | **31.50** | **0.7875** | **0.0955** | **0.0477** | **0.6300** | **63.00** "
        "| +0.50 | +0.0125 | - | - | - | - | - | 2 of 5 | `0123456789ab` |"
    )


def test_costs_and_training_stand_beside_the_rows_of_the_same_weights(results, tmp_path):
    known = {"system": "ours", "domain": "natural", "scale": 4, "parameters": 1_548_547,
             "multiply_adds_per_output_pixel": 138_636, "output_mp_per_s": 0.05,
             "hr_megapixels_seen": 25, "minutes_stage_1": 4, "minutes_stage_2": 4}  # fmt: skip
    write_facts(
        tmp_path / "systems.csv", [Facts(**known, weights_sha256=_row("ours").weights_sha256)]
    )
    cells = "| 1.55 M | 139 k | 0.05 | 25 | 8 |"
    assert cells in _line(results(_row(), _row("ours", psnr=31.0)), "ours")


def test_rows_of_weights_that_are_not_recorded_are_left_out_by_name(results, tmp_path):
    gone, free = _row("gone", psnr=50.0, weights_sha256="old"), _row("nearest", weights_sha256="")
    rows = [_row(), _row("ours"), gone, free]
    facts = [Facts(system=name, domain="", scale=4, weights_sha256=_row("ours").weights_sha256)
             for name in ("ours", "gone")]  # fmt: skip
    text = results(*rows, facts=facts)
    assert "| gone " not in text
    assert "50.00" not in text
    assert _line(text, "nearest")
    assert "other weights than `systems.csv` records: gone.\n" in text


def test_published_rows_are_of_recorded_weights(repo_root):
    text = (repo_root / "docs" / "results.md").read_text(encoding="utf-8")
    shown = {line.rpartition("`")[0].rpartition("`")[2] for line in text.splitlines()
             if line.startswith("|") and line.endswith("` |")}  # fmt: skip
    recorded = {
        fact.weights_sha256[:12]
        for fact in read_facts(repo_root / "benchmarks/results/systems.csv")
    }
    assert shown
    assert shown <= recorded


def test_rows_whose_training_saw_little_or_features_of_lpips_are_marked(results, tmp_path):
    weights = _row("ours").weights_sha256
    trained = [("a", 19.9, ""), ("b", 20, "squeezenet1_1"), ("c", 1e3, "vgg19")]
    facts = [
        Facts(system=name, domain="natural", scale=4, weights_sha256=weights,
              hr_megapixels_seen=seen, loss_features=features)
        for name, seen, features in trained
    ]  # fmt: skip
    write_facts(tmp_path / "systems.csv", facts)
    text = results(*(_row(fact.system) for fact in facts))
    assert re.findall(r"^\| ([abc][^|]*) \|", text, re.MULTILINE) == [
        "a *undertrained*", "b †", "c",
    ]  # fmt: skip


def test_figures_that_old_rows_lack_are_shown_as_dashes_and_are_never_the_best(results):
    nan = float("nan")
    text = results(_row(lpips=nan, gmsd=nan, dss=nan), _row("ours", psnr=31.0))
    assert "| 30.00 | 0.7500 | - | - | - | 60.00 |" in _line(text, "bicubic")
    assert "| **0.0968** | **0.0484** | **0.6200** |" in _line(text, "ours")


def test_each_set_names_its_source_scale_and_protocol(results):
    text = results(_row(), _row(scale=2))
    assert "Bevilacqua" in text
    assert re.findall(r"^### .*", text, re.MULTILINE) == ["### Set5 x2", "### Set5 x4"]
    assert text.count("Protocol `natural`: LR by MATLAB bicubic") == 2


def test_sets_come_in_the_order_of_their_numbers(results):
    text = results(_row(set="set14"), _row(), _row(set="bsd100"))
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["BSD100", "Set5", "Set14"]


def test_a_set_without_description_is_shown_by_name(results):
    text = results(_row(set="mine"))
    assert "## mine" in text
    assert "Protocol `natural`." in text
    assert "| PSNR (dB) |" in text


def test_bicubic_comes_first_and_the_best_last(results):
    text = results(_row("best", psnr=40.0), _row(), _row("worst", psnr=20.0))
    assert re.findall(r"^\| (\w+) \|", text, re.MULTILINE) == ["system", "bicubic", "worst", "best"]


def test_difference_counts_only_images_that_both_have(results):
    text = results(_row(), _row(image="b", psnr=20.0), _row("part", psnr=31.0))
    assert "| 31.00 |" in _line(text, "part")
    assert "+1.00" in _line(text, "part")


def test_a_system_run_on_part_of_the_images_is_never_the_best(results):
    text = results(_row(), _row(image="b"), _row("part", psnr=50.0))
    assert "**" not in _line(text, "part")
    whole, part = text.split("Over part of the set")
    assert "| part " in part.split("# ")[0]
    assert "| part " not in whole


def test_systems_of_equally_many_other_images_are_not_ranked(results):
    text = results(
        _row(), _row(image="b"), _row("one", psnr=40.0), _row("two", image="b", psnr=50.0)
    )
    whole, part = text.split("Over part of the set")
    assert "| bicubic " in whole
    assert part.index("| one ") < part.index("| two ")
    assert "**" not in part.split("# ")[0]


def test_what_a_grey_image_adds_in_the_literature_is_said(results):
    rows = [_row(set="set14", image=name) for name in ("bridge", "lenna")]
    text = results(*rows, _row("ours", set="set14", image="lenna"))
    gain = 20 * math.log10(255 / 219)
    assert "Grey: bridge, compared on 0…255" in text
    assert f"{gain / 2:+.4f} dB in the mean of all (bicubic {30 + gain / 2:.2f} dB)" in text
    assert f"there (bicubic 30.00 here, {30 + gain:.2f} dB there), " in text
    known = {"set": "set14", "psnr": 32.0, "weights_sha256": ""}
    both = [_row("natural_sr", image=name, **known) for name in ("bridge", "lenna")]
    text = results(*rows, *both)
    assert f"there (bicubic 30.00 here, {30 + gain:.2f} dB there; natural_sr 32.00 here, " in text
    assert f"(bicubic {30 + gain / 2:.2f} dB, natural_sr {32 + gain / 2:.2f} dB)" in text


def test_a_set_whose_rows_are_all_recorded_and_of_colors_has_no_notes(results):
    text = results(_row(), _row("ours"))
    assert "Left out" not in text
    assert "Grey:" not in text


def test_lesions_of_other_weights_are_left_out_and_named(results, tmp_path):
    figures = {"value": 0.1, "low": 0.1, "high": 0.1, "count": 20, "images": 2, "diameter": 1.0}
    shared = {"set": "mr", "scale": 4, "input": "clean", **figures}
    names = [("auc", 0.1), *((n, math.nan) for n in ("threshold", "gain", "lost", "invented"))]
    lesions = [
        LesionRow(system=system, weights_sha256=weights, figure=name, contrast=contrast, **shared)
        for system, weights in (("bicubic", ""), ("ours", "0" * 64))
        for name, contrast in names
    ]
    LESION_TABLE.write(tmp_path / FILE, lesions)
    part = results(_row()).split("## Small lesions")[1].split("\n## ")[0]
    assert "| 1 px | bicubic |" in part
    assert "| ours |" not in part
    assert "with other weights than `systems.csv` records: ours." in part


def test_equal_images_are_left_out_of_the_mean_with_a_note(results):
    text = results(_row(), _row(image="b"), _row("ours", psnr=31.0),
                   _row("ours", "b", psnr=float("inf"), ssim=1.0, lr_psnr=60.0))  # fmt: skip
    assert "| ours | **31.00** |" in text
    assert "ours: 1 of 2 results equal the reference" in text


def test_classes_stand_beside_the_whole_set(results):
    rows = [
        _row(system, label=label, image=label, set="xray", protocol="native 255", psnr=psnr)
        for system, start in (("bicubic", 30.0), ("ours", 32.0))
        for label, psnr in (("normal", start), ("covid19", start + 4))
    ]
    text = results(*rows)
    assert "| system | normal (1) | pneumonia (0) | covid19 (1) |" in text
    assert (
        "| ours | 32.00 / 0.8000 / 0.0938 / 0.0469 / 0.6400 / 64.00 | - "
        "| 36.00 / 0.9000 / 0.0833 / 0.0417 / 0.7200 / 72.00 |"
    ) in text
    assert "PSNR-Y" not in text.split("## Chest X-rays")[1]
    assert "| ours | **34.00** |" in text
    assert "Protocol `native 255`" in text


def test_rows_of_two_weights_files_are_never_averaged():
    with pytest.raises(OptionError, match="evaluate again"):
        summarize([_row("ours"), _row("ours", weights_sha256="other")])


def test_other_tables_in_the_folder_are_left_alone(results, tmp_path):
    (tmp_path / "speed.csv").write_text("system,megapixels\nfastest,12\n")
    assert "fastest" not in results(_row())


def test_the_same_rows_give_the_same_text(results):
    rows = [_row(), _row("ours", psnr=31.0)]
    assert results(*rows) == results(*rows[::-1])


def test_a_folder_without_rows_is_refused(tmp_path):
    with pytest.raises(BadImageError, match=r"run benchmarks/quality\.py first"):
        write_table(tmp_path, tmp_path / "out.md")


def test_command_writes_the_file(tmp_path):
    write_rows(tmp_path / "set5.csv", [_row()])
    assert main(["--results", str(tmp_path), "--output", str(tmp_path / "docs" / "r.md")]) == 0
    assert "# Results" in (tmp_path / "docs" / "r.md").read_text()


def test_command_ends_with_one_line_and_code_two(tmp_path, capsys):
    assert main(["--results", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_published_table_is_what_the_kept_rows_give(repo_root):
    results, published = repo_root / "benchmarks" / "results", repo_root / "docs" / "results.md"
    assert published.read_text(encoding="utf-8") == render(results)

"""The script benchmarks/systems.py: rows, facts and marks of a trained run."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import systems
import torch
import yaml
from facts import read_facts, write_facts
from PIL import Image

from monai_sr.core.fingerprint import weights_sha256
from monai_sr.evaluation.benchmark import BICUBIC, evaluate
from monai_sr.evaluation.datasets import load_benchmark
from monai_sr.evaluation.rows import read_rows
from monai_sr.networks import create_generator

_PERCEPTUAL = {"_target_": "monai_sr.losses.PerceptualLoss", "backbone": "@perceptual_backbone"}


@pytest.fixture
def script(monkeypatch):
    """Return the script; its timing does little work."""
    monkeypatch.setattr(systems, "SPEED_MULTIPLY_ADDS", 1e6)
    monkeypatch.setattr(systems, "OUTPUT_SIZE", (48, 64))
    return systems


@pytest.fixture
def trained(tmp_path):
    """Return a system's file, trained in two stages, and a function that measures it."""
    (tmp_path / "Set5").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "Set5" / "baby.png")
    system = tmp_path / "tiny.yaml"
    definition = {"name": "srcnn", "scale": "@scale", "in_channels": "@in_channels"}
    system.write_text(
        yaml.safe_dump(
            {"title": "T", "row": "baseline", "paper": "P", "network_def": definition,
             "generator_loss": {"terms": {"perceptual": _PERCEPTUAL}}}
        )
    )  # fmt: skip
    for stage in (1, 2):
        folder = tmp_path / "runs" / "natural_sr" / "tiny_x2" / f"stage_{stage}"
        folder.mkdir(parents=True)
        torch.save(create_generator("srcnn", scale=2).state_dict(), folder / "model.pt")
        told = {"step": 10 * stage, "minutes": 4.0, "hr_megapixels": 1.5 * stage}
        (folder / "done.json").write_text(json.dumps(told))
    options = [
        "--root", str(tmp_path), "--sets", "set5", "--results", str(tmp_path / "results"),
        "--output", str(tmp_path / "results.md"),
    ]  # fmt: skip
    return system, options


def test_a_run_gives_rows_of_its_last_stage_and_facts_of_both(script, trained, tmp_path):
    system, options = trained
    runs = ["--runs", str(tmp_path / "runs")]
    assert script.main([*options, *runs, "--systems", str(system), "--scales", "2"]) == 0
    (row,) = read_rows(tmp_path / "results" / "set5.csv")
    (facts,) = read_facts(tmp_path / "results" / "systems.csv")
    last = tmp_path / "runs" / "natural_sr" / "tiny_x2" / "stage_2" / "model.pt"
    assert row.weights_sha256 == facts.weights_sha256 == weights_sha256(last)
    assert (facts.hr_megapixels_seen, facts.minutes, facts.steps_stage_2) == (4.5, 8, 20)
    assert facts.loss_features == "squeezenet1_1"
    assert facts.parameters == 20_099
    assert "timed on" in facts.note
    assert "| tiny † *undertrained* |" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("known_at", [2, 4])
def test_training_stays_known_when_the_same_weights_are_measured_again(
    script, trained, tmp_path, known_at
):
    system, options = trained
    runs, kept = tmp_path / "runs", tmp_path / "results" / "systems.csv"
    script.main([*options, "--runs", str(runs), "--systems", str(system), "--scales", "2"])
    (first,) = read_facts(kept)
    kept.unlink()
    write_facts(kept, [dataclasses.replace(first, scale=known_at)])
    shipped = tmp_path / "models" / "systems"
    shipped.mkdir(parents=True)
    last = runs / "natural_sr" / "tiny_x2" / "stage_2" / "model.pt"
    (shipped / "tiny_x2.pt").write_bytes(last.read_bytes())
    again = ["--weights", str(shipped.parent), "--systems", str(system), "--scales", "2"]
    script.main([*options, *again, "--precision", "bfloat16"])
    facts = read_facts(kept)[0]
    assert facts.scale == 2
    assert facts.hr_megapixels_seen == 4.5
    assert "bfloat16 autocast" in facts.note


def test_the_speed_of_a_network_is_kept_where_the_machine_is_busy(script, trained, tmp_path):
    system, options = trained
    run, kept = tmp_path / "runs" / "natural_sr" / "tiny_x2", tmp_path / "results" / "systems.csv"
    told = [*options, "--runs", str(tmp_path / "runs"), "--systems", str(system), "--scales", "2"]
    script.main(told)
    (first,) = read_facts(kept)
    write_facts(kept, [dataclasses.replace(first, output_mp_per_s=123.0, threads=7)])
    torch.save(create_generator("srcnn", scale=2).state_dict(), run / "stage_2" / "model.pt")
    script.main([*told, "--keep-speed"])
    (facts,) = read_facts(kept)
    assert facts.weights_sha256 != first.weights_sha256
    assert (facts.output_mp_per_s, facts.threads, facts.note) == (123.0, 7, first.note)
    script.main(told)
    assert read_facts(kept)[0].output_mp_per_s != 123.0


def test_systems_that_learn_nothing_need_no_weights(script, trained, tmp_path):
    _, options = trained
    assert script.main([*options, "--systems", "bicubic", "--scales", "2", "4"]) == 0
    rows = read_rows(tmp_path / "results" / "set5.csv")
    assert [(row.system, row.scale) for row in rows] == [("bicubic", 2), ("bicubic", 4)]
    (exact,) = evaluate(load_benchmark("set5"), tmp_path, BICUBIC, 2)
    # The row that every other is compared with is the one of benchmarks/quality.py.
    assert rows[0]["psnr"] == pytest.approx(exact["psnr"], abs=1e-4)


def test_a_system_without_weights_is_named_and_left_out(script, trained, tmp_path, caplog):
    system, options = trained
    known = ["--systems", str(system), "bicubic", "--scales", "4", "--runs", str(tmp_path)]
    assert script.main([*options, *known]) == 0
    assert "tiny x4 is left out" in caplog.text
    assert {row.system for row in read_rows(tmp_path / "results" / "set5.csv")} == {"bicubic"}


def test_the_backbone_of_a_perceptual_loss_is_found_wherever_it_stands(script):
    assert script.loss_features({"loss": [{"terms": {"p": _PERCEPTUAL}}]}, "vgg19") == "vgg19"
    own = {"a": {**_PERCEPTUAL, "backbone": "squeezenet1_1"}}
    assert script.loss_features(own, "vgg19") == "squeezenet1_1"
    assert script.loss_features({"loss": {"_target_": "monai_sr.losses.L1Loss"}}, "vgg19") == ""


def test_a_system_is_judged_on_small_images_of_its_own_kind(script, trained):
    _, options = trained
    told = script.parse([*options, "--systems", "srgan_8", "srcnn", "--scales", "4"])
    other, own = sorted(script.built_systems(told), key=lambda built: built.name)
    assert script.own_sets(other, "natural") == ["set5", "set14", "bsd100"]
    assert script.own_sets(own, "natural") == ["set5_opencv", "set14_opencv", "bsd100_opencv"]
    assert script.own_sets(own, "xray") == ["xray"]

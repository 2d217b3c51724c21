"""The bundles are what recipe and domain make of them, and a new domain is one short file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser, create_workflow
from PIL import Image

from monai_sr import SuperResolver
from monai_sr.cli.main import main
from monai_sr.core.bundles import MEASURED, write_bundle
from monai_sr.core.errors import OptionError
from monai_sr.core.registry import list_bundles
from monai_sr.upscaling.super_resolver import inference_config
from monai_sr.upscaling.workflow import SRWorkflow

LONGEST_DOMAIN = 25  # lines
MOST_YAML = 780  # lines of all that is written by hand; 3,568 in four copies before
BRANCH = re.compile(r"^\$.*(\bif\b|\blambda\b)", re.DOTALL)
MICROSCOPY = """\
title: Microscopy super-resolution
task: Super-resolution x2 and x4 of micrographs
description: Enlarges single-channel micrographs by 2 or 4.
changelog:
  0.1.0: "first release: the weights of X-rays"
channels: [intensity]
protocol: native
overshoot: 2.0
"""


@pytest.fixture
def microscopy(tmp_path) -> Path:
    """Write a bundle of nothing but a domain and weights."""
    folder = tmp_path / "microscopy_sr"
    (folder / "models").mkdir(parents=True)
    (folder / "domain.yaml").write_text(MICROSCOPY)
    shutil.copy(list_bundles()["xray_sr"] / "models" / "model.pt", folder / "models")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def test_files_are_what_recipe_and_domain_make(bundle, tmp_path) -> None:
    copy = tmp_path / bundle.name
    shutil.copytree(bundle.folder, copy)
    for file in (copy / "configs").iterdir():
        if file.name != "metadata.json":  # it holds what was measured
            file.unlink()
    write_bundle(copy)
    assert _files(copy) == _files(bundle.folder), "run `python -m monai_sr.core.bundles`"


def test_what_is_made_says_so(bundle) -> None:
    for config in bundle.configs.glob("*.yaml"):
        head = config.read_text()[:200]
        assert "python -m monai_sr.core.bundles" in head
        assert f"{bundle.name}/domain.yaml" in head
        assert f"recipe/{config.name}" in head


def test_little_is_written_by_hand(repo_root) -> None:
    home = repo_root / "bundles"
    domains = {file: len(file.read_text().splitlines()) for file in home.glob("*/domain.yaml")}
    assert len(domains) == len(list_bundles())
    assert max(domains.values()) <= LONGEST_DOMAIN
    shared = sum(len(file.read_text().splitlines()) for file in (home / "recipe").glob("*.yaml"))
    assert shared + sum(domains.values()) <= MOST_YAML


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def test_what_branches_is_python(repo_root) -> None:
    files = [*repo_root.glob("bundles/*/configs/*.yaml"), *repo_root.glob("configs/*/*.yaml")]
    files = [f for f in files if f.parent.name != "standalone"]  # these run without our Python
    assert len(files) > 50
    for file in files:
        for text in _texts(yaml.safe_load(file.read_text())):
            assert not BRANCH.search(text), f"{file}: {text}"


def test_a_new_domain_is_one_short_file_and_weights(microscopy, monkeypatch) -> None:
    written = {file.name for file in write_bundle(microscopy)}
    assert {"inference.yaml", "inference.json", "train_gan.yaml", "metadata.json"} <= written
    photo = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    monkeypatch.chdir(microscopy.parent)
    Image.fromarray(photo).save("cells.png")
    assert main(["upscale", "cells.png", "-o", "out", "--bundle", "microscopy_sr"]) == 0
    with Image.open("out/cells_x4.png") as result:
        assert (result.size, result.mode) == ((96, 80), "L")
    # The network, weights and margin are those of X-rays: so is the result, to the last bit.
    image = photo[None].astype("float32") / 255
    ours, xray = (SuperResolver.from_bundle(b, device="cpu") for b in (microscopy, "xray_sr"))
    np.testing.assert_array_equal(ours(image), xray(image))


def test_a_new_domain_has_what_monai_asks_for(microscopy, training_options, tmp_path) -> None:
    write_bundle(microscopy)
    metadata = ConfigParser.load_config_file(microscopy / "configs" / "metadata.json")
    ours = ConfigParser.load_config_file(list_bundles()["xray_sr"] / "configs" / "metadata.json")
    assert list(metadata) == [key for key in ours if key not in MEASURED[1:]]
    weights = "models/model.pt"
    assert metadata["weights_sha256"] == {weights: ours["weights_sha256"][weights]}
    assert (metadata["version"], metadata["eval_metrics"]) == ("0.1.0", {})
    image = metadata["network_data_format"]["inputs"]["image"]
    assert (image["num_channels"], image["channel_def"]) == (1, {"0": "intensity"})
    for kind, config, options in (
        ("infer", "inference", {"input": str(tmp_path / "train" / "0.png"), "device": "cpu"}),
        ("train", "train", training_options),
    ):
        workflow = create_workflow(
            config_file=str(microscopy / "configs" / f"{config}.json"), workflow_type=kind,
            bundle_root=str(microscopy), **options,
        )  # fmt: skip
        assert workflow.check_properties() == []


def test_measured_figures_outlive_a_change_of_the_domain(microscopy) -> None:
    write_bundle(microscopy)
    file = microscopy / "configs" / "metadata.json"
    measured = {"eval_metrics": {"x4_psnr": 31.5}, "uncertainty": {"factors": {"4": 9.7}}}
    content = {**ConfigParser.load_config_file(file), **measured, "typo": 1}
    file.write_text(yaml.safe_dump(content))
    (microscopy / "domain.yaml").write_text(MICROSCOPY.replace("micrographs", "cells"))
    with pytest.raises(OptionError, match=r"metadata.json: must be JSON"):
        write_bundle(microscopy)
    ConfigParser.export_config_file(content, str(file), fmt="json")
    write_bundle(microscopy)
    after = ConfigParser.load_config_file(file)
    assert {key: after[key] for key in measured} == measured
    assert after["task"] == "Super-resolution x2 and x4 of cells"
    assert "typo" not in after


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"scale": 4, "restore#provenance#views": 1, "precision": "float32"}),
        ({"spatial_dims": 3}, {"scale": 2, "tile_size": 96}),
        ({"spatial_dims": 3, "scale": 1.5}, {"scale": 1.5}),
        ({"scale": 3, "tile_size": 64}, {"scale": 3, "tile_size": 64}),
        ({"uncertainty": True}, {"restore#provenance#views": 8}),
    ],
)
def test_options_of_inference_follow_one_another(options, expected) -> None:
    config = inference_config("natural_sr", {"device": "cpu", **options})
    assert {key: config.get_parsed_content(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"steps": 30000, "budget": {"steps": 30000, "minutes": 0}, "scales": [4, 2]}),
        ({"minutes": 5}, {"steps": 0, "budget": {"steps": 0, "minutes": 5}}),
        ({"minutes": 5, "steps": 7}, {"budget": {"steps": 7, "minutes": 5}}),
        ({"dry_run": True}, {"budget": {"steps": 1}, "scale_weights": [0.7, 0.3]}),
        ({"scale": 3, "lr_dir": "small"}, {"scales": [3], "scale_weights": None}),
        ({"lr_dir": "small", "scales": [2]}, {"scales": [2]}),
        ({"train#state#every": 9}, {"train#state#every": 9}),
    ],
)
def test_options_of_training_follow_one_another(options, expected) -> None:
    config = SRWorkflow("natural_sr", "train", device="cpu", **options).parser
    assert {key: config.get_parsed_content(key) for key in expected} == expected

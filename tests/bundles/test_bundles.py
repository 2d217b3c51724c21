"""Every bundle keeps MONAI's rules of layout, metadata, configuration and weights."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, create_workflow
from packaging.version import Version

import monai_sr
from monai_sr.core import devices
from monai_sr.core.bundles import json_twin, write_json_twins
from monai_sr.core.registry import list_bundles
from monai_sr.networks import load_weights
from monai_sr.runtimes import find_runtime
from monai_sr.upscaling.super_resolver import inference_config

FORMAT_FIELDS = {
    "type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range",
    "is_patch_data", "channel_def",
}  # fmt: skip
REQUIRED_METADATA = {
    "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
    "required_packages_version", "supported_apps", "name", "task", "description", "authors",
    "copyright", "intended_use", "eval_metrics", "references", "network_data_format",
}  # fmt: skip
INFERENCE_KEYS = {
    "bundle_root", "device", "dataset_dir", "output_dir", "dataset#data", "evaluator",
    "network_def", "inferer", "preprocessing", "postprocessing", "handlers", "initialize", "run",
}  # fmt: skip
TRAINING_KEYS = {
    "bundle_root", "device", "dataset_dir", "train#trainer#max_epochs", "train#dataset",
    "train#inferer", "train#handlers", "validate#evaluator", "validate#dataset#data",
    "validate#inferer", "validate#key_metric", "validate#handlers", "val_interval",
    "network_def", "initialize", "run",
}  # fmt: skip
# What sets bundles apart; in everything else their configurations are one text.
MAY_DIFFER = {
    "name", "network_def", "in_channels", "single_band_share", "patch_size", "protocol",
    "overshoot",
}  # fmt: skip
PROTOCOL = ("validate", "key_metric", "val_psnr", "protocol")
LARGEST_WEIGHTS = 8 * 2**20
MACHINE_PATH = re.compile(r"(?<![\w.:/])(/(home|root|work|tmp|Users|mnt|data)/|[A-Z]:\\)")


def _in_constraints(repo_root, package: str) -> str:
    lines = (repo_root / "constraints.txt").read_text().splitlines()
    found = re.compile(rf"{package}==(\S+)(?! ; python_version <)")
    pins = [m.group(1) for line in lines if "version <" not in line and (m := found.match(line))]
    assert pins, f"constraints.txt does not pin {package}"
    return pins[0]


def test_layout_is_that_of_the_model_zoo(bundle) -> None:
    files = [
        "LICENSE", "docs/README.md", "docs/data_license.txt", "configs/metadata.json",
        "configs/logging.conf", "configs/inference.yaml", "configs/inference.json",
        "configs/train.yaml", "configs/train.json", "models/model.pt",
    ]  # fmt: skip
    assert [f for f in files if not (bundle.folder / f).is_file()] == []
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*_sr", bundle.name)
    assert "Apache License" in (bundle.folder / "LICENSE").read_text()[:200]


def test_readme_has_the_headings_of_the_model_zoo(bundle) -> None:
    text = (bundle.folder / "docs" / "README.md").read_text()
    for heading in ("Model Overview", "Data", "Training configuration", "Performance"):
        assert re.search(rf"^#+ {heading}$", text, re.MULTILINE), heading
    assert "monai.bundle run" in text


def test_metadata_has_every_field(bundle) -> None:
    metadata = bundle.metadata
    assert REQUIRED_METADATA - set(metadata) == set()
    assert re.search(r"MONAI-extra-test-data/.*/meta_schema_\d{8}\.json$", metadata["schema"])
    assert metadata["version"] in metadata["changelog"]
    newest = max(metadata["changelog"], key=Version)
    assert metadata["version"] == newest
    assert isinstance(metadata["supported_apps"], dict)
    assert "not for primary diagnosis" in metadata["intended_use"]
    numbers = metadata["eval_metrics"].values()
    assert all(isinstance(value, int | float) for value in numbers)


def test_metadata_names_the_tested_versions(bundle, repo_root) -> None:
    metadata = bundle.metadata
    assert metadata["monai_version"] == _in_constraints(repo_root, "monai")
    assert metadata["pytorch_version"] == _in_constraints(repo_root, "torch")
    assert metadata["numpy_version"] == _in_constraints(repo_root, "numpy")
    packages = dict(metadata["required_packages_version"])
    assert packages.pop("monai-sr") == monai_sr.__version__
    for package, version in packages.items():
        assert version == _in_constraints(repo_root, package), package


def test_interval_of_uncertainty_belongs_to_the_shipped_weights(bundle) -> None:
    entry = bundle.metadata["uncertainty"]
    found = hashlib.sha256(bundle.weights.read_bytes()).hexdigest()
    assert entry["weights_sha256"] == found, "fit it anew: benchmarks/fit_uncertainty.py"
    assert sorted(entry["factors"]) == ["2", "4"]


def test_metadata_describes_the_network(bundle) -> None:
    data_format = bundle.metadata["network_data_format"]
    assert list(data_format["inputs"]) == ["image"]
    assert list(data_format["outputs"]) == ["pred"]
    image, pred = data_format["inputs"]["image"], data_format["outputs"]["pred"]
    network = bundle.config("inference")["network_def"]
    for described in (image, pred):
        assert set(described) == FORMAT_FIELDS
        assert described["num_channels"] == network["in_channels"]
        assert list(described["channel_def"]) == [str(i) for i in range(network["in_channels"])]
        assert described["dtype"] == "float32"
    sides = [int(side.partition("*")[0]) for side in image["spatial_shape"]]
    assert pred["spatial_shape"] == [f"{network['scale'] * side}*n" for side in sides]


@pytest.mark.parametrize(
    ("name", "keys"), [("inference", INFERENCE_KEYS), ("train", TRAINING_KEYS)]
)
def test_configuration_has_monais_keys(bundle, name: str, keys: set[str]) -> None:
    parser = ConfigParser(bundle.config(name))
    # "dataset#data" and the like may also be what a component is given.
    assert [key for key in sorted(keys) if key not in parser] == []
    assert parser["bundle_root"] == "."
    assert parser["name"] == bundle.name


def test_configuration_may_be_given_as_json(bundle) -> None:
    for config in sorted(bundle.configs.glob("*.yaml")):
        twin = config.with_suffix(".json")
        assert twin.read_text(encoding="utf-8") == json_twin(config), (
            f"{config.name} was edited: run `python -m monai_sr.core.bundles`"
        )
        parsed = [ConfigParser.load_config_file(str(f)) for f in (config, twin)]
        assert parsed[0] == parsed[1]


def test_json_twins_are_written_for_a_bundle_elsewhere(tmp_path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    (tmp_path / "configs" / "inference.yaml").write_text("b: 1.0e-3\na: [true, null, '×2']\n")
    (twin,) = write_json_twins(tmp_path)
    assert twin.name == "inference.json"
    content = ConfigParser.load_config_file(str(twin))
    assert content == {"b": 1e-3, "a": [True, None, "×2"]}
    assert list(content) == ["b", "a"]


def test_network_is_the_same_in_every_configuration(bundle) -> None:
    def sizes(name: str) -> dict[str, Any]:
        given = bundle.config(name)["network_def"].items()
        elsewhere = (
            "_target_", "system", "system_scale", "in_channels", "spatial_dims", "volume",
            "weights", "start",
        )  # fmt: skip
        return {key: value for key, value in given if key not in elsewhere}

    def channels(name: str) -> int:
        config = bundle.config(name)
        value = config["network_def"]["in_channels"]
        return config["in_channels"] if value == "@in_channels" else value

    for name in ("train", "train_gan"):
        assert sizes(name) == sizes("inference")
        assert channels(name) == channels("inference")
    teacher = bundle.config("train")["teach"]["network"]
    best = sizes("train").items()
    assert {key: value for key, value in best if key not in ("scale", "size", "fast")} == {
        key: value
        for key, value in teacher.items()
        if key not in ("_target_", "in_channels", "start")
    }


@pytest.mark.parametrize("name", ["inference", "train", "train_gan", "evaluate"])
def test_bundles_differ_in_nothing_but_what_is_listed(bundle, name: str) -> None:
    def common(folder) -> dict[str, Any]:
        content = ConfigParser.load_config_file(str(folder / "configs" / f"{name}.yaml"))
        assert not isinstance(content, list)
        if "train" in name:
            *parents, last = PROTOCOL
            entry = content
            for key in parents:
                entry = entry[key]
            del entry[last]
        if name == "train":
            del content["teach"]["network"]
        if name == "inference":
            del content["slices"]["profile"]["kind"]  # of CT a boxcar
            del content["restore"]["provenance"]["usual_overshoot"]
        return {key: value for key, value in content.items() if key not in MAY_DIFFER}

    first = min(list_bundles().values())
    assert common(bundle.folder) == common(first)


def test_no_file_names_a_path_of_one_machine(bundle) -> None:
    for file in bundle.folder.rglob("*"):
        if file.suffix in {".yaml", ".json", ".md", ".txt", ".conf"}:
            assert MACHINE_PATH.findall(file.read_text()) == [], file


def test_weights_are_a_plain_state_dict_that_fits_strictly(bundle) -> None:
    assert bundle.weights.stat().st_size <= LARGEST_WEIGHTS
    state = torch.load(bundle.weights, map_location="cpu", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert all(bool(torch.isfinite(value).all()) for value in state.values())
    parser = ConfigParser(bundle.config("inference"))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(state, strict=True)


@pytest.mark.parametrize("size", ["best", "fast"])
def test_size_has_weights_that_fit_strictly(bundle, size: str) -> None:
    parser = ConfigParser(bundle.config("inference"))
    parser.update({"bundle_root": str(bundle.folder), "size": size})
    network = parser.get_parsed_content("network_def")
    load_weights(network, parser.get_parsed_content("ckpt_path"))
    deep = bundle.name != "xray_sr"
    depth = {"best": 8, "fast": 10 if deep else 4}
    assert len(network.blocks) == depth[size]


def test_monai_finds_every_property_for_inference(bundle, sample, tmp_path) -> None:
    workflow = create_workflow(
        config_file=str(bundle.configs / "inference.yaml"),
        workflow_type="infer",
        bundle_root=str(bundle.folder),
        input=str(sample),
        output_dir=str(tmp_path),
        device="cpu",
    )
    assert workflow.check_properties() == []
    assert workflow.version == bundle.metadata["version"]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_monai_finds_every_property_for_training(bundle, training_options, suffix: str) -> None:
    workflow = create_workflow(
        config_file=str(bundle.configs / f"train.{suffix}"),
        workflow_type="train",
        bundle_root=str(bundle.folder),
        **training_options,
    )
    assert workflow.check_properties() == []
    assert workflow.max_epochs > 0
    assert workflow.val_interval == training_options["val_interval"]


def test_nothing_needs_the_network_or_inverts_transforms(bundle) -> None:
    for name in ("inference", "train"):
        text = (bundle.configs / f"{name}.yaml").read_text()
        assert "http" not in text
        assert "Invert" not in text
        assert "resample: true" not in text.lower()


@pytest.mark.parametrize("stage", ["train", "train_gan"])
@pytest.mark.parametrize(("known", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_training_is_in_the_precision_that_is_fast(bundle, stage, known, precision, monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": known}, raising=False
    )
    monkeypatch.setattr(devices, "is_half_faster", lambda: True)
    config = ConfigParser()
    config.read_config(bundle.folder / "configs" / f"{stage}.yaml")
    config["device"] = "cpu"
    assert config.get_parsed_content("precision") == precision


@pytest.mark.parametrize(
    ("options", "side"),
    [({}, 512), ({"runtime": "torch"}, 256), ({"system": "srcnn"}, 256), ({"tile_size": 99}, 99)],
)
def test_tiles_are_as_large_as_the_runtime_likes(bundle, options, side, monkeypatch):
    monkeypatch.setattr(type(find_runtime("openvino")), "is_installed", lambda _: True)
    config = inference_config(bundle.name, {"device": "cpu", **options})
    assert config.get_parsed_content("tile_size") == side

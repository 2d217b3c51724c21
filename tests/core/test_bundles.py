"""A domain that does not say what it must is answered in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from monai_sr.core.bundles import REQUIRED, made_files, read_domain, write_configs
from monai_sr.core.errors import OptionError
from tests.network_factory import tiny_bundle

COMPLETE = {
    "title": "Cells: a name", "task": "x4", "description": "it's cells",
    "changelog": {"0.1.0": "a"}, "channels": ["red", "green"], "protocol": "native",
    "overshoot": 0.5,
}  # fmt: skip


@pytest.fixture
def recipe(repo_root) -> Path:
    """Return the folder of the shared parts."""
    return repo_root / "bundles" / "recipe"


def _bundle(folder: Path, **changes: object) -> Path:
    content = {k: v for k, v in {**COMPLETE, **changes}.items() if v is not None}
    (folder / "domain.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_a_domain_has_the_recipes_values_where_it_says_nothing(tmp_path, recipe) -> None:
    domain = read_domain(_bundle(tmp_path, single_band_share=0.25), recipe)
    assert domain["single_band_share"] == 0.25
    assert domain["network"]["name"] == "hybrid_cascade"
    assert domain["channels"] == ["red", "green"]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_entry_is_named(key: str, tmp_path, recipe) -> None:
    message = rf"domain.yaml: must have the entry '{key}', got none; add it"
    with pytest.raises(OptionError, match=message):
        read_domain(_bundle(tmp_path, **{key: None}), recipe)


def test_an_unknown_entry_is_answered_with_the_nearest(tmp_path, recipe) -> None:
    with pytest.raises(OptionError, match=r"entry 'overshot' is unknown; did you mean 'overshoot'"):
        read_domain(_bundle(tmp_path, overshot=1), recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", r"must hold entries \(title, .*got none; add them"), ("a: [", "must be readable YAML")],
)
def test_a_file_without_entries_is_refused(text: str, message: str, tmp_path, recipe) -> None:
    (tmp_path / "domain.yaml").write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_domain(tmp_path, recipe)
    assert "\n" not in str(caught.value)


def test_values_keep_what_yaml_would_misread(tmp_path, recipe) -> None:
    made = made_files(_bundle(tmp_path, title="Cells: #1", changelog={"1.0.0": "- a: 'b'"}), recipe)
    metadata = yaml.safe_load(made["configs/metadata.json"])
    assert (metadata["name"], metadata["version"]) == ("Cells: #1", "1.0.0")
    assert metadata["changelog"] == {"1.0.0": "- a: 'b'"}
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 2


def test_a_domain_may_have_another_network(tmp_path, recipe) -> None:
    network = {"name": "compact_residual", "channels": 16, "num_blocks": 2}
    made = made_files(_bundle(tmp_path, network=network), recipe)
    for name in ("inference", "train", "train_gan"):
        content = yaml.safe_load(made[f"configs/{name}.yaml"])
        assert network.items() <= content["network_def"].items()
        assert "recursions" not in content["network_def"]


def test_only_domains_of_volumes_have_their_training(tmp_path, recipe) -> None:
    assert "configs/train_3d.yaml" not in made_files(_bundle(tmp_path), recipe)
    assert "configs/train_3d.yaml" in made_files(_bundle(tmp_path, volumes=True), recipe)


def test_a_license_of_ones_own_stays(tmp_path, recipe) -> None:
    assert made_files(_bundle(tmp_path), recipe)["LICENSE"] == (recipe / "LICENSE").read_text()
    (tmp_path / "LICENSE").write_text("all rights reserved")
    assert "LICENSE" not in made_files(tmp_path, recipe)


def test_a_bundle_written_by_hand_stays_as_it_is(tmp_path) -> None:
    folder = tiny_bundle(tmp_path)
    before = (folder / "configs" / "inference.yaml").read_bytes()
    assert write_configs(folder) == []
    assert (folder / "configs" / "inference.yaml").read_bytes() == before


def test_a_folder_that_is_no_bundle_is_refused(tmp_path) -> None:
    with pytest.raises(OptionError, match="is no bundle"):
        write_configs(tmp_path)

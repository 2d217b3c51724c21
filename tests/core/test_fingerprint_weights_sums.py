"""A bundle's weights are what its metadata says, or they are not loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.errors import WeightsError
from monai_sr.core.fingerprint import KEY, weights_sums
from monai_sr.networks import read_weights
from monai_sr.networks.weights import state_digest
from monai_sr.runtimes.int8 import read_ranges
from tests.network_factory import ROOT, tiny, tiny_bundle


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path)


def test_every_shipped_weights_file_has_its_checksum():
    """Independent of the code that writes them."""
    for folder in sorted(file.parent for file in (ROOT / "bundles").glob("*/models")):
        declared = json.loads((folder / "configs" / "metadata.json").read_text())[KEY]
        files = [file for file in (folder / "models").rglob("*") if file.is_file()]
        sums = {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }
        assert declared == sums, f"{folder.name}: run `python -m monai_sr.core.bundles`"
        assert list(declared) == sorted(declared)


def test_changed_ranges_of_int8_are_refused(bundle):
    file, network = bundle / "models" / "int8.json", tiny(3)
    file.write_text(json.dumps({state_digest(network): {"scales": {"2": {"head": [-1, 1]}}}}))
    write_weights_sums(bundle)
    assert read_ranges(file, network) == {2: {"head": (-1.0, 1.0)}}
    file.write_text(file.read_text().replace("-1", "-2"))
    with pytest.raises(WeightsError, match="must have the SHA-256"):
        read_ranges(file, network)


@pytest.mark.parametrize("name", ["model.pt", "systems/other.pt", "model.safetensors"])
def test_changed_weights_are_refused(bundle, name):
    file = bundle / "models" / name
    file.parent.mkdir(exist_ok=True)
    torch.save(tiny(3).state_dict(), file)
    write_weights_sums(bundle)
    torch.save(tiny(3, seed=1).state_dict(), file)
    with pytest.raises(WeightsError, match=r"must have the SHA-256 \w{64} of its bundle's"):
        read_weights(file)


def test_weights_that_the_metadata_does_not_know_are_refused(bundle):
    shutil.copy(bundle / "models" / "model.pt", bundle / "models" / "added.pt")
    with pytest.raises(WeightsError, match=r"must have an entry in weights_sha256"):
        read_weights(bundle / "models" / "added.pt")


def test_the_remedy_runs_as_it_stands(bundle):
    torch.save(tiny(3, seed=1).state_dict(), bundle / "models" / "model.pt")
    with pytest.raises(WeightsError, match="python -m monai_sr") as caught:
        SuperResolver.from_bundle(bundle, device="cpu")
    command = str(caught.value).rpartition("run python ")[2].split()
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
    SuperResolver.from_bundle(bundle, device="cpu")


def test_ones_own_weights_elsewhere_need_none(bundle, tmp_path):
    own = tmp_path / "model.pt"
    torch.save(tiny(3, seed=1).state_dict(), own)
    SuperResolver.from_bundle(bundle, device="cpu", weights=own)


def test_a_bundle_of_somebody_else_without_checksums_is_loaded(bundle):
    file = bundle / "configs" / "metadata.json"
    content = json.loads(file.read_text())
    del content[KEY]
    file.write_text(json.dumps(content))
    torch.save(tiny(3, seed=1).state_dict(), bundle / "models" / "model.pt")
    assert read_weights(bundle / "models" / "model.pt")


@pytest.mark.parametrize("content", ["no json", "[1]", '{"weights_sha256": 5}'])
def test_metadata_that_cannot_be_read_are_one_line(bundle, content):
    (bundle / "configs" / "metadata.json").write_text(content)
    with pytest.raises(WeightsError, match=r"metadata\.json: .*mend it"):
        read_weights(bundle / "models" / "model.pt")


def test_sums_are_written_beside_what_was_there(bundle):
    before = json.loads((bundle / "configs" / "metadata.json").read_text())
    (bundle / "models" / "notes.txt").write_text("no weights")
    file = write_weights_sums(bundle)
    after = json.loads(file.read_text())
    assert list(after[KEY]) == ["models/model.pt"]
    assert {**before, KEY: None} == {**after, KEY: None}
    assert weights_sums(bundle) == after[KEY]

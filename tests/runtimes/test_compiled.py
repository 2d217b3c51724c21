"""What was exported is known by all that made it."""

from __future__ import annotations

import importlib

from monai_sr.networks import create_generator
from monai_sr.runtimes.compiled import artifact_key
from tests.network_factory import OWN_NETWORK


def test_an_edited_network_of_ones_own_is_exported_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_network_compiled.py"
    file.write_text(OWN_NETWORK)
    network = importlib.import_module(file.stem).Own(2)
    before = artifact_key(network, scale=2)
    assert artifact_key(network, scale=2) == before
    file.write_text(OWN_NETWORK.replace("+ 0.1", "+ 0.2"))  # no weight, option or name tells
    assert artifact_key(network, scale=2) != before


def test_a_network_of_this_package_has_one_key():
    keys = {artifact_key(create_generator("bicubic", scale=2), scale=2) for _ in range(2)}
    assert len(keys) == 1

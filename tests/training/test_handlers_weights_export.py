"""Exported weights are what a bundle ships: a plain half-precision state dict, whole or absent."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from monai_sr.core.errors import OutputError
from monai_sr.networks import load_weights
from monai_sr.training import WeightsExport
from tests.network_factory import tiny


def run(handler, steps=5, on_step=lambda engine: None):
    engine = Engine(lambda engine, batch: on_step(engine))
    handler.attach(engine)
    engine.run([0], max_epochs=steps)


def test_the_file_loads_strictly_and_equals_the_network_in_half_precision(tmp_path):
    network, path = tiny(seed=1), tmp_path / "run" / "model.pt"
    run(WeightsExport(network, path))
    state = torch.load(path, weights_only=True)
    assert {t.dtype for t in state.values()} == {torch.float16}
    target = tiny(seed=2)
    load_weights(target, path)
    for name, value in network.state_dict().items():
        assert torch.equal(target.state_dict()[name], value.half().float())


def test_the_file_appears_at_intervals_and_at_the_end(tmp_path):
    network, path, seen = torch.nn.Linear(1, 1), tmp_path / "model.pt", []

    def on_step(engine):
        seen.append(path.exists() and float(torch.load(path)["weight"]))
        with torch.no_grad():
            network.weight.fill_(engine.state.iteration)

    run(WeightsExport(network, path, every=2), 5, on_step)
    assert seen == [False, False, 2.0, 2.0, 4.0]
    assert float(torch.load(path)["weight"]) == 5


def test_a_terminated_run_leaves_its_last_weights(tmp_path):
    path = tmp_path / "model.pt"
    run(WeightsExport(tiny(), path, every=100), 5, lambda engine: engine.terminate())
    assert path.exists()


def test_counters_stay_whole_numbers(tmp_path):
    network = torch.nn.BatchNorm1d(2)
    network.num_batches_tracked.fill_(70_001)
    run(WeightsExport(network, tmp_path / "model.pt"))
    assert int(torch.load(tmp_path / "model.pt")["num_batches_tracked"]) == 70_001


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    run(WeightsExport(torch.nn.Linear(1, 1), path))
    before = path.read_bytes()

    def full_disk(state, file):
        file.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OutputError, match=r"model\.pt: weights cannot be written"):
        WeightsExport(torch.nn.Linear(1, 1), path)(Engine(lambda e, b: None))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"model\.pt"):
        WeightsExport(torch.nn.Linear(1, 1), tmp_path / "file" / "model.pt")(None)

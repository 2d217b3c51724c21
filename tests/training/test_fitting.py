"""A fit writes dictionaries that load strictly and depend on the loader's seed alone."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.networks import create_generator, load_weights
from monai_sr.training import FitTrainer, PatchLoader


@pytest.fixture
def loader(tmp_path):
    """Cut patches of 9 pixels from two grey random images."""
    random = np.random.default_rng(3)
    files = [tmp_path / f"{i}.npy" for i in range(2)]
    for file in files:
        np.save(file, random.random((1, 48, 44), dtype=np.float32))

    def make(scales=(2,), seed=0):
        options = {"patch_size": 9, "batch_size": 4, "scales": scales, "seed": seed}
        return PatchLoader(files, np.load, **options)

    return make


def network():
    return create_generator(
        "neighbor_embedding", scale=2, in_channels=1, num_exemplars=20, num_neighbors=4
    )


def test_written_weights_load_strictly_and_are_those_of_the_network(loader, tmp_path, caplog):
    path = tmp_path / "run" / "model.pt"
    fitted = network()
    with caplog.at_level(logging.INFO):
        FitTrainer(fitted, loader(), path, patches=10).run()
    assert "NeighborEmbedding learned from 10 patches of 9 pixels" in caplog.text
    assert all(value.dtype == torch.float16 for value in torch.load(path).values())
    again = network()
    load_weights(again, path)
    lr = torch.rand(1, 1, 10, 8)
    # Half precision has 11 bits; a neighbor may be another one for it, a detail is below 1.
    torch.testing.assert_close(again(lr), fitted(lr), rtol=0, atol=0.05)


def test_result_depends_on_the_seed_alone(loader, tmp_path):
    states = []
    for seed in (0, 0, 1):
        path = tmp_path / "model.pt"
        FitTrainer(network(), loader(seed=seed), path, patches=10).run()
        states.append(torch.load(path)["hr_patches"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_network_that_learns_by_gradients_is_refused(loader, tmp_path):
    with pytest.raises(OptionError, match="learns by gradient; use another trainer"):
        FitTrainer(create_generator("srcnn", in_channels=1), loader(), tmp_path / "model.pt")


@pytest.mark.parametrize("scales", [(4,), (2, 4)])
def test_loader_of_another_scale_is_refused(loader, tmp_path, scales):
    with pytest.raises(OptionError, match=r"scales: must be \[2\]"):
        FitTrainer(network(), loader(scales), tmp_path / "model.pt")


def test_no_patches_are_refused(loader, tmp_path):
    with pytest.raises(OptionError, match="patches: must be at least 1, got 0"):
        FitTrainer(network(), loader(), tmp_path / "model.pt", patches=0)


def test_dictionary_that_is_not_finite_is_not_written(loader, tmp_path, monkeypatch):
    broken = network()
    monkeypatch.setattr(broken, "fit", lambda lr, hr: broken.hr_patches.fill_(np.inf))
    with pytest.raises(WeightsError, match="hr_patches holds NaN or infinity"):
        FitTrainer(broken, loader(), tmp_path / "model.pt", patches=4).run()
    assert not (tmp_path / "model.pt").exists()

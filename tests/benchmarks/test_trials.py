"""Ways to get more from training: what they change, and what is written of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trial_networks
import trials
import yaml
from campaign_jobs import Job
from campaign_judge import Figures
from campaign_runs import Had
from torch import nn

from monai_sr.training import PatchLoader
from monai_sr.upscaling.workflow import SRWorkflow


@pytest.fixture
def files(tmp_path):
    """Write an image whose left half is flat."""
    image = np.random.default_rng(0).random((1, 64, 128), dtype=np.float32)
    image[..., :64] = 0.5
    np.save(tmp_path / "a.npy", image)
    return [tmp_path / "a.npy"]


def test_of_two_patches_the_one_with_more_detail_is_learned(files):
    told = {"scales": [2], "patch_size": 8, "batch_size": 32}
    chosen = trials.DetailPatches(files, np.load, **told)
    batch = chosen.batch(5)
    assert batch["image"].shape == (32, 1, 8, 8)
    assert batch["label"].shape == (32, 1, 16, 16)
    drawn = PatchLoader(files, np.load, **{**told, "batch_size": 64}).batch(5)["label"]
    best = trials.detail(drawn).view(-1, 2).amax(dim=1)
    torch.testing.assert_close(trials.detail(batch["label"]), best)
    assert (best > trials.detail(drawn).mean()).float().mean() > 0.6
    assert chosen.batch_size == 32


def test_detail_is_the_mean_difference_of_neighbors():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert trials.detail(ramp).tolist() == [1.0]


def test_every_trial_changes_a_recipe_that_can_be_read():
    content = yaml.safe_load(trials.TRIALS.read_text(encoding="utf-8"))
    job = Job(**content["job"])
    for told in (content["trials"] | content["from_scratch"]).values():
        options = {**job.options, **told}
        workflow = SRWorkflow(job.bundle, "train", size=job.size, scale=4, minutes=1, **options)
        for key, value in told.items():
            assert str(workflow.parser[key]) == str(value)
    for parts in content["averages"].values():
        assert set(parts) <= set(content["trials"])


def test_a_line_tells_the_gain_over_the_start():
    made = trials.line("x", Figures(30.5, 0.2), Figures(30.25, 0.3), Had(5, 100, 12))
    assert made == {
        "trial": "x", "minutes": "5.0", "steps": "100", "hr_megapixels": "12",
        "val_psnr": "30.5000", "val_lpips": "0.2000", "against_start": "+0.2500",
    }  # fmt: skip


def test_the_network_with_attentive_blocks_sees_as_far_as_it_says():
    torch.manual_seed(0)
    network = trial_networks.AttentiveResidual(2, 1, channels=4, num_blocks=2).double().eval()
    nn.init.normal_(network.tail.weight)
    image = torch.rand(1, 1, 41, 41, dtype=torch.float64, requires_grad=True)
    network(image)[..., 40, 40].backward()
    seen = image.grad[0, 0, 20].nonzero()
    assert seen.min() == 20 - network.halo
    assert seen.max() == 20 + network.halo

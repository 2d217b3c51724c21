"""Early outputs are supervised on their own grids."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, resize
from monai_sr.losses import DeepSupervisionLoss, L1Loss, MSELoss

HR = torch.rand(1, 3, 12, 24)


def test_the_result_counts_once_and_the_early_outputs_by_their_mean():
    outputs = [HR + 0.4, HR + 0.2, HR + 0.1]
    value = DeepSupervisionLoss(L1Loss(), early_weight=0.5)(outputs, HR)
    torch.testing.assert_close(value, torch.tensor(0.1 + 0.5 * 0.3))


def test_a_single_output_is_the_loss_itself():
    sr = torch.rand_like(HR)
    assert DeepSupervisionLoss(MSELoss())([sr], HR) == MSELoss()(sr, HR)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_truth_is_reduced_to_a_coarser_grid(scale):
    value = DeepSupervisionLoss(L1Loss())([downsample(HR, scale), HR], HR)
    assert float(value) < 1e-6


def test_grids_need_no_whole_ratio():
    # The x3 stage of a network whose result is x4.
    early = resize(HR, 0.75)
    assert early.shape[-2:] == (9, 18)
    assert float(DeepSupervisionLoss(L1Loss())([early, HR], HR)) < 1e-6


def test_volumes_are_reduced_along_all_three_axes():
    hr = torch.rand(1, 1, 4, 6, 8)
    early = downsample(hr, 2, (-3, -2, -1))
    assert float(DeepSupervisionLoss(L1Loss())([early, hr], hr)) < 1e-6


def test_gradients_reach_every_output():
    hr = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    early = torch.rand(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    result = torch.rand_like(hr).requires_grad_()
    loss = DeepSupervisionLoss(MSELoss(), early_weight=0.7)
    assert torch.autograd.gradcheck(lambda e, r: loss([e, r], hr), (early, result))


def test_a_negative_weight_is_refused():
    with pytest.raises(OptionError, match="early_weight: must not be negative"):
        DeepSupervisionLoss(L1Loss(), early_weight=-1)

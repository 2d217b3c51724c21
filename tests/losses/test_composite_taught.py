"""The loss against two targets."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.losses import L1Loss, MSELoss, TaughtLoss, training_loss


def test_both_targets_count_by_their_weight():
    sr, targets = torch.zeros(1, 2, 3, 4), torch.zeros(1, 4, 3, 4)
    targets[:, :2], targets[:, 2:] = 1.0, -2.0
    assert float(TaughtLoss(L1Loss(), weight=0.5)(sr, targets)) == 1 + 0.5 * 2
    assert float(TaughtLoss(MSELoss(), weight=0)(sr, targets)) == 1


def test_gradient_is_that_of_the_sum():
    sr = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(1, 2, 4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: TaughtLoss(MSELoss(), 0.7)(x, targets), (sr,))


def test_a_negative_weight_is_refused():
    with pytest.raises(OptionError, match="teacher_weight: must not be negative, got -1"):
        TaughtLoss(L1Loss(), weight=-1)


def test_a_run_without_a_teacher_has_its_loss_alone():
    loss = L1Loss()
    assert training_loss(loss, None, 2.0) is loss
    taught = training_loss(loss, "teacher.pt", 2.0)
    assert isinstance(taught, TaughtLoss)
    assert (taught.loss, taught.weight) == (loss, 2.0)

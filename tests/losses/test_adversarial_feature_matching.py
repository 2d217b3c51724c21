"""Features of results are drawn to those of real images, not the other way."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.losses import FeatureMatchingLoss


def test_layers_count_alike_whatever_their_size():
    real = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 8, 1, 1)]
    fake = [torch.full((1, 2, 4, 4), 1.0), torch.full((1, 8, 1, 1), -3.0)]
    assert float(FeatureMatchingLoss()(real, fake)) == 2.0


def test_no_gradient_flows_to_the_real_features():
    real = torch.rand(2, 3, requires_grad=True)
    fake = torch.rand(2, 3, requires_grad=True)
    FeatureMatchingLoss()([real], [fake]).backward()
    assert real.grad is None
    torch.testing.assert_close(fake.grad, (fake - real).sign().detach() / 6)


def test_gradient_is_that_of_the_formula():
    real = [torch.rand(2, 3, dtype=torch.float64)]
    fake = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: FeatureMatchingLoss()(real, [f]), fake)


@pytest.mark.parametrize(("real", "fake"), [(0, 0), (1, 2)])
def test_a_discriminator_without_features_is_refused(real, fake):
    with pytest.raises(OptionError, match="use a discriminator that returns its features"):
        FeatureMatchingLoss()([torch.zeros(1)] * real, [torch.zeros(1)] * fake)

"""Reduced precision around a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.functional.back_projection import back_project
from monai_sr.inferers import AutocastInferer
from monai_sr.networks import EveryOutput, create_generator


class Probe(nn.Module):
    """Remembers in what precision its convolution ran."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, image, scale=None):
        result = self.conv(image)
        self.dtype, self.scale = result.dtype, scale
        return result


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_network_runs_in_that_precision_and_the_result_is_single(dtype):
    probe = Probe()
    result = AutocastInferer(dtype)(torch.rand(1, 1, 5, 5), probe, scale=2)
    assert probe.dtype == getattr(torch, dtype)
    assert probe.scale == 2
    assert result.dtype == torch.float32


def test_full_precision_changes_nothing():
    network, image = create_generator("srcnn", filters=(4, 3)), torch.rand(1, 3, 5, 5)
    assert torch.equal(AutocastInferer()(image, network), network(image))


def test_image_under_the_detail_of_the_flagship_is_not_rounded():
    # Its tails are zero at the start, so the result is the interpolation alone.
    network = create_generator("hybrid_cascade", channels=4, num_blocks=1, block="plain")
    image = torch.rand(1, 3, 6, 6)
    assert torch.equal(AutocastInferer("bfloat16")(image, network), network(image))


def test_gradients_pass_through():
    network = create_generator("srcnn", filters=(4, 3))
    AutocastInferer("bfloat16")(torch.rand(1, 3, 5, 5), network).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_unknown_precision_is_refused():
    with pytest.raises(OptionError, match="float32, bfloat16 or float16, got 'float64'"):
        AutocastInferer("float64")


def test_projected_result_agrees_with_the_input_and_lets_gradients_through():
    network = create_generator("srcnn", scale=2, in_channels=1)
    image = torch.rand(1, 1, 12, 10)
    plain = AutocastInferer()(image, network)
    result = AutocastInferer(consistency=2)(image, network)
    torch.testing.assert_close(result, back_project(plain, image, 2, 2))
    (result**2).sum().backward()
    assert network.extraction.weight.grad.abs().sum() > 0


def test_only_the_last_of_several_results_is_projected():
    network = EveryOutput(create_generator("recursive_cascade", in_channels=1, scales=(2, 4)))
    image = torch.rand(1, 1, 8, 8)
    plain = AutocastInferer()(image, network)
    results = AutocastInferer(consistency=1)(image, network)
    torch.testing.assert_close(results[0], plain[0])
    torch.testing.assert_close(results[1], back_project(plain[1], image, 4, 1))


def test_negative_number_of_steps_is_refused():
    with pytest.raises(OptionError, match="consistency"):
        AutocastInferer(consistency=-1)

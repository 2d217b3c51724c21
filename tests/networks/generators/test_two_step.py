"""Two networks in a row: what the contract of every generator does not say."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_generator

FIRST = {"name": "srcnn", "filters": (4, 3)}
SECOND = {"name": "srresnet", "channels": 16, "num_blocks": 1}


def build(**options):
    return create_generator("two_step", in_channels=1, first=FIRST, second=SECOND, **options).eval()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_untrained_second_step_changes_nothing(scale):
    # Shifted into the range of an image: a PReLU passes positive values as they are.
    model = build(scale=scale)
    torch.nn.init.constant_(model.first.reconstruction.bias, 2.0)
    structure, result = model.every_output(torch.rand(1, 1, 5, 6))
    torch.testing.assert_close(result, structure)


def test_every_output_is_the_first_networks_result_and_the_refined_one():
    model, lr = build(scale=2), torch.rand(2, 1, 5, 6)
    structure, result = model.every_output(lr)
    torch.testing.assert_close(structure, model.first(lr))
    torch.testing.assert_close(result, model(lr))
    with pytest.raises(OptionError, match="built for"):
        model.every_output(lr, 3)


def test_result_of_the_second_step_supervises_the_first():
    model = build(scale=2)
    model(torch.rand(1, 1, 5, 6)).sum().backward()
    assert model.first.extraction.weight.grad.abs().sum() > 0


def test_halos_add_up():
    model = build(scale=4)
    assert model.halo == model.first.halo + model.second.halo


def test_limits_of_either_network_hold_for_both():
    first = {"name": "iterative_back_projection", "steps": 1}
    model = create_generator("two_step", first=first, second=SECOND)
    assert model.info.minimum_size == model.first.info.minimum_size == 2
    assert model.info.is_local


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": {"filters": (4, 3)}}, "first: must hold the name of a generator"),
        ({"first": {"name": "srcnn", "scale": 2}}, "got scale; give that to two_step"),
        ({"second": {"name": "srcnn"}}, "second: must be a network that can be built for scale 1"),
        ({"second": {"name": "srresnt"}}, "srresnet"),
        ({"second": {"name": "srresnet", "num_bloks": 2}}, "num_bloks"),
    ],
)
def test_network_that_does_not_fit_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        create_generator("two_step", **options)

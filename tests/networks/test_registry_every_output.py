"""All supervised results as the result of one call."""

from __future__ import annotations

import torch

from monai_sr.networks import EveryOutput, create_generator


def test_one_call_returns_all_supervised_results():
    generator = create_generator("drcn", scale=2, channels=2, recursions=3)
    lr = torch.rand(1, 3, 4, 5)
    results = EveryOutput(generator)(lr, 2)
    assert len(results) == 4
    for got, expected in zip(results, generator.every_output(lr), strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(results[-1], generator(lr))


def test_generator_without_early_results_gives_its_only_one():
    generator = create_generator("nearest", scale=2)
    (result,) = EveryOutput(generator)(torch.rand(1, 3, 4, 4))
    assert result.shape == (1, 3, 8, 8)


def test_keys_of_the_wrapped_network_stay():
    generator = create_generator("srcnn")
    before = list(generator.state_dict())
    model = EveryOutput(generator)
    assert list(model.generator.state_dict()) == before
    assert all(p is q for p, q in zip(model.parameters(), generator.parameters(), strict=True))

"""What an engine gets from a batch."""

from __future__ import annotations

import pytest
import torch

from monai_sr.training import prepare_sr_batch


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_network_is_told_the_scale_of_the_batch(scale, dims):
    batch = {"image": torch.rand(2, 1, *[5] * dims), "label": torch.rand(2, 1, *[5 * scale] * dims)}
    image, label, args, kwargs = prepare_sr_batch(batch, "cpu")
    assert torch.equal(image, batch["image"])
    assert torch.equal(label, batch["label"])
    assert args == ()
    assert kwargs == {"scale": scale}


def test_plane_images_are_channels_last():
    batch = {"image": torch.rand(2, 3, 5, 5), "label": torch.rand(2, 3, 10, 10)}
    image, *_ = prepare_sr_batch(batch)
    assert image.is_contiguous(memory_format=torch.channels_last)

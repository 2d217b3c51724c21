"""A device is usable or refused in one line."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.devices import usable_device
from monai_sr.core.errors import OptionError


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_that_is_there_is_returned(device):
    assert usable_device(device) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", 1.5])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(OptionError, match=r"device: must be one that this machine has, got"):
        usable_device(device)

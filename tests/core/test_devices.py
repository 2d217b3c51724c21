"""A device is usable or refused in one line."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.devices import training_precision, usable_device
from monai_sr.core.errors import OptionError


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_that_is_there_is_returned(device):
    assert usable_device(device) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", 1.5])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(OptionError, match=r"device: must be one that this machine has, got"):
        usable_device(device)


@pytest.mark.parametrize(
    ("device", "known", "precision"),
    [
        ("cuda:1", {}, "bfloat16"),
        ("mps", {"avx512_bf16": True}, "float32"),
        ("cpu", {}, "float32"),
        ("cpu", {"avx512_bf16": False, "amx_bf16": False, "avx512_vnni": True}, "float32"),
        ("cpu", {"avx512_bf16": True}, "bfloat16"),
        (torch.device("cpu"), {"amx_bf16": True}, "bfloat16"),
    ],
)
def test_training_is_in_half_precision_where_it_is_fast(monkeypatch, device, known, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert training_precision(device) == precision


def test_a_torch_that_does_not_tell_trains_a_processor_in_full_precision(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert training_precision("cpu") == "float32"

"""A device is usable or refused in one line."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.devices import (
    best_device,
    check_precision,
    inference_precision,
    training_precision,
    usable_device,
)
from monai_sr.core.errors import OptionError
from monai_sr.inferers import AutocastInferer, TiledInferer
from monai_sr.runtimes import RuntimeChoice
from tests.network_factory import tiny


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
    monkeypatch.setattr("monai_sr.core.devices.is_half_faster", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert training_precision(device) == precision


def test_a_torch_that_does_not_tell_trains_a_processor_in_full_precision(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert training_precision("cpu") == "float32"


def test_a_processor_that_is_slower_in_half_precision_trains_in_full(monkeypatch):
    known = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    monkeypatch.setattr("monai_sr.core.devices.is_half_faster", lambda: False)
    assert training_precision("cpu") == "float32"


def test_float16_is_refused_where_it_never_ends():
    for device in ("cpu", torch.device("cpu")):
        with pytest.raises(OptionError, match=r"got float16.*use --precision float32"):
            check_precision(device, "float16")
    check_precision("cuda", "float16")
    check_precision("cpu", "bfloat16")


@pytest.mark.parametrize(
    "run",
    [
        lambda image, network: AutocastInferer("float16")(image, network),
        lambda image, network: TiledInferer(2, dtype="float16")(image, network),
        lambda image, network: RuntimeChoice("auto", precision="float16")(network, "cpu"),
        lambda image, network: RuntimeChoice("torch", precision="float16")(network, "cpu"),
        lambda image, network: RuntimeChoice("inductor", precision="float16")(network, "cpu"),
    ],
)
def test_nothing_computes_in_float16_on_a_processor(run):
    with pytest.raises(OptionError, match="got float16"):
        run(torch.rand(1, 1, 8, 8), tiny())


@pytest.mark.parametrize(("is_there", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_taken_where_there_is_one(is_there, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    assert best_device() == torch.device(device)


@pytest.mark.parametrize(
    ("device", "spread", "precision"),
    [
        ("cuda", False, "bfloat16"),
        (torch.device("cuda", 1), False, "bfloat16"),
        ("cuda:1", True, "float32"),  # what views differ by is below bfloat16
        ("cpu", False, "float32"),
        ("mps", False, "float32"),
    ],
)
def test_inference_is_in_half_precision_on_gpus_alone(device, spread, precision):
    assert inference_precision(device, spread=spread) == precision

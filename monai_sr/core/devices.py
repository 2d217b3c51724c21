"""Check the device that a user names before anything is loaded onto it, and what it does fast."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_sr.core.errors import OptionError
from monai_sr.core.half_speed import is_half_faster


def usable_device(device: torch.device | str) -> torch.device:
    """Return a device on which tensors can be made.

    Args:
        device: "cpu", "cuda", "cuda:1", ... or a torch device.

    Raises:
        OptionError: if torch does not know it, or this machine or installation lacks it.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise OptionError(
            f"device: must be one that this machine has, got {str(device)!r}; use --device cpu"
        ) from error
    return found


def best_device() -> torch.device:
    """Return the device that a bundle takes where none is named: a GPU of CUDA, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def inference_precision(device: torch.device | str, *, spread: bool = False) -> str:
    """Return "bfloat16" on GPUs of CUDA, else "float32".

    Args:
        device: "cpu", "cuda", ... or a torch device.
        spread: whether the spread of several views is asked for, which is far below what bfloat16
            rounds away.
    """
    is_cuda = str(device).partition(":")[0] == "cuda"
    return "bfloat16" if is_cuda and not spread else "float32"


def training_precision(device: torch.device | str) -> str:
    """Return "bfloat16" on GPUs of CUDA and processors that are faster in it, else "float32".

    Of processors that multiply in it (x86 with AVX512_BF16 or AMX, where this version of torch can
    tell) some are twice as fast so, others half as fast: one convolution is timed, once.

    Args:
        device: "cpu", "cuda", ... or a torch device.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16"
    if torch.device(device).type != "cpu":
        return "float32"
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    is_able = known.get("avx512_bf16") or known.get("amx_bf16")
    return "bfloat16" if is_able and is_half_faster() else "float32"


def check_precision(device: torch.device | str, precision: str) -> None:
    """Refuse float16 on processors, where it takes hours for what float32 does in seconds.

    Raises:
        OptionError: it is asked for.
    """
    if precision == "float16" and torch.device(device).type == "cpu":
        raise OptionError(
            "precision: must be float32 or bfloat16 on a CPU, got float16, which never ends there; "
            "use --precision float32"
        )


def hardware(device: torch.device) -> str:
    """Name the processor that a network runs on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.processor()

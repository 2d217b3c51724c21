"""Check the device that a user names before anything is loaded onto it, and what it does fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from monai_sr.core.errors import OptionError


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


def training_precision(device: torch.device | str) -> str:
    """Return "bfloat16" on GPUs of CUDA and processors that multiply in it, else "float32".

    Such processors (x86 with AVX512_BF16 or AMX, where this version of torch can tell) are about
    twice as fast so.

    Args:
        device: "cpu", "cuda", ... or a torch device.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16"
    if torch.device(device).type != "cpu":
        return "float32"
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "float32"

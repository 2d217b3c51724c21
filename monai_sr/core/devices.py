"""Check the device that a user names before anything is loaded onto it."""

from __future__ import annotations

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

"""Losses are computed in float32 at least, whatever automatic casting gave them."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision to float32; leave float32 and float64 as they are.

    Shape: any, any floating dtype -> same, float32 or float64.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))

"""The range of an image around each of its samples: what an enlargement of it should stay within.

A network sharpens an edge by going beyond both of its sides. How far it may go is a share of what
the neighborhood spans, so that flat regions stay flat and details keep their contrast.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOCAL_REACH = 1
"""Samples around each one that its neighborhood reaches to: 3 x 3 or 3 x 3 x 3 together."""


def local_range(lr: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest value around each sample, widened.

    Shape: lr (N, C, X, Y[, Z]), on [0, 1] -> twice the same.

    Args:
        lr: the image; outside of it there is nothing.
        margin: by which share of their difference both are widened; by no more than that share of
            [0, 1] where they lie in it: a hot pixel does not let its neighbors ring.
    """
    pool = F.max_pool2d if lr.ndim == 4 else F.max_pool3d
    size = 2 * LOCAL_REACH + 1
    high = pool(lr, size, stride=1, padding=LOCAL_REACH)
    low = -pool(-lr, size, stride=1, padding=LOCAL_REACH)
    wider = (high - low).mul_(margin)
    usual = wider.clamp(max=margin)
    return low - torch.where(low < 0, wider, usual), high + torch.where(high > 1, wider, usual)

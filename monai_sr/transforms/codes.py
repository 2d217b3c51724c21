"""Takes codes through the steps that measured values go: unchanged, and compared as equal or not.

What the network would do to labels and bit masks, nearest neighbor does without a value that was
not there: every sample of the result has that of the sample which covers its center.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from monai.data import MetaTensor
from torch import Tensor

from monai_sr.formats.meaning import CODES, kind_of
from monai_sr.transforms.agreement import Agreement, covering


def are_codes(meta: Mapping[str, Any]) -> bool:
    """Tell whether all values of an image, or of a batch, are codes."""
    return kind_of(meta) in CODES


def code_bands(meta: Mapping[str, Any]) -> list[int]:
    """Return the bands that are codes in an image whose others are not."""
    return [int(band) for band in np.asarray(meta.get("sr_code_bands", ())).ravel()]


def as_unit(stored: Tensor, meta: dict[str, Any]) -> MetaTensor:
    """Pass codes on as they are; ``meta`` gains what a mapping by (0, 1) would leave."""
    meta["sr_range"] = np.array([[0.0, 1.0]])
    meta["sr_clip"] = np.asarray(meta["sr_storable"], dtype=np.float64).copy()
    return MetaTensor(stored, meta=meta)


def stored_codes(pred: Tensor, meta: Mapping[str, Any]) -> np.ndarray:
    """Return enlarged codes in the file's data type."""
    codes: np.ndarray = pred.detach().cpu().numpy().astype(np.dtype(str(meta["sr_dtype"])))
    return codes


def code_agreement(stored: np.ndarray, lr: Tensor) -> Agreement:
    """Compare codes with those they were made from, at the centers of the coarser grid.

    Shape: stored (C, ...) enlarged, lr (C, ...).

    Returns:
        The share of samples that differ; LR-PSNR is infinite where none does, else NaN: codes have
        no distance.
    """
    common = [min(*pair) for pair in zip(stored.shape[1:], lr.shape[1:], strict=True)]
    small, given = covering(stored, common), covering(lr.cpu().numpy(), common)
    differs = (small != given) & ~(np.isnan(small) & np.isnan(given))
    if not differs.any():
        bands = ((math.inf, 0.0),) * len(stored)
        return Agreement(math.inf, 0.0, 0.0, (0,) * stored.ndim, bands)
    place = tuple(int(i) for i in np.argwhere(differs)[0])
    shares = tuple((math.nan, float(band.mean())) for band in differs)
    return Agreement(math.nan, max(share for _, share in shares), math.nan, place, shares)


def keep_code_bands(stored: np.ndarray, lr: np.ndarray, meta: Mapping[str, Any]) -> None:
    """Give the bands that are codes blocks of their own codes, in place.

    Shape: stored (C, ...) enlarged, lr (C, ...) as read.
    """
    for band in code_bands(meta):
        stored[band] = covering(lr[band], stored.shape[1:])

"""Convert RGB to the luma of studio-swing YCbCr as ITU-R BT.601 defines it.

The numbers are those of MATLAB's ``rgb2ycbcr``, on which the published super-resolution tables
rest: luma spans 16 to 235 when one unit of the image is 255 grey levels.

References:
    ITU-R Recommendation BT.601-7 (2011), section 3.5.
"""

import torch
from torch import Tensor

from monai_sr.core import OptionError

# Of R, G, B in [0, 1]; luma in grey levels of an 8-bit picture.
_WEIGHTS = (65.481, 128.553, 24.966)
_BLACK, _LEVELS = 16.0, 255.0
LUMA_SWING = sum(_WEIGHTS) / _LEVELS
"""Luma of white less that of black, as a share of the range of RGB: 219 / 255."""


def rgb_to_y(image: Tensor) -> Tensor:
    """Return the luma of an RGB image alone.

    Shape: image (..., 3, H, W), floating point in [0, 1] -> (..., 1, H, W) in [16/255, 235/255].

    Raises:
        OptionError: if the image has no three channels or is not floating point.
    """
    _check(image)
    weights, black = (
        (torch.tensor(numbers, dtype=torch.float64) / _LEVELS).to(image)
        for numbers in ([_WEIGHTS], _BLACK)
    )
    return torch.einsum("ij,...jhw->...ihw", weights, image) + black


def _check(image: Tensor) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        raise OptionError(
            f"image: its shape must be (..., 3, H, W), got {tuple(image.shape)}; "
            "pass grey images as they are, they have no chroma"
        )
    if not image.is_floating_point():
        raise OptionError(
            f"image: must be floating point in [0, 1], got {image.dtype}; divide by its range first"
        )

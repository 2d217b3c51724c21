"""Convert between RGB and studio-swing YCbCr as ITU-R BT.601 defines it.

The numbers are those of MATLAB's ``rgb2ycbcr``, on which the published super-resolution tables
rest: luma spans 16 to 235 and chroma 16 to 240 when one unit of the image is 255 grey levels.

References:
    ITU-R Recommendation BT.601-7 (2011), section 3.5.
"""

import torch
from torch import Tensor

from monai_sr.core import OptionError

# Rows Y, Cb, Cr; columns R, G, B, each in [0, 1]; results in grey levels of an 8-bit picture.
_MATRIX = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_OFFSET = (16.0, 128.0, 128.0)
_LEVELS = 255.0
LUMA_SWING = sum(_MATRIX[0]) / _LEVELS
"""Luma of white less that of black, as a share of the range of RGB: 219 / 255."""


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """Convert RGB to YCbCr.

    Shape: image (..., 3, H, W), floating point in [0, 1] -> the same shape and dtype; Y in
    [16/255, 235/255], Cb and Cr in [16/255, 240/255].

    Raises:
        OptionError: if the image has no three channels or is not floating point.
    """
    _check(image)
    matrix, offset = _constants(image)
    return torch.einsum("ij,...jhw->...ihw", matrix, image) + offset[:, None, None]


def rgb_to_y(image: Tensor) -> Tensor:
    """Return the luma of an RGB image alone.

    Shape: image (..., 3, H, W), floating point in [0, 1] -> (..., 1, H, W) in [16/255, 235/255].

    Raises:
        OptionError: if the image has no three channels or is not floating point.
    """
    _check(image)
    matrix, offset = _constants(image)
    return torch.einsum("ij,...jhw->...ihw", matrix[:1], image) + offset[0]


def _constants(like: Tensor) -> tuple[Tensor, Tensor]:
    matrix = torch.tensor(_MATRIX, dtype=torch.float64) / _LEVELS
    offset = torch.tensor(_OFFSET, dtype=torch.float64) / _LEVELS
    return matrix.to(like), offset.to(like)


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

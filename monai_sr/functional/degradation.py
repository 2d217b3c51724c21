"""What makes images poor besides few pixels: OpenCV's aliased shrinking, blur, noise and JPEG.

References:
    OpenCV, module imgproc, ``cv::resize`` with ``INTER_CUBIC``.
    R. Keys, 1981, doi:10.1109/TASSP.1981.1163711: the cubic kernel.
    ITU-T T.81 (1992): JPEG.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError

_A = -0.75
"""OpenCV's parameter of Keys' kernel; MATLAB's is -0.5."""
# Kernel at distances 3/2 and 1/2: where a result lies between two samples, as it does at even
# scales.
_HALFWAY = (_A / 8, 0.5 - _A / 8, 0.5 - _A / 8, _A / 8)
_TRUNCATE = 4.0
"""Standard deviations after which a Gaussian ends, as in ``scipy.ndimage.gaussian_filter``."""
_TAIL = 4
"""Pixels by which its taps go on: those of narrow Gaussians oscillate."""


def opencv_downsample(image: Tensor, scale: int, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Shrink by a whole factor as ``cv2.resize(..., interpolation=cv2.INTER_CUBIC)`` does.

    The kernel is not stretched, so that nothing prevents aliasing: whatever the scale, a result
    depends on 4 x 4 pixels around its center, at odd scales on the one pixel there. Edges are
    repeated. Results in uint8 equal those of ``cv2`` 4.10 and 5.0 in every value.

    Shape: image (..., H, W) uint8 or floating point, any range, sizes multiples of ``scale`` ->
    (..., H / scale, W / scale), same dtype.

    Raises:
        OptionError: if a size is not a multiple of ``scale``.
    """
    sizes = [image.shape[dim] for dim in dims]
    if scale < 1 or any(size % scale for size in sizes):
        raise OptionError(f"image: sizes must be multiples of {scale}, got {sizes}; crop it first")
    # Products of these weights with whole numbers are exact in double precision.
    result = image if image.is_floating_point() else image.double()
    for dim in dims:
        result = _pick(result, scale, dim)
    if image.is_floating_point():
        return result
    return result.round_().clamp_(0, 255).to(image.dtype)  # halves to even, as cv2's vector code


def _pick(image: Tensor, scale: int, dim: int) -> Tensor:
    """Interpolate one axis at the centers of its groups of ``scale`` samples."""
    size = image.shape[dim]
    middle = torch.arange(scale // 2, size, scale, device=image.device)
    if scale % 2:
        return image.index_select(dim, middle)
    result = torch.zeros((), dtype=image.dtype, device=image.device)
    for offset, weight in zip(range(-2, 2), _HALFWAY, strict=True):
        taps = (middle + offset).clamp(0, size - 1)
        result = result + weight * image.index_select(dim, taps)
    return result


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Multiply the frequencies of an image by those of a Gaussian; the edges are repeated.

    Below one pixel, samples of a Gaussian make no good kernel: they blur by less than they say. The
    taps here have exp(-sigma^2 w^2 / 2) as their response up to half the sampling frequency. Blur
    after shrinking then comes closest to a blur before it that is ``scale`` times as wide: within
    0.8 grey levels at sigma 0.5, where samples of a Gaussian are off by 2.4, and 0.2 at sigma 1
    (root mean square, measured on photos at x2 and x4).

    Shape: image (C, H, W) floating point, any range -> same shape and dtype.

    Args:
        image: what to blur.
        sigma: standard deviation in pixels.
    """
    if sigma == 0:
        return image
    radius = int(_TRUNCATE * sigma + 0.5) + _TAIL
    count = 16 * radius  # points of the integral over frequencies, many times the taps
    frequency = (torch.arange(count, dtype=torch.float64) + 0.5) * math.pi / count
    response = torch.exp(-0.5 * (sigma * frequency) ** 2)
    place = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = (torch.cos(place.view(-1, 1) * frequency) * response).sum(1)
    kernel = (taps / taps.sum()).to(image).view(1, 1, -1, 1)
    padded = F.pad(image.unsqueeze(1), (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3)).squeeze(1)


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Compress and decompress as baseline JPEG, by Pillow on the CPU.

    Three channels are stored together (luma, and chroma of half the resolution); any other number
    one by one. Values are rounded to 8 bits before, and 8-bit values come back.

    Shape: image (C, H, W) floating point in [0, 1], clipped to it -> same shape, dtype and device.

    Args:
        image: what to compress.
        quality: 1 (worst) ... 100, the scale of libjpeg.
    """
    stored = (image.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    pages = [stored.permute(1, 2, 0)] if stored.shape[0] == 3 else list(stored)
    read = []
    for page in pages:
        file = io.BytesIO()
        Image.fromarray(page.contiguous().numpy()).save(file, "JPEG", quality=quality)
        read.append(torch.from_numpy(np.array(Image.open(file, formats=["JPEG"]))))
    result = read[0].permute(2, 0, 1) if stored.shape[0] == 3 else torch.stack(read)
    return result.to(image.device, image.dtype) / 255

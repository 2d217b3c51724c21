"""Compute the structural similarity map of two images under a Gaussian window.

The definition is the one of the authors' ``ssim_index``: an 11-pixel Gaussian window of standard
deviation 1.5, local moments weighted by it (no sample correction), and only positions where the
window lies inside the image. It is differentiable, so losses and metrics share it.

References:
    Wang, Bovik, Sheikh, Simoncelli (2004), Image quality assessment: from error visibility to
    structural similarity, doi:10.1109/TIP.2003.819861.
    Wang, Simoncelli, Bovik (2003), Multiscale structural similarity for image quality assessment,
    doi:10.1109/ACSSC.2003.1292216.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError

WINDOW_PX = 11
_SIGMA_PX = 1.5
_K1 = 0.01
_K2 = 0.03
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""How much each of five resolutions counts, from the finest; by the observers of Wang (2003)."""
MULTISCALE_SIDE_PX = (WINDOW_PX - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1
"""Shortest side whose coarsest resolution holds the window: 161."""


def ssim_map(image: Tensor, reference: Tensor, *, data_range: float) -> Tensor:
    """Compare two images position by position.

    Shape: image, reference (N, C, H, W), same floating dtype -> (N, C, H - 10, W - 10). Volumes
    (N, C, H, W, D) are compared under the window in three dimensions.

    Args:
        image: the image to judge.
        reference: what it should be.
        data_range: difference between the largest and the smallest possible value.

    Returns:
        Values in [-1, 1]; 1 where both agree. Higher is better.

    Raises:
        OptionError: if shapes or dtypes differ, a side is shorter than the window, or the range is
            not positive.
    """
    luminance, structure = _terms(image, reference, data_range)
    return luminance * structure


def _terms(image: Tensor, reference: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Return the comparison of means, and that of contrast and structure, at every position."""
    _check(image, reference, data_range)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    # One shift for both changes no variance and keeps float32 from losing it to large means.
    shift = reference.detach().mean(dim=tuple(range(2, reference.ndim)), keepdim=True)
    x, y = image - shift, reference - shift
    moments = _blur(torch.stack([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, xx, yy, xy = moments.unbind(0)
    var_x = xx - mean_x * mean_x
    var_y = yy - mean_y * mean_y
    covariance = xy - mean_x * mean_y
    mean_x, mean_y = mean_x + shift, mean_y + shift
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def ssim(image: Tensor, reference: Tensor, *, data_range: float) -> Tensor:
    """Average :func:`ssim_map` over channels and positions.

    Shape: image, reference (N, C, H, W[, D]) -> (N,), same dtype.

    Raises:
        OptionError: as :func:`ssim_map`.
    """
    return ssim_map(image, reference, data_range=data_range).flatten(1).mean(1)


def ms_ssim(image: Tensor, reference: Tensor, *, data_range: float) -> Tensor:
    """Compare images at five resolutions: the product of powers of contrast and structure.

    Each resolution is the average of 2 x 2 pixels of the one before; means are compared at the
    coarsest. A negative similarity, which has no power, counts as none.

    Shape: image, reference (N, C, H, W), same floating dtype -> (N,), same dtype; higher is
    better, 1 for equal images.

    Raises:
        OptionError: as :func:`ssim_map`, or if a side is shorter than 161 pixels.
    """
    if image.ndim != 4 or min(image.shape[2:]) < MULTISCALE_SIDE_PX:
        raise OptionError(
            f"image: must be (N, C, H, W) with sides of at least {MULTISCALE_SIDE_PX} pixels for "
            f"five resolutions, got {tuple(image.shape)}; use SSIM"
        )
    result = image.new_ones(image.shape[:2])
    for step, weight in enumerate(_SCALE_WEIGHTS, start=1):
        luminance, structure = _terms(image, reference, data_range)
        is_last = step == len(_SCALE_WEIGHTS)
        similarity = (luminance * structure if is_last else structure).mean(dim=(2, 3))
        result = result * similarity.clamp(min=0) ** weight
        image, reference = (F.avg_pool2d(each, 2) for each in (image, reference))
    return result.mean(dim=1)


def _blur(images: Tensor) -> Tensor:
    """Weight the last spatial axes, those after (moment, N, C), by the Gaussian; valid part."""
    position = torch.arange(WINDOW_PX, dtype=torch.float64) - WINDOW_PX // 2
    weights = torch.exp(-(position**2) / (2 * _SIGMA_PX**2))
    taps = (weights / weights.sum()).tolist()
    # Eleven shifted sums: on one channel this beats a convolution, above all in float64.
    for axis in range(3, images.ndim):
        length = images.shape[axis] - WINDOW_PX + 1
        total = images.narrow(axis, 0, length) * taps[0]
        for start, tap in enumerate(taps[1:], start=1):
            total = total.add(images.narrow(axis, start, length), alpha=tap)
        images = total
    return images


def _check(image: Tensor, reference: Tensor, data_range: float) -> None:
    if image.shape != reference.shape or image.dtype != reference.dtype:
        raise OptionError(
            "image: shape and dtype must be those of the reference "
            f"{tuple(reference.shape)} {reference.dtype}, got {tuple(image.shape)} {image.dtype}; "
            "crop or convert one of them"
        )
    if image.ndim not in (4, 5) or not image.is_floating_point():
        raise OptionError(
            "image: must be floating point of shape (N, C, H, W) or (N, C, H, W, D), "
            f"got {image.dtype} {tuple(image.shape)}; add the missing axes or convert it"
        )
    if min(image.shape[2:]) < WINDOW_PX:
        raise OptionError(
            f"image: every side must be at least {WINDOW_PX} pixels for SSIM, "
            f"got {tuple(image.shape[2:])}; use PSNR for images this small"
        )
    if not data_range > 0:
        raise OptionError(
            f"data_range: must be positive, got {data_range}; pass 255 for 8-bit values"
        )

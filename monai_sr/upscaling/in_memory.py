"""What images in memory must be, before they are enlarged."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms.lazy.functional import apply_pending
from monai.utils import MetaKeys
from torch import Tensor

from monai_sr.core import BadImageError
from monai_sr.formats import Facts
from monai_sr.transforms import are_codes

_OVERSHOOT = 0.5  # bicubic resizing overshoots a step of 1 by 0.15 in two dimensions
_COLORS = (1, 3, 4)


def settled(image: Tensor) -> Tensor:
    """Carry out what lazy transforms of MONAI have left to do; the image that is given stays.

    As MONAI's own transforms would: else the result would be that of an image before them.
    """
    if isinstance(image, MetaTensor) and image.pending_operations:
        done: MetaTensor = apply_pending(image.clone())[0]  # type: ignore[no-untyped-call]
        return done
    return image


def check_image(image: Tensor) -> bool:
    """Refuse what cannot be enlarged; tell whether it is a batch."""
    _check_storage(image)
    if not image.is_floating_point():
        raise _not_floating(image.dtype)
    is_single = isinstance(image, MetaTensor) and not image.is_batch
    is_volumes = image.ndim == 5 and isinstance(image, MetaTensor) and not is_single
    if not (image.ndim in (3, 4) or is_volumes) or 0 in image.shape:
        raise BadImageError(
            f"image: must be (C, H, W), (N, C, H, W) or (C, X, Y, Z), got {tuple(image.shape)}"
        )
    if is_single and image.ndim == 4 and _knows_a_plane(image):
        raise BadImageError(
            "image: a MetaTensor (C, X, Y, Z) must know three sizes (spatial_shape), got "
            f"{tuple(image.shape)} that knows those of a plane; collate images to a batch "
            "(monai.data.list_data_collate, or image.is_batch = True), or name the volume's sizes"
        )
    is_code = isinstance(image, MetaTensor) and are_codes(image.meta)
    if not is_code and not bool(torch.isfinite(image).all()):
        raise BadImageError("image: holds NaN or infinite values; fill them first")
    _check_range(image)
    _warn_of_layout(image)
    return image.ndim >= 4 and not is_single


def _check_storage(image: Tensor) -> None:
    """Refuse tensors whose values torch cannot compare, or that have none."""
    is_dense = image.layout == torch.strided and not image.is_nested
    if is_dense and not image.is_meta and not (image.is_floating_point() and _is_tiny(image)):
        return
    kind = "nested" if image.is_nested else str(image.layout)
    raise BadImageError(
        f"image: must be a dense tensor that holds its values in 16 bits or more, got a {kind} one "
        f"of {image.dtype} on {image.device.type}; convert it first (image.to_dense().float(); "
        "images of a nested tensor one by one)"
    )


def _is_tiny(image: Tensor) -> bool:
    return image.dtype.itemsize < torch.float16.itemsize


def _knows_a_plane(image: Tensor) -> bool:
    """Tell whether readers have said of an image that it has two axes."""
    meta = image.meta if isinstance(image, MetaTensor) else {}
    return np.asarray(meta.get(MetaKeys.SPATIAL_SHAPE, ())).size == 2


def _not_floating(dtype: object) -> BadImageError:
    return BadImageError(
        f"image: must be floating point in [0, 1], got {dtype}; divide it by its range"
    )


def as_tensor(image: np.ndarray) -> Tensor:
    """Return a float32 tensor; read-only arrays and foreign byte orders are copied."""
    if image.dtype.kind != "f":
        raise _not_floating(image.dtype)
    if np.ma.is_masked(image):
        raise BadImageError(
            "image: must hold a value everywhere, got an array with masked values; fill them first "
            "(image.filled(...)), or give the path of the file"
        )
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.require(image, np.float32, ["C", "W"]))


def _check_range(image: Tensor) -> None:
    """Refuse values that would be clipped to nothing; our readers' images say their own limits."""
    if isinstance(image, MetaTensor) and Facts(image.meta).knows("clip"):
        return
    values = image.detach()  # torch warns of a number that is made of one that learns
    low, high = float(values.min()), float(values.max())
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise BadImageError(
            f"image: values must lie in [0, 1], got {low:g} to {high:g}; map them first "
            "(monai.transforms.ScaleIntensityRange), or give the path of the file"
        )


def _warn_of_layout(image: Tensor) -> None:
    """Say how an image is taken that looks like one whose channels come last."""
    channels, height, width = image.shape[-3:]
    is_usual = width not in _COLORS or min(channels, height) <= max(_COLORS)
    if isinstance(image, MetaTensor) or is_usual:
        return
    order = (2, 0, 1) if image.ndim == 3 else (0, 3, 1, 2)
    warnings.warn(
        f"image: {tuple(image.shape)} is taken as {channels} channels of {height} x {width}; "
        f"if channels come last, transpose it to {order}",
        stacklevel=2,
    )

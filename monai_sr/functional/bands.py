"""The matrices of bicubic resizing along one axis: sparse bands, cut into small dense blocks.

Products of small dense matrices are the fastest way to resize on a CPU: they reach many times the
speed of gathering taps, and a block of lines stays in the cache. Mirroring at the edges is part of
the matrices, so images are never padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def cubic(x: np.ndarray) -> np.ndarray:
    """Evaluate Keys' cubic kernel (a = -1/2) at the distances ``x``, in samples."""
    d = np.abs(x)
    near = 1.5 * d**3 - 2.5 * d**2 + 1.0
    far = -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0
    return np.where(d <= 1, near, np.where(d <= 2, far, 0.0))


def resized(size: int, scale: float) -> int:
    """Return the length of an axis after resizing: the product, rounded up."""
    return math.ceil(round(size * scale, 9))


def blocks(
    size: int, scale: float, rows: int, like: Tensor
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Divide the resizing of one axis of ``size`` samples into products with small matrices.

    Shape: matrices (lines of the result, lines of the source), on the device and of the dtype of
    ``like``; at most ``rows`` lines of the result each.

    Yields:
        Lines of the result, lines of the source that they need, and the matrix between them.
    """
    first, bands = _bands(size, scale, rows)
    matrices = torch.as_tensor(bands, dtype=like.dtype, device=like.device)
    out_size = resized(size, scale)
    for start, begin, matrix in zip(range(0, out_size, rows), first, matrices, strict=True):
        stop = min(start + rows, out_size)
        yield slice(start, stop), slice(begin, begin + matrix.shape[1]), matrix[: stop - start]


@lru_cache(maxsize=16)
def _bands(size: int, scale: float, rows: int) -> tuple[list[int], np.ndarray]:
    """Return where the source lines of each block begin, and (blocks, rows, source lines)."""
    out_size = resized(size, scale)
    source, weight = _contributions(size, out_size, scale)
    count = -(-out_size // rows)
    filler = ((0, 0), (0, count * rows - out_size))
    source = np.pad(source, filler, mode="edge").reshape(-1, count, rows)
    weight = np.pad(weight, filler).reshape(-1, count, rows)
    first = source.min(axis=(0, 2))
    width = int((source.max(axis=(0, 2)) - first).max()) + 1
    first = np.minimum(first, size - width)
    bands = np.zeros((count, rows, width))
    block, row = np.arange(count)[:, None], np.arange(rows)
    # A tap at a time: near an edge several taps, mirrored, fall on one sample.
    for column, value in zip(source - first[:, None], weight, strict=True):
        bands[block, row, column] += value
    return first.tolist(), bands


def _contributions(size: int, out_size: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute source indices and weights, both (taps, out_size), as ``imresize`` does."""
    stretch = min(scale, 1.0)
    width = 4.0 / stretch
    center = np.arange(1, out_size + 1) / scale + 0.5 * (1.0 - 1.0 / scale)
    left = np.floor(center - width / 2)
    index = left[None, :] + np.arange(math.ceil(width) + 2)[:, None]
    weight = stretch * cubic(stretch * (center[None, :] - index))
    weight /= weight.sum(axis=0, keepdims=True)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    source = mirror[np.mod(index.astype(np.int64) - 1, 2 * size)]
    # A tap without weight points to the heaviest one, lest it widen the matrices.
    heaviest = np.take_along_axis(source, weight.argmax(axis=0)[None], axis=0)
    return np.where(weight == 0, heaviest, source), weight

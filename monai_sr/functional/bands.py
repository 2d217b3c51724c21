"""The matrices of bicubic resizing along one axis: sparse bands, cut into small dense blocks.

Products of small dense matrices are the fastest way to resize on a CPU: they reach many times the
speed of gathering taps, and a block of lines stays in the cache. Mirroring at the edges is part of
the matrices, so images are never padded.
"""

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


def source_span(size: int, scale: float, start: int, stop: int) -> tuple[int, int]:
    """Return first and last + 1 of the samples that results ``start`` to ``stop`` depend on.

    Args:
        size: samples of the axis before resizing.
        scale: factor of the axis.
        start: first result.
        stop: last result + 1.
    """
    source, _ = _contributions(size, scale, start, stop)
    return int(source.min()), int(source.max()) + 1


def blocks(
    size: int, scale: float, rows: int, like: Tensor, part: tuple[int, int] | None = None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Divide the resizing of one axis of ``size`` samples into products with small matrices.

    Shape: matrices (lines of the result, lines of the source), on the device and of the dtype of
    ``like``; at most ``rows`` lines of the result each.

    Args:
        size: samples of the whole axis.
        scale: its factor.
        rows: lines of the result in one product, at most.
        like: says device and dtype.
        part: first and last + 1 of the results that are wanted; all where None. Lines then count
            from there, and those of the source from the first of :func:`source_span`.

    Yields:
        Lines of the result, lines of the source that they need, and the matrix between them.
    """
    start, stop = part or (0, resized(size, scale))
    if like.device.type == "cuda":
        first, matrices = _on_gpu(size, scale, rows, start, stop, like.dtype, like.device)
    else:
        first, bands = _bands(size, scale, rows, start, stop)
        matrices = torch.as_tensor(bands, dtype=like.dtype, device=like.device)
    lines = stop - start
    for begin, source, matrix in zip(range(0, lines, rows), first, matrices, strict=True):
        end = min(begin + rows, lines)
        yield slice(begin, end), slice(source, source + matrix.shape[1]), matrix[: end - begin]


@lru_cache(maxsize=32)
def _on_gpu(
    size: int,
    scale: float,
    rows: int,
    start: int,
    stop: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[list[int], Tensor]:
    """Return what :func:`_bands` does, with matrices that stay on a GPU."""
    first, bands = _bands(size, scale, rows, start, stop)
    # They outlive whatever mode they are first made in.
    with torch.inference_mode(False):
        return first, torch.as_tensor(bands, dtype=dtype, device=device)


@lru_cache(maxsize=16)
def _bands(
    size: int, scale: float, rows: int, start: int, stop: int
) -> tuple[list[int], np.ndarray]:
    """Return where the source lines of each block begin, and (blocks, rows, source lines)."""
    source, weight = _contributions(size, scale, start, stop)
    source = source - source.min()
    span = int(source.max()) + 1
    count = -(-(stop - start) // rows)
    filler = ((0, 0), (0, count * rows - (stop - start)))
    source = np.pad(source, filler, mode="edge").reshape(-1, count, rows)
    weight = np.pad(weight, filler).reshape(-1, count, rows)
    first = source.min(axis=(0, 2))
    width = int((source.max(axis=(0, 2)) - first).max()) + 1
    first = np.minimum(first, span - width)
    bands = np.zeros((count, rows, width))
    block, row = np.arange(count)[:, None], np.arange(rows)
    # A tap at a time: near an edge several taps, mirrored, fall on one sample.
    for column, value in zip(source - first[:, None], weight, strict=True):
        bands[block, row, column] += value
    return first.tolist(), bands


def _contributions(size: int, scale: float, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute source indices and weights, both (taps, stop - start), as ``imresize`` does."""
    stretch = min(scale, 1.0)
    width = 4.0 / stretch
    center = np.arange(start + 1, stop + 1) / scale + 0.5 * (1.0 - 1.0 / scale)
    left = np.floor(center - width / 2)
    index = left[None, :] + np.arange(math.ceil(width) + 2)[:, None]
    weight = stretch * cubic(stretch * (center[None, :] - index))
    weight /= weight.sum(axis=0, keepdims=True)
    mirrored = np.mod(index.astype(np.int64) - 1, 2 * size)
    source = np.minimum(mirrored, 2 * size - 1 - mirrored)
    # A tap without weight points to the heaviest one, lest it widen the matrices.
    heaviest = np.take_along_axis(source, weight.argmax(axis=0)[None], axis=0)
    return np.where(weight == 0, heaviest, source), weight

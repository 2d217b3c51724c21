"""How many samples each axis of a result has, by a factor or a spacing, and where they lie.

Grids are aligned by area: the outer edges of the image stay in place, so a result of n' samples for
n has exactly n / n' of the spacing, whatever was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from monai_sr.core import OptionError, get_logger

logger = get_logger(__name__)

LARGEST_SCALE = 4.0
"""Largest enlargement that networks give."""

_LARGEST_INTERPOLATED = 8.0  # x4 by the network, and no more than that again by interpolation
# What spacings of one meaning differ by: float32 digits, decimal strings of 16 characters.
_TIE = 1e-3


def scaled_sizes(sizes: Sequence[int], scale: float, axes: Sequence[int]) -> list[int]:
    """Multiply some sizes by a factor and round to whole samples.

    Args:
        sizes: samples along each axis.
        scale: factor, whole or not.
        axes: axes to enlarge; the others keep their size.
    """
    # Halves go up, whatever is even: 2.5 x 3 and 2.5 x 5 grow alike.
    return [math.floor(n * scale + 0.5) if a in axes else int(n) for a, n in enumerate(sizes)]


def covering_samples(
    length: int, size: int, start: int = 0, stop: int | None = None
) -> npt.NDArray[np.int64]:
    """Return for each of ``size`` samples the one of ``length`` that covers its center.

    Masks grow so, by blocks of equal samples. ``start`` and ``stop`` choose some of the samples.

    Example:
        >>> covering_samples(3, 6).tolist()
        [0, 0, 1, 1, 2, 2]
    """
    return (2 * np.arange(start, size if stop is None else stop) + 1) * length // (2 * size)


def spacing_of(affine: npt.ArrayLike, spatial_dims: int) -> list[float]:
    """Return the distance between neighboring samples along each axis, in the affine's units.

    Shape: affine (4, 4) -> ``spatial_dims`` numbers.
    """
    columns = np.asarray(affine, dtype=np.float64)[:3, :spatial_dims]
    return [float(length) for length in np.linalg.norm(columns, axis=0)]


def target_spacing(
    spacing: float | Sequence[float | None], spatial_dims: int, axes: Sequence[int]
) -> list[float | None]:
    """Spread the option ``spacing`` over the axes: None where an axis keeps its samples.

    Args:
        spacing: one number for the enlarged ``axes``, or a number or None for each of them, or
            for each axis.
        spatial_dims: axes of the image; a third entry is left out for images in a plane.
        axes: axes that the network enlarges.

    Raises:
        OptionError: if it is neither.
    """
    is_single = isinstance(spacing, int | float)
    given: Sequence[float | None] = [spacing] * 3 if is_single else list(spacing)  # type: ignore[list-item, arg-type]
    if spatial_dims == 3 and len(given) == len(axes) == 2:
        spread = dict(zip(axes, given, strict=True))
        given = [spread.get(a) for a in range(3)]
    is_complete = spatial_dims <= len(given) <= 3
    if not is_complete or not all(s is None or _is_length(s) for s in given):
        raise OptionError(
            "spacing: must be a length in mm (of rasters in units of the reference system), or one "
            f"or None for each of {spatial_dims} axes, got {spacing}; write --spacing 0.5 or "
            "--spacing '[0.5,0.5,1.0]'"
        )
    return [given[a] if a in axes or not is_single else None for a in range(spatial_dims)]


def sizes_for_spacing(
    name: str,
    sizes: Sequence[int],
    spacing: Sequence[float],
    target: Sequence[float | None],
    axes: Sequence[int],
    unit: str = "mm",
    knows: Callable[[float], bool] | None = None,
) -> list[int]:
    """Return the sizes that give each axis the spacing asked for, as nearly as whole samples can.

    Where the network enlarges all axes of a volume, one may become coarser (it is low-pass
    filtered), and one may become finer than the network's largest scale (the rest is interpolated).
    Where slices are made thinner, the axes in plane may become coarser or stay.

    Args:
        name: file, named in messages.
        sizes: samples along each axis.
        spacing: present spacing along each axis.
        target: spacing asked for; None keeps the axis.
        axes: axes that the network enlarges.
        unit: of both.
        knows: tells whether a network for slices was trained for a factor. None: there is none.

    Raises:
        OptionError: if nothing becomes finer, or more so than can be answered for.
    """
    ratios = [
        1.0 if t is None or abs(s / t - 1) < _TIE else s / t
        for s, t in zip(spacing, target, strict=True)
    ]
    has = " x ".join(f"{s:.5g}" for s in spacing)
    others = [r for a, r in enumerate(ratios) if a not in axes and knows is not None]
    across = max(others, default=1.0)
    enlarged = [across, *(ratios[a] for a in axes)]
    may_shrink = len(axes) == 3 or across > 1
    if max(enlarged) <= 1 < max(ratios):
        raise OptionError(
            f"{name}: spacing must be finer than the input's {has} {unit} within the slices, for "
            f"this model makes no others, got {_text(target)}; take one that does "
            "(docs/how-to/thick-slices.md), or ask for finer pixels, too"
        )
    if max(enlarged) <= 1 or (min(ratios) < 1 and not may_shrink):
        raise OptionError(
            f"{name}: spacing must be finer than the input's {has} {unit}, got {_text(target)}; "
            "ask for a smaller --spacing, or shrink the image with a resampling tool"
        )
    _refuse_finest(name, spacing, target, ratios, axes, unit, with_slices=knows is not None)
    result = [max(1, math.floor(n * r + 0.5)) for n, r in zip(sizes, ratios, strict=True)]
    exact = [s * n / m for s, n, m in zip(spacing, sizes, result, strict=True)]
    shown = " x ".join(f"{s:.6g}" for s in exact)
    logger.info("%s: spacing of the result %s %s", name, shown, unit)
    _report(name, sizes, result, axes, knows)
    return result


def _refuse_finest(
    name: str,
    spacing: Sequence[float],
    target: Sequence[float | None],
    ratios: Sequence[float],
    axes: Sequence[int],
    unit: str,
    *,
    with_slices: bool,
) -> None:
    """Refuse what is finer than can be answered for."""
    in_plane = _LARGEST_INTERPOLATED if len(axes) == 3 else LARGEST_SCALE
    across = _LARGEST_INTERPOLATED if with_slices else in_plane
    largest = [in_plane if a in axes else across for a in range(len(ratios))]
    if all(r <= most * (1 + _TIE) for r, most in zip(ratios, largest, strict=True)):
        return
    finest = " x ".join(f"{s / most:.5g}" for s, most in zip(spacing, largest, strict=True))
    shares = " and ".join(f"1/{most:g}" for most in sorted(set(largest)))
    raise OptionError(
        f"{name}: spacing must be at least {finest} {unit}, {shares} of the input's, "
        f"got {_text(target)}; ask for a larger --spacing"
    )


def _report(
    name: str,
    sizes: Sequence[int],
    result: Sequence[int],
    axes: Sequence[int],
    knows: Callable[[float], bool] | None,
) -> None:
    """Say how much of the result is interpolation."""
    for axis, (n, m) in enumerate(zip(sizes, result, strict=True)):
        learned = LARGEST_SCALE if axis in axes else 1.0
        if axis not in axes and knows is not None and m > n and knows(m / n):
            logger.info("%s: %d slices become %d, restored by the network", name, n, m)
            continue
        if m > n * learned * (1 + _TIE):
            logger.warning(
                "%s: axis %d grows x%.3g, of which x%.3g is interpolation that adds no detail",
                name,
                axis,
                m / n,
                m / n / learned,
            )


def _is_length(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0


def _text(target: Sequence[float | None]) -> str:
    return " x ".join("-" if t is None else f"{t:.5g}" for t in target)


# Spacings of one scanner differ in float32 digits: 0.8700001 and 0.87 are a tie.
_TIE = 1e-3
_STRAIGHT = 1e-3  # of a step: what float32 matrices and rounded quarter turns leave across it


def scaled_affine(affine: npt.ArrayLike, scale: Sequence[float]) -> npt.NDArray[np.float64]:
    """Divide the voxel steps by the scale and keep the outer edges of the grid in place.

    The affine maps voxel indices to the *centers* of voxels. On an area-aligned grid new index
    i' covers [i'/s, (i'+1)/s) of the old one, so its center lies at (i' + 1/2)/s - 1/2: the
    step shrinks to 1/s and the first center moves by (1/s - 1)/2 of an old voxel.

    Shape: affine (4, 4) -> (4, 4) float64.

    Args:
        affine: voxel-to-world matrix, center of the first voxel as origin.
        scale: enlargement per spatial axis, above 0; axes that are not named keep theirs.

    Returns:
        A new matrix; the input stays as it is.

    Raises:
        ValueError: the matrix is not (4, 4), or the scale is not one to three positive numbers.

    Example:
        >>> scaled_affine(np.diag([2.0, 2.0, 5.0, 1.0]), (4, 4))[:3].tolist()
        [[0.5, 0.0, 0.0, -0.75], [0.0, 0.5, 0.0, -0.75], [0.0, 0.0, 5.0, 0.0]]
    """
    # An array of its own: a torch tensor or a caller's array must not be written to.
    result = np.array(np.asarray(affine), dtype=np.float64)
    if result.shape != (4, 4):
        raise ValueError(f"affine: must be a (4, 4) matrix, got shape {result.shape}.")
    factors = np.ones(3)
    if not 1 <= len(scale) <= factors.size or not all(np.isfinite(s) and s > 0 for s in scale):
        raise ValueError(f"scale: must be one to three positive numbers, got {tuple(scale)}.")
    factors[: len(scale)] = scale
    steps = result[:3, :3].copy()
    result[:3, 3] += steps @ ((1 / factors - 1) / 2)
    result[:3, :3] = steps / factors
    return result


def grid_change(
    source: npt.ArrayLike, target: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Tell how the target grid lies in the source grid: steps and shift in source voxels.

    Inverse of :func:`scaled_affine`: for target = scaled_affine(source, s) the steps are 1/s and
    the matrix maps target indices to source indices (both at voxel centers). A crop shows in the
    last column.

    Shape: source (4, 4), target (4, 4) -> matrix (4, 4) float64, scale (3,) float64.

    Args:
        source: voxel-to-world matrix of the file.
        target: voxel-to-world matrix of the result.

    Returns:
        The index matrix (target to source) and the enlargement per axis.

    Raises:
        ValueError: the source matrix cannot be inverted.

    Example:
        >>> old = np.diag([2.0, 3.0, 5.0, 1.0])
        >>> grid_change(old, scaled_affine(old, (4, 4)))[1].tolist()
        [4.0, 4.0, 1.0]
    """
    old, new = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    # World origins of 1e6 m would cost digits: solve with the origins already subtracted.
    if abs(np.linalg.det(old[:3, :3])) == 0 or not np.isfinite(old).all():
        raise ValueError("source: must be an affine that can be inverted.")
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.solve(old[:3, :3], new[:3, :3])
    matrix[:3, 3] = np.linalg.solve(old[:3, :3], new[:3, 3] - old[:3, 3])
    return matrix, 1 / np.linalg.norm(matrix[:3, :3], axis=0)


def axis_places(source: npt.ArrayLike, target: npt.ArrayLike) -> list[int]:
    """Tell where the axes of a grid lie in a turned one.

    Shape: source (4, 4), target (4, 4) -> 3 axes.

    Returns:
        For each axis of the source the axis of the target that runs most along it, to either side;
        [0, 1, 2] where that is no order of axes.

    Example:
        >>> axis_places(np.eye(4), np.eye(4)[:, [2, 0, 1, 3]])
        [1, 2, 0]
    """
    old, new = (np.asarray(each, dtype=np.float64)[:3, :3] for each in (source, target))
    with np.errstate(invalid="ignore"):  # an axis without length runs along none
        steps = [each / np.linalg.norm(each, axis=0) for each in (old, new)]
        found: list[int] = np.abs(steps[0].T @ steps[1]).argmax(axis=1).tolist()
    return found if sorted(found) == [0, 1, 2] else [0, 1, 2]


def is_turned(matrix: npt.NDArray[np.float64], rank: int = 3) -> bool:
    """Tell whether axes of a target grid leave those of its source, or run against them.

    Args:
        matrix: what :func:`grid_change` returned.
        rank: axes that count.
    """
    steps = matrix[:rank, :rank]
    ahead = np.diag(steps)
    crossed = np.abs(steps - np.diag(ahead)).max() / np.abs(steps).max()
    return bool(crossed > _STRAIGHT or (ahead <= 0).any())


def slice_axis(affine: npt.NDArray[np.float64], spatial: Sequence[int]) -> int:
    """Choose the axis of independent slices: the thickest; of equal ones the last."""
    if len(spatial) < 3:
        return -1
    single = [axis for axis, side in enumerate(spatial) if side == 1]
    if len(single) == 1:
        return single[0]
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    thickest = spacing_mm >= spacing_mm.max() * (1 - _TIE)
    return int(np.flatnonzero(thickest)[-1])

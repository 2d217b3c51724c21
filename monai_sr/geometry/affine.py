"""Rewrites a voxel-to-world affine for an image that was enlarged on an area-aligned grid."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Spacings of one scanner differ in float32 digits: 0.8700001 and 0.87 are a tie.
_TIE = 1e-3


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

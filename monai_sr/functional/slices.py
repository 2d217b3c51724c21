"""Thick slices: how they come of thin ones, and the spline that agrees with them.

A slice is the integral of the object over a profile along the slice axis. Both grids are aligned by
area: of n thick slices for m thin ones, slice i covers the thin samples from i m / n to
(i + 1) m / n, and its profile is centered there. A thin sample counts as constant over its own
length, so that the weights are differences of the profile's integral, exact for any m / n. Ends are
continued by mirroring.

References:
    C. Zhao, B. E. Dewey, D. L. Pham, P. A. Calabresi, D. S. Reich, J. L. Prince, 2021, SMORE,
    doi:10.1109/TMI.2020.3037187: thin slices from thick ones, learned on planes.
    S. Han, S. Remedios, A. Carass, M. Schär, J. L. Prince, 2021, arXiv:2104.00100 (ESPRESO): the
    slice profile as the degradation, which no header states.
    J. Pauly, P. Le Roux, D. Nishimura, A. Macovski, 1991, doi:10.1109/42.75611: pulses after
    Shinnar and Le Roux, whose slices are flat with edges of a chosen width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import torch
from scipy.special import erf
from torch import Tensor

from monai_sr.core import OptionError

Matrix = npt.NDArray[np.float64]

_GAUSSIAN = 1 / (2 * math.sqrt(2 * math.log(2)))  # standard deviation of a full width at half 1
_EDGE = 0.1  # standard deviation of the edges of a pulse after Shinnar and Le Roux, in thicknesses
_TAILS = 4.5  # standard deviations, beyond which a Gaussian counts as nothing (3e-6 on each side)
_REACH = {"boxcar": 0.5, "gaussian": _TAILS * _GAUSSIAN, "slr": 0.5 + _TAILS * _EDGE}
_THINNEST, _THICKEST = 0.25, 1.5


@dataclass(frozen=True)
class SliceProfile:
    """What a slice sees along the slice axis.

    Args:
        kind: "boxcar", everything within the thickness alike (computed tomography, averaged thin
            slices); "gaussian"; "slr", a boxcar whose edges are softened by a Gaussian of a tenth
            of the thickness (slices of 2D MR).
        thickness: full width at half maximum, in distances of slices: below 1 there are gaps,
            above 1 slices overlap.

    Raises:
        OptionError: if there is no such profile, or the thickness is not 0.25 to 1.5.
    """

    kind: str = "slr"
    thickness: float = 1.0

    def __post_init__(self) -> None:
        """Check both."""
        if self.kind not in _REACH:
            raise OptionError(f"kind: must be one of {', '.join(_REACH)}, got {self.kind!r}")
        if not _THINNEST <= self.thickness <= _THICKEST:
            raise OptionError(
                f"thickness: must be {_THINNEST} to {_THICKEST} distances of slices, "
                f"got {self.thickness}"
            )

    def integral(self, place: Matrix) -> Matrix:
        """Return the share of the profile that lies before each place.

        Args:
            place: distance from the center of the slice, in distances of slices.
        """
        x = np.asarray(place, dtype=np.float64) / self.thickness
        if self.kind == "boxcar":
            return np.clip(x + 0.5, 0.0, 1.0)
        if self.kind == "gaussian":
            return _normal(x / _GAUSSIAN)
        return _ramp((x + 0.5) / _EDGE) * _EDGE - _ramp((x - 0.5) / _EDGE) * _EDGE

    @property
    def reach(self) -> float:
        """How far from the center it is not zero, in distances of slices."""
        return _REACH[self.kind] * self.thickness


def _normal(x: Matrix) -> Matrix:
    """Return the normal distribution."""
    return np.asarray(0.5 * (1 + erf(x / math.sqrt(2))))


def _ramp(x: Matrix) -> Matrix:
    """Return the integral of :func:`_normal` from minus infinity."""
    return np.asarray(x * _normal(x) + np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


@lru_cache(maxsize=512)
def slice_matrix(thin: int, thick: int, profile: SliceProfile) -> Matrix:
    """Return the operator that makes thick slices of thin ones.

    Args:
        thin: samples along the axis.
        thick: slices, at most as many.
        profile: of each.

    Returns:
        (thick, thin), whose lines add up to 1.

    Raises:
        OptionError: if the numbers do not fit.
    """
    if not 1 <= thick <= thin:
        raise OptionError(f"slices: must be 1 to {thin} for {thin} thin ones, got {thick}")
    factor = thin / thick
    margin = math.ceil(profile.reach * factor) + 1
    edges = np.arange(-margin, thin + margin + 1)
    centers = (np.arange(thick) + 0.5) * factor
    weights = np.diff(profile.integral((edges - centers[:, None]) / factor), axis=1)
    folded = edges[:-1] % (2 * thin)
    folded = np.minimum(folded, 2 * thin - 1 - folded)
    matrix = np.zeros((thick, thin))
    np.add.at(matrix.T, folded, weights.T)
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=512)
def spline_matrix(thick: int, thin: int) -> Matrix:
    """Return the interpolation of slices by cubic splines, outer edges kept: (thin, thick)."""
    matrix: Matrix = scipy.ndimage.zoom(
        np.eye(thick), (thin / thick, 1), order=3, mode="reflect", grid_mode=True
    )
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=512)
def agreeing_matrix(thick: int, thin: int, profile: SliceProfile) -> Matrix:
    """Return the interpolation by that cubic spline whose slices are the given ones again.

    With U the spline and A the slices it is U (A U)^-1: A times it is the identity.

    Returns:
        (thin, thick).
    """
    spline = spline_matrix(thick, thin)
    own = slice_matrix(thin, thick, profile) @ spline
    matrix: Matrix = np.linalg.solve(own.T, spline.T).T
    matrix.setflags(write=False)
    return matrix


def along(matrix: Matrix, image: Tensor, dim: int) -> Tensor:
    """Multiply one axis of a tensor by a matrix.

    Shape: matrix (m, n), image (..., n, ...) floating point -> (..., m, ...), same dtype.
    """
    lines = image.movedim(dim, 0)
    weights = torch.tensor(matrix, dtype=image.dtype, device=image.device)
    with torch.autocast(image.device.type, enabled=False):
        product = weights @ lines.flatten(1)
    return product.reshape(-1, *lines.shape[1:]).movedim(0, dim)


def reduce_slices(volume: Tensor, slices: int, dim: int, profile: SliceProfile) -> Tensor:
    """Make thick slices of thin ones.

    Shape: volume (..., m, ...) floating point, any range -> (..., ``slices``, ...), same dtype.

    Args:
        volume: thin slices.
        slices: how many thick ones cover them.
        dim: the slice axis of the tensor.
        profile: of each thick slice.

    Raises:
        OptionError: as :func:`slice_matrix`.
    """
    return along(slice_matrix(volume.shape[dim], slices, profile), volume, dim)


def restore_slices(volume: Tensor, thin: int, dim: int, profile: SliceProfile) -> Tensor:
    """Enlarge thick slices by the cubic spline that agrees with them, see :func:`agreeing_matrix`.

    Shape: volume (..., n, ...) floating point, any range -> (..., ``thin``, ...), same dtype.
    """
    return along(agreeing_matrix(volume.shape[dim], thin, profile), volume, dim)


def agree_with_slices(thin: Tensor, thick: Tensor, dim: int, profile: SliceProfile) -> Tensor:
    """Add to a volume the smallest spline that makes its slices equal the given ones.

    It is back-projection in one step, which needs no iteration as the operator is known.

    Shape: thin (..., m, ...) and thick (..., n, ...), floating point -> as thin.

    References:
        M. Irani, S. Peleg, 1991, doi:10.1016/1049-9652(91)90045-L.
    """
    missing = thick - reduce_slices(thin, thick.shape[dim], dim, profile)
    return thin + restore_slices(missing, thin.shape[dim], dim, profile)


def slice_conditions(planes: Tensor, slices: int) -> Tensor:
    """Add to planes across slices what a network needs to know of their grid.

    Shape: planes (N, 1, H, W), the slice axis along H, in [0, 1] -> (N, 3, H, W): beside them the
    thickness in samples over 6, and of each line the distance to the next center of a slice, 0 to
    1 from there to the middle between two.
    """
    height = planes.shape[2]
    factor = height / slices
    place = (torch.arange(height, dtype=torch.float64) + 0.5) / factor
    distance = ((place - place.floor()) - 0.5).abs() * 2
    lines = torch.stack([torch.full_like(distance, factor / 6), distance]).to(planes)
    shape = (planes.shape[0], 2, *planes.shape[2:])
    return torch.cat([planes, lines[None, :, :, None].expand(shape)], 1)

"""Insert small round lesions of known contrast and size into an image, and choose where.

A lesion is a disc of radius R whose edge is blurred, g(r) = erfc((r - R) / (sqrt(2) s)) / 2: one
half at r = R. Its sum over all pixels is pi (R^2 + s^2). It is synthetic: no tumor looks like it,
but contrast, size and place are known exactly.

References:
    ICRU Report 54, 1996, Medical imaging: the assessment of image quality: discs of known contrast
    in a known place as the task by which imaging systems are compared.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from monai_sr.core import OptionError

KINDS = ("additive", "multiplicative")
"""How a lesion changes an image, see :func:`insert_discs`."""
_EDGES = 4
"""Edge widths beyond the radius, after which the profile is below 1e-4."""


def disc_reach(radius_px: float, edge_px: float) -> int:
    """Return how many pixels from its center a disc still changes an image."""
    return math.ceil(radius_px + _EDGES * edge_px)


def disc(radius_px: float, edge_px: float, reach_px: int | None = None) -> Tensor:
    """Return the profile of a disc with a blurred edge, centered on the middle pixel.

    Args:
        radius_px: where the profile is one half.
        edge_px: standard deviation of the Gaussian edge.
        reach_px: pixels on each side of the middle one; as far as the disc reaches by default.

    Returns:
        (side, side) float64 in [0, 1], side = 2 * reach_px + 1.
    """
    if not (radius_px > 0 and edge_px > 0):
        raise OptionError(
            f"radius_px, edge_px: must be positive, got {radius_px} and {edge_px}; choose larger"
        )
    reach = disc_reach(radius_px, edge_px) if reach_px is None else reach_px
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    r = torch.hypot(axis[:, None], axis[None])
    return torch.erfc((r - radius_px) / (math.sqrt(2) * edge_px)) / 2


def insert_discs(
    image: Tensor,
    places: npt.NDArray[np.int64],
    radii_px: Sequence[float],
    contrasts: Sequence[float],
    *,
    edge_px: float,
    kind: str,
) -> Tensor:
    """Insert one disc at each place.

    Shape: image (H, W) floating point -> the same, not clipped.

    Args:
        image: values in which contrast is a share of intensity; left as it is.
        places: (N, 2) row and column of the centers, further from the edge than a disc reaches.
        radii_px: one a place.
        contrasts: one a place, as a share of the intensity there; negative ones darken.
        edge_px: standard deviation of the Gaussian edges.
        kind: "additive", contrast times the mean under the disc is added to each pixel, as what
            attenuates more adds to the logarithm of X-rays; "multiplicative", each pixel is
            multiplied by 1 + contrast, as tissue of more signal does to MR.

    Raises:
        OptionError: if the kind is unknown, or a disc reaches beyond the image.
    """
    if kind not in KINDS:
        raise OptionError(f"kind: must be one of {', '.join(KINDS)}, got {kind!r}")
    found = image.clone()
    for (row, column), radius, contrast in zip(places, radii_px, contrasts, strict=True):
        reach = disc_reach(radius, edge_px)
        top, left = int(row) - reach, int(column) - reach
        side = 2 * reach + 1
        if min(top, left) < 0 or top + side > image.shape[0] or left + side > image.shape[1]:
            raise OptionError(
                f"places: must be {reach} pixels or more from the edge of an image of "
                f"{tuple(image.shape)}, got ({row}, {column}); leave it out"
            )
        profile = disc(radius, edge_px).to(image)
        patch = found[top : top + side, left : left + side]
        before = image[top : top + side, left : left + side]
        if kind == "additive":
            before = (before * profile).sum() / profile.sum()
        patch += contrast * before * profile
    return found


def choose_places(
    image: Tensor,
    body: tuple[float, float],
    *,
    reach_px: int,
    spacing_px: int,
    margin_px: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Choose places within the body, at random, as many as fit.

    Shape: image (H, W) floating point -> (N, 2), row and column, sorted.

    Args:
        image: what the body is found in.
        body: smallest and largest value in it; all pixels around a place must lie between them.
        reach_px: how far around.
        spacing_px: places are further apart than that along one axis or both.
        margin_px: smallest distance to the edge of the image.
        seed: decides the places.
    """
    side = 2 * reach_px + 1
    planes = torch.stack([image, -image])[:, None].float()
    highest, negated = F.max_pool2d(planes, side, stride=1, padding=reach_px)[:, 0]
    free = ((highest <= body[1]) & (-negated >= body[0])).numpy().copy()
    inside = np.zeros_like(free)
    inside[margin_px : free.shape[0] - margin_px, margin_px : free.shape[1] - margin_px] = True
    free &= inside
    random = np.random.default_rng(seed)
    found = []
    while (left := np.flatnonzero(free)).size:
        row, column = divmod(int(random.choice(left)), free.shape[1])
        found.append((row, column))
        rows = slice(max(row - spacing_px, 0), row + spacing_px + 1)
        free[rows, max(column - spacing_px, 0) : column + spacing_px + 1] = False
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)

"""Estimate how far results may be off: the spread of eight predictions of one image.

The network sees the image turned by 0, 90, 180 and 270 degrees, and mirrored; the results are
turned back. Lim et al. (2017), "Enhanced Deep Residual Networks for Single Image Super-Resolution",
section 3.4, doi:10.1109/CVPRW.2017.151, take their mean as the result. Here their standard
deviation is kept, too: where equivalent views disagree, the detail is the network's guess.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.formats import CODES, PHASE, Facts, kind_of
from monai_sr.inferers.batch_meta import with_meta
from monai_sr.inferers.tiled import TiledInferer

SPREAD_KEY = Facts.spread.key
"""Metadata of a result: the standard deviation of its eight predictions, of its own shape."""

VIEWS = 8


def count_views(spread: bool) -> int:
    """Return how many predictions a result is the mean of."""
    return VIEWS if spread else 1


class SelfEnsembleInferer(TiledInferer):
    """Run a generator over whole images, once, or eight times for mean and spread.

    Shape: as :class:`monai_sr.inferers.TiledInferer`.

    Args:
        scale: factor; None: the generator's own.
        spread: whether to run all views. The result is their mean, and a MetaTensor carries their
            standard deviation under ``SPREAD_KEY``.
        **options: of :class:`monai_sr.inferers.TiledInferer`.
    """

    def __init__(self, scale: float | None = None, *, spread: bool = False, **options: Any) -> None:
        super().__init__(scale, **options)
        self.spread = spread

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Enlarge a batch; see the class."""
        if not self.spread:
            return super().__call__(inputs, network)
        kind = kind_of(inputs.meta if isinstance(inputs, MetaTensor) else None)
        if kind in (*CODES, PHASE):
            raise OptionError(
                f"uncertainty: is a length in measured values, got {kind} values, which have none; "
                "leave --uncertainty out for them"
            )
        mean, spread = self.mean_and_spread(inputs, network)
        if isinstance(mean, MetaTensor):
            mean.meta[SPREAD_KEY] = spread
        return mean

    def mean_and_spread(self, inputs: Tensor, network: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """Enlarge a batch in all views.

        Returns:
            Mean of the views, of the kind of ``inputs``, and their sample standard deviation.
        """
        meta = inputs.meta if isinstance(inputs, MetaTensor) else None
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        axes = _plane_axes(meta, plain.ndim)
        first = super().__call__(inputs, network)
        mean = first.as_tensor() if isinstance(first, MetaTensor) else first
        squares = torch.zeros_like(mean)
        for view in range(1, VIEWS):
            turned = _turn(plain, view, axes)
            given = (
                turned if meta is None else with_meta(turned, inputs, _turn_meta(meta, view, axes))
            )
            large = super().__call__(given, network)
            large = large.as_tensor() if isinstance(large, MetaTensor) else large
            # Welford's update: eight images need the memory of two.
            difference = _turn_back(large, view, axes) - mean
            mean = mean + difference / (view + 1)
            squares += difference**2 * (view / (view + 1))
        spread = (squares / (VIEWS - 1)).sqrt()
        if isinstance(first, MetaTensor):
            return with_meta(mean, first, first.meta), spread
        return mean, spread


def interval_half_width(errors: Tensor, spread: Tensor, coverage: float) -> float:
    """Find the factor by which the spread must be multiplied to cover a share of the errors.

    Args:
        errors: absolute errors of pixels whose truth is known, any shape.
        spread: their spread, same shape.
        coverage: share of pixels whose error is at most factor times spread.

    Returns:
        The quantile of errors / spread; infinite where more pixels have no spread.
    """
    ratios = torch.where(errors > 0, errors / spread, 0.0).flatten()
    index = max(math.ceil(coverage * ratios.numel()), 1)
    return float(ratios.kthvalue(index).values)


def _plane_axes(meta: dict[str, Any] | None, ndim: int) -> tuple[int, int]:
    """Return the two axes of a batch (N, C, X, Y[, Z]) that lie within a slice."""
    slice_axis = 2
    if meta is not None:
        given = Facts(meta).slice_axis
        slice_axis = 2 if given < 0 else given
    axes = [axis for axis in range(2, ndim) if ndim == 4 or axis != 2 + slice_axis]
    return axes[0], axes[1]


def _turn(image: Tensor, view: int, axes: tuple[int, int]) -> Tensor:
    mirrored = image.flip(axes[0]) if view >= VIEWS // 2 else image
    return torch.rot90(mirrored, view % (VIEWS // 2), axes)


def _turn_meta(meta: dict[str, Any], view: int, axes: tuple[int, int]) -> dict[str, Any]:
    """Return the metadata of a view: where its axes have changed places, so have planned sizes."""
    meta = dict(meta)
    if Facts(meta).knows("sizes") and view % 2:
        sizes = Facts(meta).sizes.copy()
        first, second = (axis - 2 for axis in axes)
        sizes[..., [first, second]] = sizes[..., [second, first]]
        Facts(meta).sizes = sizes
    return meta


def _turn_back(image: Tensor, view: int, axes: tuple[int, int]) -> Tensor:
    straight = torch.rot90(image, -(view % (VIEWS // 2)), axes)
    return straight.flip(axes[0]) if view >= VIEWS // 2 else straight

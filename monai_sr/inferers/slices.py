"""Make the slices of volumes thinner: splines that agree with them, corrected by a network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import (
    OptionError,
    PathLike,
    get_logger,
    random_state_kept,
    usual_defaults,
    weights_sha256,
)
from monai_sr.functional import (
    SliceProfile,
    agree_with_slices,
    local_range,
    restore_slices,
    slice_conditions,
)
from monai_sr.geometry import covering_samples
from monai_sr.networks import SliceRefiner, load_weights
from monai_sr.transforms import SEEN_OUTSIDE

logger = get_logger(__name__)

_SLACK = 1.1  # how far beyond its factors the network is still used
_SAMPLES = 2**16  # of planes that go through the network together: they stay in the cache
_ROUNDS = 2  # of agreement with the slices and limits: each spoils a little of the other


class SliceRestorer:
    """Restores thin slices of thick ones, by factors of any size.

    Splines that agree with the slices come first. Where the factor is one that the network was
    trained for, it corrects them on both kinds of planes that contain the slice axis, and the mean
    of both corrections counts. The result agrees with the slices, reduced by their profile, as far
    as limits let it.

    Args:
        weights: of the network.
        network: sizes of :class:`monai_sr.networks.SliceRefiner`.
        profile: of the slices, see :class:`monai_sr.functional.SliceProfile`.
        factors: least and largest that the network was trained for; a tenth beyond is tolerated.
        tune: minutes for which a copy of the network learns from the planes of each volume first,
            see :func:`monai_sr.training.tuned_on_planes`.

    Raises:
        OptionError: if the factors do not fit, or the minutes are none.
    """

    def __init__(
        self,
        weights: PathLike,
        *,
        network: Mapping[str, int] | None = None,
        profile: SliceProfile | None = None,
        factors: Sequence[float] = (2, 6),
        tune: float = 0.0,
    ) -> None:
        if len(factors) != 2 or not 1 < factors[0] <= factors[1]:
            raise OptionError(f"factors: needs [least, largest], both above 1, got {list(factors)}")
        self.weights = weights
        self.profile = profile or SliceProfile()
        self.factors = (float(factors[0]), float(factors[1]))
        self.tune = float(tune)
        if not 0 <= self.tune < math.inf:
            raise OptionError(f"tune: must be minutes, 0 for none, got {tune}")
        self._sizes = dict(network or {})
        self._network: SliceRefiner | None = None

    def knows(self, factor: float) -> bool:
        """Tell whether the network was trained for a factor, or for nearly such a one."""
        return self.factors[0] / _SLACK <= factor <= self.factors[1] * _SLACK

    def record(self, factor: float) -> str:
        """Return what is to be known of a result, as JSON; see fact ``slices``."""
        found: dict[str, Any] = {"profile": asdict(self.profile), "restored_by": "splines"}
        if self.knows(factor):
            found |= {"restored_by": "network", "weights_sha256": weights_sha256(str(self.weights))}
            found |= {"tuned_minutes": self.tune} if self.tune else {}
        return json.dumps(found)

    @torch.inference_mode()
    def __call__(
        self,
        volume: Tensor,
        size: int,
        dim: int,
        *,
        device: torch.device | None = None,
        limits: tuple[Tensor, Tensor] | None = None,
        overshoot: float | None = None,
        natural: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Make the slices of a volume thinner.

        Shape: volume (N, C, X, Y, Z) float32, measured values in [0, 1] -> the same with ``size``
        samples along ``dim``.

        Args:
            volume: thick slices.
            size: number of thin ones.
            dim: the slice axis of the tensor: 2, 3 or 4.
            device: where the network computes; None: where the volume is.
            limits: smallest and largest value of each band that can be stored, (N, C, 1, 1, 1).
            overshoot: by which share of the range of the 3 x 3 x 3 voxels around them results may
                leave it; None: no such limit.
            natural: see :func:`monai_sr.functional.back_projection.local_range`.

        Raises:
            WeightsError: if the weights cannot be read or belong to another network.
        """
        thin = restore_slices(volume, size, dim, self.profile)
        if self.knows(size / volume.shape[dim]):
            network: nn.Module = self._loaded(device or volume.device)
            if self.tune:
                network = self._tuned(network, volume, size / volume.shape[dim], dim)
            thin = thin + self._correction(network, thin, volume.shape[dim], dim)
        low, high = self._ends(volume, size, dim, limits, overshoot, natural)
        for _ in range(_ROUNDS):
            thin = agree_with_slices(thin, volume, dim, self.profile)
            thin = thin if low is None else torch.maximum(thin, low)
            thin = thin if high is None else torch.minimum(thin, high)
        return thin

    @staticmethod
    def _ends(
        volume: Tensor,
        size: int,
        dim: int,
        limits: tuple[Tensor, Tensor] | None,
        overshoot: float | None,
        natural: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what results lie between."""
        if overshoot is None and natural is None:
            return limits or (None, None)
        below = torch.as_tensor(covering_samples(volume.shape[dim], size), device=volume.device)
        ends = local_range(volume, overshoot, natural)
        low, high = (end.index_select(dim, below) for end in ends)
        if limits is None:
            return low, high
        return low.clamp(*limits), high.clamp(*limits)

    def _tuned(self, network: nn.Module, volume: Tensor, factor: float, dim: int) -> nn.Module:
        """Return a copy of the network that has learned from the slices of the volume."""
        # Its package is slow to import, and few runs need it.
        from monai_sr.training import tuned_on_planes

        device = next(network.parameters()).device
        planes = volume.movedim(dim, 2).flatten(0, 2)[:, None].to(device)
        logger.info("tune: the network learns from the slices for %g minutes", self.tune)
        found = tuned_on_planes(network, planes, factor, self.profile, self.tune)
        logger.info(
            "tune: %d steps; on slices that were held back %+.2f dB against splines, before "
            "%+.2f dB%s",
            found.steps, found.after, found.before,
            "" if found.after > found.before else ", so the weights stay as they were",
        )  # fmt: skip
        if max(found.after, found.before) < 0:
            logger.warning("tune: on slices of this volume splines are better than the network")
        return found.network

    @staticmethod
    def _correction(network: nn.Module, thin: Tensor, slices: int, dim: int) -> Tensor:
        """Return the mean of what the network adds on both kinds of planes."""
        device = next(network.parameters()).device
        result = torch.zeros_like(thin)
        for across in {2, 3, 4} - {dim}:
            along = 9 - dim - across
            # (planes, 1, slice axis, other axis)
            order = (0, 1, across, dim, along)
            planes = thin.permute(order).flatten(0, 2)[:, None]
            target = result.permute(order)
            shape = target.shape
            added = torch.empty_like(planes)
            step = max(1, _SAMPLES // planes[0].numel())
            for first in range(0, len(planes), step):
                part = planes[first : first + step].to(device)
                seen = part.clamp(-SEEN_OUTSIDE, 1 + SEEN_OUTSIDE)
                given = slice_conditions(seen, slices)
                given = given.contiguous(memory_format=torch.channels_last)
                added[first : first + step] = (network(given) - seen).to(added.device)
            target += added.reshape(shape) / 2
        return result

    def _loaded(self, device: torch.device) -> SliceRefiner:
        if self._network is None:
            with usual_defaults(), random_state_kept():
                network = SliceRefiner(**self._sizes)
            load_weights(network, self.weights)
            self._network = network.eval()
        return self._network.to(device)


def slice_restorer(
    weights: PathLike,
    *,
    system: PathLike | None = None,
    spatial_dims: int = 2,
    **options: Any,
) -> SliceRestorer | None:
    """Return the restorer of a bundle; None where slices are interpolated by bicubic.

    Args:
        weights: file in the bundle, which may have none.
        system: in place of the bundle's own model; none of them restores slices.
        spatial_dims: of the network; one for volumes enlarges the slice axis itself.
        options: of :class:`SliceRestorer`.
    """
    if system is not None or spatial_dims != 2 or not Path(weights).is_file():
        return None
    return SliceRestorer(weights, **options)

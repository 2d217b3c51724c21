"""Gives images in memory the faithful or the robust weights, for :class:`.SuperResolver`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_sr.core import PathLike, get_logger, printable
from monai_sr.upscaling.degraded import Finding, Sample, image_sample, scene_sample
from monai_sr.upscaling.verdict import Judge

if TYPE_CHECKING:
    from monai_sr.upscaling.super_resolver import SuperResolver

logger = get_logger(__name__)

Enlarge = Callable[[Tensor], Tensor]


class EitherWeights:
    """The choice between two resolvers of a bundle; any number of threads may ask one object.

    Args:
        judge: of the bundle.
        robust: with its robust weights; None: it has none, and all get the faithful ones.
    """

    def __init__(self, judge: Judge, robust: SuperResolver | None) -> None:
        self._judge, self.robust = judge, robust

    def of_image(
        self, name: PathLike, image: Tensor, valid: Tensor | None = None
    ) -> Finding | None:
        """Measure an image (C, X, Y[, Z]) in [0, 1], and say it; None: there is nothing to measure.

        Args:
            name: of it, for the log.
            image: a tensor.
            valid: which of it are measurements; None: all.
        """
        return self._found(name, image_sample(image, valid))

    def of_scene(self, source: PathLike, faithful: SuperResolver) -> Finding | None:
        """Measure a raster that goes through in windows, and say it.

        Raises:
            BadImageError: it cannot be read.
        """
        assert faithful.scenes is not None
        return self._found(source, scene_sample(source, faithful.scenes))

    def chosen(self, finding: Finding | None, faithful: SuperResolver) -> SuperResolver:
        """Return the resolver whose weights serve better."""
        is_degraded = finding is not None and finding.is_degraded
        return self.robust if is_degraded and self.robust is not None else faithful

    def enlarge_batch(self, batch: Tensor, faithful: Enlarge, robust: Enlarge) -> Tensor:
        """Enlarge a batch (N, C, X, Y[, Z]), each image by the weights that it needs.

        Args:
            batch: in [0, 1].
            faithful: enlarges a batch by the faithful weights.
            robust: likewise by the robust ones, which must be there where they are needed.
        """
        meta = batch.meta if isinstance(batch, MetaTensor) else None
        images = (batch.as_tensor() if isinstance(batch, MetaTensor) else batch).cpu()
        found = [
            self.of_image("image", each if meta is None else MetaTensor(each, meta=meta))
            for each in images
        ]
        needed = [finding is not None and finding.is_degraded for finding in found]
        if not any(needed):
            return faithful(batch)
        result = robust(batch)
        if all(needed):
            return result
        which = torch.tensor(needed, device=result.device).view(-1, *[1] * (result.ndim - 1))
        return torch.where(which, result, faithful(batch))

    def _found(self, name: PathLike, sample: Sample | None) -> Finding | None:
        if sample is None:
            return None
        network, inferer = (
            (None, None) if self.robust is None else (self.robust.network, self.robust.inferer)
        )
        finding = self._judge.find(sample, network, inferer)
        logger.info("%s: %s", printable(str(name)), self._judge.said(finding))
        return finding

"""Judges inputs by the weights of a bundle, and says which of them serve better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.inferers import Inferer
from torch import nn

from monai_sr.core import UPSCALE, OptionError
from monai_sr.upscaling.degraded import (
    ROBUST_WEIGHTS,
    Finding,
    Sample,
    correction,
    limit_at,
    read_limits,
)


def check_auto(options: Mapping[str, Any]) -> None:
    """Refuse options beside which there are no two sets of weights to choose from.

    Raises:
        OptionError: naming the option.
    """
    UPSCALE.check(options)
    if options.get("ckpt_path") is not None:
        raise OptionError(
            "robust: auto chooses between the bundle's own weights, got ckpt_path too; leave "
            "--ckpt_path out, or say True or False"
        )


class Judge:
    """What a bundle knows of degraded input; nothing of it ever changes.

    Args:
        bundle: its folder.

    Attributes:
        name: of the bundle.
        has_robust: whether it has weights for degraded input.
        limits: scale -> correction above which they serve better; None: nothing was fitted.

    Raises:
        OptionError: if the limits are damaged.
    """

    def __init__(self, bundle: Path) -> None:
        models = bundle / "models"
        self.name = bundle.name
        self.has_robust = (models / ROBUST_WEIGHTS).is_file()
        self.limits = read_limits(models) if self.has_robust else None

    def find(self, sample: Sample, network: nn.Module | None, inferer: Inferer | None) -> Finding:
        """Measure an input.

        Args:
            sample: of it.
            network: with the robust weights; None: there are none.
            inferer: how that runs, a :class:`monai_sr.inferers.TiledInferer`.
        """
        if network is None or inferer is None:
            return Finding(sample.quality)
        scale = inferer.check(network)  # type: ignore[attr-defined]
        corrected = correction(sample, network, inferer)
        return Finding(sample.quality, corrected, limit_at(self.limits, scale))

    def said(self, finding: Finding) -> str:
        """Say in one line what was found and what follows."""
        if not self.has_robust:
            why = f", for {self.name} has none for degraded input"
        elif self.limits is None:
            why = f", for nothing was fitted to the robust ones of {self.name}"
        else:
            why = ""
        return f"{finding}: {finding.weights} weights{why}"

"""Chooses between faithful and robust weights of a bundle, by what is measured of an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import nn

from monai_sr.core import UPSCALE, OptionError, PathLike, get_logger, printable
from monai_sr.upscaling.degraded import (
    ROBUST_WEIGHTS,
    Finding,
    Sample,
    correction,
    limit_at,
    read_limits,
)

logger = get_logger(__name__)


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


class Runs(Protocol):
    """What runs a network, whatever inputs it takes."""

    @property
    def network(self) -> nn.Module:
        """The generator, weights loaded."""

    @property
    def inferer(self) -> Any:
        """How that runs, a :class:`monai_sr.inferers.TiledInferer`."""


Model = TypeVar("Model", bound=Runs)


class Chooser(Generic[Model]):
    """What a bundle knows of degraded input; any number of threads may ask one object.

    Args:
        bundle: its folder.
        robust: gives the model with its weights for degraded input; called where it has some.

    Attributes:
        robust: that model; None: there is none, and all inputs get the faithful weights.
        limits: scale -> correction above which it serves better; None: nothing was fitted.

    Raises:
        OptionError: if the limits are damaged.
    """

    def __init__(self, bundle: Path, robust: Callable[[], Model]) -> None:
        models = bundle / "models"
        has_robust = (models / ROBUST_WEIGHTS).is_file()
        self.limits = read_limits(models) if has_robust else None
        self.robust = robust() if has_robust else None
        self._name = bundle.name

    def find(self, sample: Sample | None) -> Finding | None:
        """Measure an input; None: there is nothing to measure."""
        if sample is None:
            return None
        if self.robust is None:
            return Finding(sample.quality)
        inferer, network = self.robust.inferer, self.robust.network
        limit = limit_at(self.limits, inferer.check(network))
        return Finding(sample.quality, correction(sample, network, inferer), limit)

    def measure(self, name: PathLike, sample: Sample | None) -> Finding | None:
        """Measure an input, and say what was found and what follows.

        Args:
            name: of it, for the log.
            sample: of it.
        """
        finding = self.find(sample)
        if finding is not None:
            said = f"{finding}: {finding.weights} weights{self._why()}"
            logger.info("%s: %s", printable(str(name)), said)
        return finding

    def pick(self, finding: Finding | None, faithful: Model) -> Model:
        """Return the model whose weights serve better: the faithful one, or the robust one."""
        is_degraded = finding is not None and finding.is_degraded
        return self.robust if is_degraded and self.robust is not None else faithful

    def _why(self) -> str:
        if self.robust is None:
            return f", for {self._name} has none for degraded input"
        if self.limits is None:
            return f", for nothing was fitted to the robust ones of {self._name}"
        return ""

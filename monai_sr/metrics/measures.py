"""The one table of metrics: what evaluation, reports and the results page say of each.

A metric is one file: its class, and above it, in :func:`register_metric`, the figures that it gives
with name, unit, direction and decimals. The line of ``metrics/__init__.py`` that imports the class
puts it into the table; nothing else names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from monai_sr.core import (
    MissingDependencyError,
    PathLike,
    Registry,
    WeightsError,
    get_logger,
    weights_sha256,
)
from monai_sr.metrics.base import Comparison, PairMetric

_logger = get_logger(__name__)
M = TypeVar("M", bound=type[PairMetric])


@dataclass(frozen=True, kw_only=True)
class Measure:
    """State one figure that a metric gives.

    Args:
        name: of its column, and of ``--measures``.
        label: short heading.
        is_more_better: its direction; None where neither is.
        digits: decimals in tables.
        about: its definition in one sentence, with the source.
        unit: empty for a pure number.
        variant: which one of several alike, in the heading's brackets.
        luma_label: short heading where the protocol compares luma, if it is another.
        column: place among the columns that every table has; 0 for a figure that is asked for.
        is_always: whether it is taken unasked.
        stored_digits: decimals in CSV files.
        side_px: shortest side inside the border that it needs; a smaller image has no figure.
        channels: how many channels it needs at least; an image of fewer has no figure.
        options: further arguments of the metric.
        takes_weights: whether the metric has a network whose weights may be given.
        weights_sha256: of that file.
        metric: what computes it; :func:`register_metric` fills it in.
    """

    name: str
    label: str
    is_more_better: bool | None
    digits: int
    about: str
    unit: str = ""
    variant: str = ""
    luma_label: str = ""
    column: int = 0
    is_always: bool = False
    stored_digits: int = 6
    side_px: int = 1
    channels: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_weights: bool = False
    weights_sha256: str = ""
    metric: type[PairMetric] = PairMetric  # type: ignore[type-abstract]

    def title(self, *, is_luma: bool = False) -> str:
        """Return the heading: label, in brackets variant and unit."""
        label = (is_luma and self.luma_label) or self.label
        inside = ", ".join(filter(None, (self.variant, self.unit)))
        return f"{label} ({inside})" if inside else label

    @property
    def direction(self) -> str:
        """Which figures are better, in words; empty where neither is."""
        if self.is_more_better is None:
            return ""
        return f"{'higher' if self.is_more_better else 'lower'} is better"

    def gain(self, value: float, base: float) -> float:
        """Return by how much a figure is better than another; negative where it is worse."""
        return base - value if self.is_more_better is False else value - base

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some figures; the largest where neither direction is better."""
        return min(values) if self.is_more_better is False else max(values)

    def bound(self, weights: PathLike | None) -> Measure:
        """Return this measure with its network loaded.

        Args:
            weights: file of the network's weights; None looks into torchvision's cache.

        Raises:
            WeightsError: if the network's weights cannot be had.
        """
        if not self.takes_weights:
            return self
        digest = "" if weights is None else weights_sha256(weights)
        options = {**self.options, "weights": None if weights is None else str(weights)}
        self.metric.load(**options)
        return replace(self, options=options, weights_sha256=digest)

    def __call__(self, comparison: Comparison) -> float:
        """Measure; NaN where the image is too small or has too few channels."""
        if comparison.side_px < self.side_px or comparison.hr.shape[1] < self.channels:
            return math.nan
        metric = self.metric(comparison.scale, comparison.protocol, **self.options)
        return metric.compare(comparison)


MEASURES: Registry[Measure] = Registry("measure")


def register_metric(*measures: Measure) -> Callable[[M], M]:
    """Put the figures that a class of metrics gives into the table.

    Raises:
        OptionError: if a name is taken.
    """

    def register(metric: M) -> M:
        for measure in measures:
            MEASURES.add(measure.name, replace(measure, metric=metric))
        return metric

    return register


def column_names(*, is_always: bool = False) -> tuple[str, ...]:
    """Return the figures that every table has a column for, in their order.

    Args:
        is_always: only those that are taken unasked.
    """
    found = [m for m in map(MEASURES.get, MEASURES) if m.column and (m.is_always or not is_always)]
    return tuple(m.name for m in sorted(found, key=lambda m: m.column))


def find_measures(
    names: Sequence[str], weights: Mapping[str, PathLike] | None = None
) -> tuple[list[Measure], dict[str, str]]:
    """Return measures by name, those of every row first.

    Args:
        names: of measures.
        weights: measure -> file of the weights of its network.

    Returns:
        The measures, and those that are left out: name -> why.

    Raises:
        OptionError: if one is unknown; the nearest name and all names are shown.
    """
    found, left_out = [], {}
    for name in dict.fromkeys((*column_names(is_always=True), *names)):
        measure = MEASURES.get(name)
        try:
            found.append(measure.bound((weights or {}).get(name)))
        except (WeightsError, MissingDependencyError) as error:
            left_out[name] = str(error)
            _logger.warning("%s is left out: %s", name, error)
    return found, left_out

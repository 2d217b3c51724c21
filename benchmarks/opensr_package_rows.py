"""Run the package opensr-test on results of ours, keep its figures beside ours, and compare them.

It is no dependency: it brings models for image and text, and OpenCV, for figures that are not used
here. Where it is installed, ``tests/metrics/test_opensr_package.py`` compares, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from tables import Table
from torch import Tensor

from monai_sr.core.errors import MissingDependencyError
from monai_sr.metrics import OpenSR, opensr

PACKAGE = "opensr_package.csv"
"""Name of the table among the measured rows."""
_NAMES = {"hallucination": "ha_metric", "omission": "om_metric", "improvement": "im_metric"}
_ALIKE = 1e-3
"""Largest difference in float32 that is put down to rounding."""


@dataclass(frozen=True, kw_only=True)
class PackageRow:
    """Hold one figure of one image: ours, the package's, and its without moving the result."""

    set: str
    image: str
    scale: int
    system: str
    figure: str
    ours: float
    package: float
    unmoved: float
    version: str


PACKAGE_TABLE = Table(
    PackageRow,
    "benchmarks/opensr_package.py",
    "{:.6f}".format,
)


def package_figures(sr: Tensor, hr: Tensor, lr: Tensor, **options: Any) -> dict[str, float]:
    """Compute the figures of one image by the package.

    Shape: sr, hr (C, H, W), lr (C, H / scale, W / scale) in [0, 1].

    Args:
        sr: the result.
        hr: the reference.
        lr: the input.
        **options: of its ``Config``; ``harm_apply_spatial=False`` leaves the result in its place.

    Raises:
        MissingDependencyError: if the package is not installed.
    """
    try:
        metrics = import_module("opensr_test").Metrics(**options)
    except ImportError as error:
        raise MissingDependencyError(
            f"opensr-test: must be installed for this comparison, got {error}; "
            "pip install opensr-test"
        ) from error
    found = metrics.compute(*(image.float().contiguous() for image in (lr, sr, hr)))
    return {name: found[_NAMES.get(name, name)] for name in OpenSR._fields}


def compare_figures(sr: Tensor, hr: Tensor, lr: Tensor, **about: Any) -> list[PackageRow]:
    """Return the figures of one image in all three ways; see :func:`package_figures`."""
    ours = opensr(sr, hr, lr)._asdict()
    package = package_figures(sr, hr, lr)
    unmoved = package_figures(sr, hr, lr, harm_apply_spatial=False)
    return [
        PackageRow(
            figure=name,
            ours=ours[name],
            package=package[name],
            unmoved=unmoved[name],
            version=version("opensr-test"),
            **about,
        )
        for name in OpenSR._fields
    ]


def agreement_lines(rows: Sequence[PackageRow]) -> list[str]:
    """Return the lines that compare our figures with the package's; none without rows."""
    if not rows:
        return []
    results = {(row.set, row.image, row.scale, row.system) for row in rows}
    lines = [
        "### Our figures and those of the package opensr-test\n",
        f"opensr-test {rows[0].version} on {len(results)} results of the satellite images above, "
        f"of {'; '.join(dict.fromkeys(row.system for row in rows))}, from "
        "`python benchmarks/opensr_package.py`. By default it first moves the result onto the "
        "reference, by a shift that phase correlation without a window finds; both share one grid "
        "here, so that ours does not. The spatial figure, too, it finds without a window, in steps "
        "of a fiftieth of a pixel where ours are a hundredth.\n",
        "| figure | mean, ours | mean, package | mean, package without moving "
        "| largest difference | largest without moving |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    alike = []
    for name in OpenSR._fields:
        part = [row for row in rows if row.figure == name]
        means = [
            sum(getattr(row, way) for row in part) / len(part)
            for way in ("ours", "package", "unmoved")
        ]
        moved, unmoved = (
            max(abs(getattr(row, way) - row.ours) for row in part) for way in ("package", "unmoved")
        )
        alike += [name] if unmoved <= _ALIKE else []
        texts = [f"{value:.4f}" for value in means] + [f"{moved:.1e}", f"{unmoved:.1e}"]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return [*lines, f"\nWithout moving alike to {_ALIKE:g}: {', '.join(alike) or 'none'}.\n"]

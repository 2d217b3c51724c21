"""Ask whether a mixture of the faithful and the robust weights beats the choice between them.

``--robust auto`` gives an input one or the other, see :mod:`monai_sr.upscaling.degraded`. Here both
enlarge the images of ``benchmarks/fit_robust.py``: clean, degraded by half of what the sensor does
("mild": the mean of the clean and the degraded small image), and degraded. Of each image three mean
products of errors are kept; they give the PSNR of any mixture of the two results. Compared are the
choice, a mixture of results whose share of the robust ones rises with the correction, the same
with mixtures of the weights themselves, and what the best choice and the best mixture of each image
would have. Limits and ramps are fitted on each half of the images and judged on the other; both may
cost clean images no more than a hundredth of a dB.

Example: ``python benchmarks/mix_robust.py --data DATA --csv benchmarks/results/robust_mix.csv``.
"""

from __future__ import annotations

import argparse
import copy
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from campaign_jobs import robust_job
from fit_robust import (
    SCALES,
    corrected,
    degraded_pairs,
    drawn_images,
    middle,
    read_degradation,
    small,
    spread,
)
from torch import Tensor, nn

from monai_sr import SuperResolver
from monai_sr.core import atomic_file, find_bundle
from monai_sr.core.errors import SRError
from monai_sr.inferers import TiledInferer

BUNDLES = ("natural_sr", "xray_sr", "mri_sr", "satellite_sr")
KINDS = ("clean", "mild", "degraded")
SHARES = np.linspace(0, 1, 5)
"""Of the robust weights, in mixtures of weights."""
_MOST_COST = 0.01  # dB of clean images
_STEPS = 16  # corrections at which a ramp may begin or end
_LEAST_ERROR = 1e-10

Array = npt.NDArray[np.float64]
Mixing = Callable[[Array], Array]


class Judged(NamedTuple):
    """Images of one kind, enlarged by both sets of weights.

    Attributes:
        corrections: (N,) by the robust weights.
        products: (N, 3), mean squared error of the faithful result, mean product of both errors,
            mean squared error of the robust result.
        weights: (N, 5), mean squared error by mixtures of weights with :data:`SHARES`.
    """

    corrections: Array
    products: Array
    weights: Array

    def half(self, part: int) -> Judged:
        """Return every second image."""
        return Judged(*(each[part::2] for each in self))

    def results(self, shares: Array) -> Array:
        """Return the PSNR in dB of mixed results, with a share (N,) of the robust ones."""
        rest = 1 - shares
        factors = np.stack([rest**2, 2 * rest * shares, shares**2], -1)
        return _psnr((factors * self.products).sum(-1))

    def mixed_weights(self, shares: Array) -> Array:
        """Return the PSNR in dB by mixtures of weights, of the nearest share that was tried."""
        nearest = np.abs(shares[:, None] - SHARES).argmin(1)
        return _psnr(np.take_along_axis(self.weights, nearest[:, None], 1)[:, 0])


def _psnr(errors: Array) -> Array:
    return np.asarray(-10 * np.log10(np.maximum(errors, _LEAST_ERROR)))


def ramp(corrections: Array, ends: tuple[float, float]) -> Array:
    """Return the share of the robust weights: it rises from 0 to 1 between two corrections."""
    low, high = ends
    if high <= low:
        return (corrections > low).astype(float)
    return np.clip((corrections - low) / (high - low), 0, 1)


def fit_ramp(
    judged: Sequence[Judged], psnr: Callable[[Judged, Array], Array], *, is_choice: bool
) -> tuple[float, float]:
    """Return the ends of the ramp that gains most on degraded images.

    Args:
        judged: clean images, then others.
        psnr: what a share makes of images.
        is_choice: whether both ends are one.
    """
    clean = judged[0]
    known = np.concatenate([each.corrections for each in judged])
    ends = [*np.quantile(known, np.linspace(0, 1, _STEPS)), np.inf]
    faithful = psnr(clean, np.zeros(len(clean.corrections))).mean()
    best, most = (np.inf, np.inf), -np.inf
    for low in ends:
        for high in [low] if is_choice else [end for end in ends if end >= low and end < np.inf]:
            found = [psnr(each, ramp(each.corrections, (low, high))) for each in judged]
            worth = float(np.mean(np.concatenate(found[1:])))
            if found[0].mean() >= faithful - _MOST_COST and worth > most:
                best, most = (low, high), worth
    return best


def held_out(
    judged: Sequence[Judged], psnr: Callable[[Judged, Array], Array], *, is_choice: bool
) -> list[float]:
    """Return the mean PSNR of each kind, each half by the ramp of the other."""
    halves = [[each.half(part) for each in judged] for part in (0, 1)]
    fitted = [fit_ramp(half, psnr, is_choice=is_choice) for half in halves]
    found = [
        [psnr(each, ramp(each.corrections, ends)) for each in half]
        for half, ends in zip(halves, fitted[::-1], strict=True)
    ]
    return [float(np.concatenate(both).mean()) for both in zip(*found, strict=True)]


def judge(
    pairs: Iterator[tuple[Tensor, Tensor]], faithful: SuperResolver, robust: SuperResolver
) -> Judged:
    """Measure and enlarge images by both sets of weights and by mixtures of these."""
    soups = [
        [soup(faithful, robust, float(share), each.inferer) for each in (faithful, robust)]
        for share in SHARES[1:-1]
    ]
    border = int(faithful.scale)
    corrections, products, weights = [], [], []
    for lr, hr in pairs:
        plain, other = (_errors(each(lr), hr, border) for each in (faithful, robust))
        own = [float((a * b).mean()) for a, b in ((plain, plain), (plain, other), (other, other))]
        # With and without back-projection: the better one counts.
        tried = [min(float(_errors(r(lr), hr, border).square().mean()) for r in p) for p in soups]
        corrections.append(corrected(lr, robust))
        products.append(own)
        weights.append([own[0], *tried, own[2]])
    return Judged(np.array(corrections), np.array(products), np.array(weights))


def _errors(sr: Tensor, hr: Tensor, border: int) -> Tensor:
    inner = (slice(None), slice(border, -border), slice(border, -border))
    return (sr.clamp(0, 1) - hr)[inner].double()


def soup(
    faithful: SuperResolver, robust: SuperResolver, share: float, inferer: TiledInferer
) -> SuperResolver:
    """Return what enlarges by the mean of both sets of weights."""
    network: nn.Module = copy.deepcopy(faithful.network)
    other = robust.network.state_dict()
    network.load_state_dict(
        {k: torch.lerp(v, other[k], share) for k, v in network.state_dict().items()}
    )
    return SuperResolver(network, inferer)


def milder(images: Sequence[Tensor], degradation: Any, scale: int, draws: int) -> list[Any]:
    """Return pairs that are degraded by half of what the sensor does."""
    halves = []
    seeds = torch.Generator().manual_seed(1)
    for image in images:
        lr, hr = small(image, scale)
        for _ in range(draws):
            seed = torch.randint(2**31, (1,), generator=seeds)
            varied, truth = degradation.vary([lr[None], hr[None]], seed)
            halves.append(((varied + degradation.corrupt(varied, seed))[0] / 2, truth[0]))
    return halves


def rows_of(bundle: str, scale: int, judged: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of images."""
    results, weights = Judged.results, Judged.mixed_weights
    ways = {
        "choice": held_out(judged, results, is_choice=True),
        "mixed_results": held_out(judged, results, is_choice=False),
        "mixed_weights": held_out(judged, weights, is_choice=False),
    }
    for number, (kind, each) in enumerate(zip(KINDS, judged, strict=True)):
        count = len(each.corrections)
        shares = [each.results(np.full(count, share)) for share in np.linspace(0, 1, 101)]
        found = {
            "faithful": shares[0].mean(),
            "robust": shares[-1].mean(),
            **{name: values[number] for name, values in ways.items()},
            "best_choice": np.maximum(shares[0], shares[-1]).mean(),
            "best_mixed_results": np.max(shares, 0).mean(),
            "best_mixed_weights": _psnr(each.weights.min(1)).mean(),
        }
        numbers = {name: f"{float(value):.3f}" for name, value in found.items()}
        yield {"bundle": bundle, "scale": scale, "images": kind, "count": count, **numbers}


def bundle_rows(bundle: str, data: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of a bundle."""
    job = robust_job(find_bundle(bundle).name)
    degradation = read_degradation(str(options.degradation or job.degradation))
    images: list[Tensor] = []
    for scale in SCALES:
        faithful, robust = (
            SuperResolver(bundle, scale=scale, robust=flag, device="cpu", runtime="torch")
            for flag in (False, True)
        )
        images = images or drawn_images(job, data, faithful.in_channels, options.clean)
        parts = [middle(image, options.side * scale) for image in images]
        some = spread(parts, options.count)
        clean = (small(image, scale) for image in parts)
        mild = iter(milder(some, degradation, scale, options.draws))
        full = degraded_pairs(some, degradation, scale, options.draws, 0)
        judged = [judge(pairs, faithful, robust) for pairs in (clean, mild, full)]
        yield from rows_of(bundle, scale, judged)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of all images")
    parser.add_argument("--csv", type=Path, required=True, help="table of the results")
    parser.add_argument("--bundles", nargs="*", default=BUNDLES)
    parser.add_argument("--degradation", help="in place of the campaign's")
    parser.add_argument("--count", type=int, default=16, help="images that are degraded")
    parser.add_argument("--draws", type=int, default=3, help="strengths for each")
    parser.add_argument("--side", type=int, default=64, help="of small images")
    parser.add_argument("--clean", type=int, default=48, help="clean images")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    for bundle in options.bundles:
        rows += bundle_rows(bundle, options.data, options)
        with (
            atomic_file(options.csv) as partial,
            partial.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SRError as error:
        sys.exit(f"mix_robust: error: {error}")

"""Judge systems on spoiled input: how much quality noise or blur costs, and what becomes of noise.

A system that sharpens also sharpens noise. Its noise gain is the root mean square of what the noise
changes in the result, over that of the noise in the input: 1 passes it on as strong as it was.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from facts import read_table, write_table
from summary import fixed
from torch import Tensor

from monai_sr.core.types import PathLike
from monai_sr.evaluation import Benchmark, BenchmarkImage, System
from monai_sr.metrics import prepare_pair, psnr
from monai_sr.metrics.protocol import to_stored
from monai_sr.training import Degradation, RandomDegradation

FILE = "degraded.csv"
"""Name of the table among the measured rows."""
_SEED_DIGITS = 15


@dataclass(frozen=True)
class Condition:
    """Name one way to spoil the small images of a benchmark.

    Args:
        name: what tables call it.
        degradation: acts on the whole small image; None leaves it as it is.
        is_noise: whether a noise gain can be told.
    """

    name: str
    degradation: Degradation | None = None
    is_noise: bool = False

    def spoil(self, lr: Tensor, image: BenchmarkImage, benchmark: Benchmark) -> Tensor:
        """Spoil one small image, the same way for every system, and store it again.

        Shape: lr (1, C, H, W) in [0, 1] -> the same.
        """
        if self.degradation is None:
            return lr
        seed = torch.tensor([int(image.digest[:_SEED_DIGITS], 16)])
        spoiled = self.degradation.corrupt(lr.float(), seed)
        return to_stored(spoiled, benchmark.protocol) / benchmark.protocol.data_range


def noise(sigma: float) -> Condition:
    """Add white Gaussian noise to the small image, ``sigma`` of 255 grey levels."""
    spoils = RandomDegradation(noise_sigma=(sigma, sigma))
    return Condition(f"noise {sigma:g}", spoils, is_noise=True)


def blur(sigma: float) -> Condition:
    """Blur the small image by a Gaussian of ``sigma`` of its pixels."""
    return Condition(f"blur {sigma:g}", RandomDegradation(blur_sigma=(sigma, sigma)))


CONDITIONS = (Condition("clean"), noise(2), noise(5), noise(10), blur(1))
"""What is measured: three levels of noise, of 255, and a blur of one small pixel."""


@dataclass(frozen=True, kw_only=True)
class DegradedRow:
    """Hold what was measured on one image: PSNR in dB by the set's protocol; NaN: no noise gain."""

    set: str
    image: str
    scale: int
    system: str
    condition: str
    psnr: float
    noise_gain: float = math.nan
    weights_sha256: str = ""


HEADER = [field.name for field in dataclasses.fields(DegradedRow)]


def judge_degraded(
    benchmark: Benchmark,
    images: Iterable[BenchmarkImage],
    system: System,
    scale: int,
    conditions: Sequence[Condition] = CONDITIONS,
) -> Iterator[DegradedRow]:
    """Judge a system on images of a benchmark under every condition.

    Args:
        benchmark: how images are compared.
        images: those of its images that are judged.
        system: what is judged.
        scale: the enlargement.
        conditions: ways to spoil the small images.

    Raises:
        BadImageError: if an image is unusable or a result is not finite.
    """
    for image in images:
        hr, lr = benchmark.load_pair(image, scale)
        clean, _ = system(lr.float(), scale)
        for condition in conditions:
            spoiled = condition.spoil(lr, image, benchmark)
            sr = clean if spoiled is lr else system(spoiled.float(), scale)[0]
            planes = prepare_pair(sr, hr, scale, benchmark.protocol)
            gain = math.nan
            if condition.is_noise:
                gain = _rms(sr.clamp(0, 1) - clean.clamp(0, 1)) / _rms(spoiled - lr)
            yield DegradedRow(
                set=benchmark.name,
                image=image.name,
                scale=scale,
                system=system.name,
                condition=condition.name,
                psnr=psnr(*planes, data_range=benchmark.protocol.data_range).item(),
                noise_gain=gain,
                weights_sha256=system.weights_sha256,
            )


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def write_degraded(path: PathLike, rows: Iterable[DegradedRow]) -> None:
    """Put rows into a CSV file in place of those of the same set, scale and system.

    Raises:
        OutputError: if the file cannot be written.
    """
    new = list(rows)
    replaced = {(row.set, row.scale, row.system) for row in new}
    kept = [r for r in read_degraded(path) if (r.set, r.scale, r.system) not in replaced]
    ordered = sorted([*kept, *new], key=lambda r: (r.set, r.scale, r.system, r.image))
    write_table(path, HEADER, (map(_text, dataclasses.astuple(row)) for row in ordered))


def _text(cell: str | float) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return "" if math.isnan(cell) else f"{cell:.4f}"


def read_degraded(path: PathLike) -> list[DegradedRow]:
    """Read a CSV file of rows; an absent file has none.

    Raises:
        BadImageError: if the file holds something else.
    """
    return read_table(path, HEADER, _row, "benchmarks/degraded.py")


def _row(text: dict[str, str]) -> DegradedRow:
    return DegradedRow(
        set=text["set"],
        image=text["image"],
        scale=int(text["scale"]),
        system=text["system"],
        condition=text["condition"],
        psnr=float(text["psnr"]),
        noise_gain=float(text["noise_gain"] or "nan"),
        weights_sha256=text["weights_sha256"],
    )


def degraded_section(rows: Sequence[DegradedRow]) -> list[str]:
    """Return the lines of the section on spoiled input: one table a set and scale."""
    lines = [
        "## Degraded input\n",
        "PSNR (dB) by the protocol of the set / noise gain. Noise: white, standard deviation in "
        "grey levels of 255 of the small image; blur: Gaussian of one small pixel. Noise gain: "
        "root mean square of what the noise changes in the result over that of the noise in the "
        "input. Bold: highest PSNR. From `python benchmarks/degraded.py`.\n",
    ]
    for name, scale in dict.fromkeys((row.set, row.scale) for row in rows):
        part = [row for row in rows if (row.set, row.scale) == (name, scale)]
        conditions = list(dict.fromkeys(row.condition for row in part))
        systems = list(dict.fromkeys(row.system for row in part))
        cells = {
            (s, c): [row for row in part if (row.system, row.condition) == (s, c)]
            for s in systems
            for c in conditions
        }
        best = {c: max(_mean(cells[s, c], "psnr") for s in systems) for c in conditions}
        images = len({row.image for row in part})
        lines += [
            f"### {name} x{scale}, {images} images\n",
            f"| system | {' | '.join(conditions)} |",
            f"|---|{'---:|' * len(conditions)}",
        ]
        for system in systems:
            texts = [_cell(cells[system, c], best[c]) for c in conditions]
            lines.append(f"| {system} | {' | '.join(texts)} |")
        lines.append("")
    return lines


def _mean(rows: Sequence[DegradedRow], name: str) -> float:
    values = [value for row in rows if math.isfinite(value := getattr(row, name))]
    return statistics.fmean(values) if values else math.nan


def _cell(rows: Sequence[DegradedRow], best: float) -> str:
    quality, gain = _mean(rows, "psnr"), _mean(rows, "noise_gain")
    text = fixed(quality, 2)
    text = f"**{text}**" if text == fixed(best, 2) else text
    return text if math.isnan(gain) else f"{text} / {gain:.2f}"

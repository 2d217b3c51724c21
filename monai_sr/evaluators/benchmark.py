"""Judge systems on a benchmark: one row an image, kept in one CSV file a benchmark."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.types import PathLike
from monai_sr.evaluators.datasets import Benchmark, BenchmarkImage
from monai_sr.functional.resize import upsample
from monai_sr.functional.ssim import ssim
from monai_sr.metrics.consistency import lr_psnr
from monai_sr.metrics.dss import SMALLEST_SIDE_PX as DSS_SIDE_PX
from monai_sr.metrics.dss import dss
from monai_sr.metrics.gmsd import gmsd
from monai_sr.metrics.lpips import SMALLEST_SIDE_PX, lpips
from monai_sr.metrics.protocol import make_lr, modcrop, prepare_colors, prepare_pair, to_stored
from monai_sr.metrics.psnr import psnr

_logger = logging.getLogger(__name__)

Upscale = Callable[[Tensor, int], Tensor]
"""(image (N, C, H, W) float32 in [0, 1], scale) -> (N, C, H * scale, W * scale)."""


@dataclass(frozen=True)
class System:
    """Name a way to enlarge images.

    Args:
        name: what tables call it.
        upscale: enlarges (N, C, H, W) float32 in [0, 1]; it need not clip or round.
        channels: how many channels it takes; None takes any. A grey image is given to a
            three-channel system three times and the results are averaged; so is each band of an
            image of more than three. A color image is given to a one-channel system band by band.
        weights_sha256: SHA-256 of its weights file, empty where it has none.
    """

    name: str
    upscale: Upscale
    channels: int | None = None
    weights_sha256: str = ""

    def __call__(self, lr: Tensor, scale: int) -> Tensor:
        """Enlarge one image of any channel count.

        Shape: lr (1, C, H, W) float32 in [0, 1] -> (1, C, H * scale, W * scale).

        Raises:
            BadImageError: if the result has another shape or a value that is not finite.
        """
        channels = lr.shape[1]
        with torch.inference_mode():
            if self.channels in (None, channels):
                sr = self.upscale(lr, scale)
            elif 1 in (self.channels, channels) or (self.channels == 3 and channels > 3):
                bands = lr.transpose(0, 1).expand(-1, self.channels or 1, -1, -1)
                sr = self.upscale(bands, scale).double().mean(dim=1, keepdim=True).transpose(0, 1)
            else:
                raise OptionError(
                    f"{self.name}: takes {self.channels} channels, got an image with {channels}; "
                    "choose a system for these images"
                )
        expected = (1, channels, lr.shape[-2] * scale, lr.shape[-1] * scale)
        if tuple(sr.shape) != expected:
            raise BadImageError(
                f"{self.name}: its result must have shape {expected}, got {tuple(sr.shape)}; "
                "check the scale it was built for"
            )
        if not bool(torch.isfinite(sr).all()):
            raise BadImageError(
                f"{self.name}: its result must be finite, got NaN or infinity; check its weights"
            )
        return sr.cpu()


BICUBIC = System("bicubic", upsample)
"""MATLAB's bicubic enlargement, the row that every other is compared with."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold what was measured on one image.

    PSNR and LR-PSNR in dB; ``lpips`` with SqueezeNet's offline weights, ``gmsd``, ``dss``: NaN
    where they were not measured; time in seconds.
    """

    set: str
    image: str
    label: str
    scale: int
    system: str
    psnr: float
    ssim: float
    lpips: float = math.nan
    gmsd: float = math.nan
    dss: float = math.nan
    lr_psnr: float
    seconds: float
    protocol: str
    weights_sha256: str

    def cells(self) -> list[str]:
        """Return the row as text, in the order of the fields."""
        digits = {"psnr": 4, "ssim": 5, "lpips": 5, "gmsd": 5, "dss": 5, "lr_psnr": 2, "seconds": 3}
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        text = (f"{v:.{digits[n]}f}" if n in digits else str(v) for n, v in values)
        return ["" if cell == "nan" else cell for cell in text]

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Order rows by scale, system, class and image."""
        return (self.scale, self.system, self.label, self.image)


HEADER = ["class" if f.name == "label" else f.name for f in fields(Row)]
_ADDED = {"lpips", "gmsd", "dss"}
"""Columns that older files lack."""


def evaluate_image(
    benchmark: Benchmark,
    image: BenchmarkImage,
    system: System,
    scale: int,
    *,
    is_perceptual: bool = True,
) -> Row:
    """Make the low-resolution image, enlarge it and compare the result with the reference.

    Args:
        benchmark: how they are compared.
        image: the reference.
        system: what is judged.
        scale: the enlargement.
        is_perceptual: whether LPIPS, GMSD and DSS are measured, too; LPIPS takes most of the time.

    Raises:
        BadImageError: if the reference is unusable or too small, or the result is not finite.
    """
    protocol = benchmark.protocol
    hr = modcrop(benchmark.load(image), scale)
    smallest = 2 * scale + SMALLEST_SIDE_PX
    if min(hr.shape[-2:]) < smallest:
        raise BadImageError(
            f"{image.path}: each side must be at least {smallest} pixels at scale {scale}, "
            f"got {tuple(hr.shape[-2:])}; leave it out of the benchmark"
        )
    lr = make_lr(hr, scale, protocol)
    start = time.perf_counter()
    sr = system(lr.float(), scale)
    seconds = time.perf_counter() - start
    sr_planes, hr_planes = prepare_pair(sr, hr, scale, protocol)
    stored_sr, stored_lr = to_stored(sr, protocol), to_stored(lr, protocol)
    colors = prepare_colors(sr, hr, scale, protocol) if is_perceptual else None
    return Row(
        set=benchmark.name,
        image=image.name,
        label=image.label,
        scale=scale,
        system=system.name,
        psnr=psnr(sr_planes, hr_planes, protocol.data_range).item(),
        ssim=ssim(sr_planes, hr_planes, data_range=protocol.data_range).item(),
        lpips=lpips(*colors).item() if colors else math.nan,
        gmsd=gmsd(*colors).item() if colors else math.nan,
        dss=_dss(*colors) if colors else math.nan,
        lr_psnr=lr_psnr(stored_sr, stored_lr, scale, protocol.data_range).item(),
        seconds=seconds,
        protocol=protocol.name,
        weights_sha256=system.weights_sha256,
    )


def _dss(sr: Tensor, hr: Tensor) -> float:
    return dss(sr, hr).item() if min(hr.shape[-2:]) >= DSS_SIDE_PX else math.nan


def evaluate(
    benchmark: Benchmark,
    root: PathLike,
    system: System,
    scale: int,
    *,
    is_perceptual: bool = True,
    per_class: int | None = None,
) -> Iterator[Row]:
    """Judge a system on the images of a benchmark, one row at a time.

    Args:
        benchmark: its images and how they are compared.
        root: folder that holds the images.
        system: what is judged.
        scale: the enlargement.
        is_perceptual: whether LPIPS, GMSD and DSS are measured, too.
        per_class: how many images of each class are judged, from the first; all if None.

    Raises:
        BadImageError: as :func:`evaluate_image`, or if the images are not there.
    """
    taken: Counter[str] = Counter()
    for image in benchmark.images(root):
        taken[image.label] += 1
        if per_class is not None and taken[image.label] > per_class:
            continue
        row = evaluate_image(benchmark, image, system, scale, is_perceptual=is_perceptual)
        _logger.info("%s x%d %s %s: %.2f dB", row.set, scale, system.name, row.image, row.psnr)
        yield row


def has_rows(path: PathLike) -> bool:
    """Tell a file of rows from other tables by its header."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return _is_header(next(csv.reader(stream), []))


def _is_header(cells: list[str]) -> bool:
    return set(HEADER) - _ADDED <= set(cells) <= set(HEADER)


def read_rows(path: PathLike) -> list[Row]:
    """Read a CSV file of rows; an absent file has none. Figures that older files lack are NaN.

    Raises:
        BadImageError: if the file holds something else.
    """
    path = Path(path)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    try:
        if not _is_header(lines[0]):
            raise ValueError("another header")
        return [_row(dict(zip(lines[0], cells, strict=True))) for cells in lines[1:]]
    except (ValueError, IndexError) as error:
        raise BadImageError(
            f"{path}: must be a table with the columns {', '.join(HEADER)}, got {error}; "
            "move it away and evaluate again"
        ) from error


def write_rows(path: PathLike, rows: Iterable[Row]) -> None:
    """Put rows into a CSV file in place of those of the same system and scale; others stay.

    The order is fixed (scale, system, class, image), so the same figures give the same file.

    Raises:
        OutputError: if the file cannot be written.
    """
    new = list(rows)
    replaced = {(row.system, row.scale) for row in new}
    kept = [row for row in read_rows(path) if (row.system, row.scale) not in replaced]
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(row.cells() for row in sorted([*kept, *new], key=lambda row: row.key))


def _row(text: dict[str, str]) -> Row:
    return Row(
        set=text["set"],
        image=text["image"],
        label=text["class"],
        scale=int(text["scale"]),
        system=text["system"],
        psnr=float(text["psnr"]),
        ssim=float(text["ssim"]),
        lpips=float(text.get("lpips") or "nan"),
        gmsd=float(text.get("gmsd") or "nan"),
        dss=float(text.get("dss") or "nan"),
        lr_psnr=float(text["lr_psnr"]),
        seconds=float(text["seconds"]),
        protocol=text["protocol"],
        weights_sha256=text["weights_sha256"],
    )

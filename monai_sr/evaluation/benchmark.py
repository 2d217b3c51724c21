"""Judge systems on a benchmark: each image is made small, enlarged and compared: a row."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, PathLike, get_logger
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.evaluation.images import BenchmarkImage
from monai_sr.evaluation.rows import Row
from monai_sr.functional import upsample
from monai_sr.metrics import STANDARD, Comparison, Measure, find_measures

_logger = get_logger(__name__)

Upscale = Callable[[Tensor, int], Tensor | tuple[Tensor, Tensor]]
"""(image (N, C, H, W) float32 in [0, 1], scale) -> (N, C, H * scale, W * scale), perhaps with the
half width of a 90 % interval around each value, of the same shape."""


@dataclass(frozen=True)
class System:
    """Name a way to enlarge images.

    Args:
        name: what tables call it.
        upscale: enlarges (N, C, H, W) float32 in [0, 1]; it need not clip or round.
        channels: how many channels it takes; None takes any. A grey image is given to a
            three-channel system three times and the results are averaged; a color image is given
            to a one-channel system band by band.
        weights_sha256: SHA-256 of its weights file, empty where it has none.
    """

    name: str
    upscale: Upscale
    channels: int | None = None
    weights_sha256: str = ""

    def __call__(self, lr: Tensor, scale: int) -> tuple[Tensor, Tensor | None]:
        """Enlarge one image of any channel count.

        Shape: lr (1, C, H, W) float32 in [0, 1] -> (1, C, H * scale, W * scale), and the half width
        of a 90 % interval around each value where the system gives one.

        Raises:
            BadImageError: if the result has another shape or a value that is not finite.
        """
        channels = lr.shape[1]
        with torch.inference_mode():
            if self.channels in (None, channels):
                parts = self._enlarge(lr, scale)
            elif 1 in (self.channels, channels) or (self.channels == 3 and channels > 3):
                bands = lr.transpose(0, 1).expand(-1, self.channels or 1, -1, -1)
                parts = [
                    part.double().mean(dim=1, keepdim=True).transpose(0, 1)
                    for part in self._enlarge(bands, scale)
                ]
            else:
                raise OptionError(
                    f"{self.name}: takes {self.channels} channels, got an image with {channels}; "
                    "choose a system for these images"
                )
        expected = (1, channels, lr.shape[-2] * scale, lr.shape[-1] * scale)
        for part in parts:
            self._check(part, expected)
        sr, *interval = (part.cpu() for part in parts)
        return sr, interval[0] if interval else None

    def _enlarge(self, lr: Tensor, scale: int) -> list[Tensor]:
        result = self.upscale(lr, scale)
        return list(result) if isinstance(result, tuple) else [result]

    def _check(self, sr: Tensor, expected: tuple[int, ...]) -> None:
        if tuple(sr.shape) != expected:
            raise BadImageError(
                f"{self.name}: its result must have shape {expected}, got {tuple(sr.shape)}; "
                "check the scale it was built for"
            )
        if not bool(torch.isfinite(sr).all()):
            raise BadImageError(
                f"{self.name}: its result must be finite, got NaN or infinity; check its weights"
            )


BICUBIC = System("bicubic", upsample)
"""MATLAB's bicubic enlargement, the row that every other is compared with."""


def enlarge_image(
    benchmark: Benchmark, image: BenchmarkImage, system: System, scale: int
) -> Comparison:
    """Take or make the low-resolution image, and enlarge it.

    Raises:
        BadImageError: if the reference is unusable or too small, or the result is not finite.
    """
    hr, lr = benchmark.load_pair(image, scale)
    smallest = 2 * scale + 1
    if min(hr.shape[-2:]) < smallest:
        raise BadImageError(
            f"{image.path}: each side must be at least {smallest} pixels at scale {scale}, "
            f"got {tuple(hr.shape[-2:])}; leave it out of the benchmark"
        )
    start = time.perf_counter()
    try:
        sr, half_width = system(lr.float(), scale)
    except BadImageError as error:
        raise BadImageError(f"{image.path}: {error}") from error
    seconds = time.perf_counter() - start
    return Comparison(sr, hr, lr, scale, benchmark.protocol, half_width, seconds)


def measure_image(
    benchmark: Benchmark,
    image: BenchmarkImage,
    system: System,
    comparison: Comparison,
    measures: Sequence[Measure],
) -> Row:
    """Compare a result with its reference."""
    return Row(
        set=benchmark.name,
        image=image.name,
        label=image.label,
        scale=comparison.scale,
        system=system.name,
        seconds=comparison.seconds,
        protocol=benchmark.protocol.name,
        weights_sha256=system.weights_sha256,
        patient=image.patient,
        figures={measure.name: measure(comparison) for measure in measures},
    )


def evaluate(
    benchmark: Benchmark,
    root: PathLike,
    system: System,
    scale: int,
    *,
    measures: Sequence[str] = STANDARD,
    per_class: int | None = None,
) -> Iterator[Row]:
    """Judge a system on the images of a benchmark, one row at a time.

    Args:
        benchmark: its images and how they are compared.
        root: folder that holds the images.
        system: what is judged.
        scale: the enlargement.
        measures: names of what is measured, see :mod:`monai_sr.metrics.measures`.
        per_class: how many images of each class are judged, from the first; all if None.

    Raises:
        BadImageError: as :func:`enlarge_image`, or if the images are not there.
    """
    chosen, _ = find_measures(measures)
    for image in first_of_classes(benchmark.images(root, scale), per_class):
        comparison = enlarge_image(benchmark, image, system, scale)
        row = measure_image(benchmark, image, system, comparison, chosen)
        _logger.info("%s x%d %s %s: %.2f dB", row.set, scale, system.name, row.image, row["psnr"])
        yield row


def first_of_classes(
    images: Sequence[BenchmarkImage], per_class: int | None
) -> Iterator[BenchmarkImage]:
    """Yield the first images of each class, all if ``per_class`` is None."""
    taken: Counter[str] = Counter()
    for image in images:
        taken[image.label] += 1
        if per_class is None or taken[image.label] <= per_class:
            yield image

"""Judge the faces of a bundle on degraded input, and keep one row an image, face and strength.

A system that sharpens also sharpens noise: noise gain and fine noise say what becomes of it, MTF50
of a slanted edge how sharp an edge comes out, both beside PSNR. An edge is a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from degraded_input import CONDITIONS, Domain
from tables import Table
from torch import Tensor

from monai_sr.evaluation import Benchmark, BenchmarkImage, System
from monai_sr.metrics import (
    Protocol,
    edge_response,
    fine_noise,
    make_lr,
    mtf50,
    noise_gain,
    prepare_pair,
    psnr,
    slanted_edge,
)

FILE = "degraded.csv"
"""Name of the table among the measured rows."""
EDGE = "edge"
"""Set of the rows of edges."""
_SEED_DIGITS = 15
_EDGE_PX = 64  # of the small image
_REACH_PX = 8
_TURNS = range(4)  # by 90 degrees


@dataclass(frozen=True, kw_only=True)
class DegradedRow:
    """Hold what was measured on one image or edge; NaN where that has no such figure.

    Args:
        domain: as in benchmarks/degraded.yaml.
        set: the benchmark, or :data:`EDGE`.
        image: name of the image, or by how many degrees the edge is turned.
        scale: the enlargement.
        system: name of the system.
        face: bicubic or one of the bundle's faces.
        strength: of the degradation.
        psnr: in dB, by the protocol of the set.
        noise_gain: see :func:`monai_sr.metrics.noise_gain`.
        fine_noise: beyond the small image's Nyquist frequency, in percent.
        mtf50: in cycles a pixel of the small image.
        weights_sha256: of the weights file, empty where there is none.
    """

    domain: str
    set: str
    image: str
    scale: int
    system: str
    face: str
    strength: str
    psnr: float = math.nan
    noise_gain: float = math.nan
    fine_noise: float = math.nan
    mtf50: float = math.nan
    weights_sha256: str = ""

    @property
    def key(self) -> tuple[str, int, str]:
        """What is measured and replaced together."""
        return (self.domain, self.scale, self.face)


DEGRADED_TABLE = Table(
    DegradedRow,
    "benchmarks/degraded.py",
    "{:.4f}".format,
    group=lambda r: r.key,
    order=lambda r: (r.key, r.set == EDGE, r.set, r.image),
)


def judge_images(
    domain: Domain,
    benchmark: Benchmark,
    images: Iterable[BenchmarkImage],
    face: str,
    system: System,
    scale: int,
    strengths: Sequence[str] = CONDITIONS,
) -> Iterator[DegradedRow]:
    """Judge a system on images of a benchmark at every strength.

    Raises:
        BadImageError: if an image is unusable or a result is not finite.
    """
    for image in images:
        whole, small = benchmark.load_pair(image, scale)
        seed = int(image.digest[:_SEED_DIGITS], 16)
        for strength in strengths:
            lr, hr = domain.vary(small, whole, strength, seed)
            noisy, quiet = domain.spoil(lr, strength, seed, benchmark.protocol)
            sr = system(noisy.float(), scale)[0]
            planes = prepare_pair(sr, hr, scale, benchmark.protocol)
            figures = {"psnr": psnr(*planes, data_range=benchmark.protocol.data_range).item()}
            if not torch.equal(noisy, quiet):
                still = system(quiet.float(), scale)[0]
                added = sr.clamp(0, 1) - still.clamp(0, 1)
                figures["noise_gain"] = noise_gain(added, noisy - quiet).item()
                figures["fine_noise"] = fine_noise(added, 0.5 / scale).item()
            yield DegradedRow(
                domain=domain.name, set=benchmark.name, image=image.name, scale=scale,
                system=system.name, face=face, strength=strength,
                weights_sha256=system.weights_sha256, **figures,
            )  # fmt: skip


def judge_edges(
    domain: Domain,
    protocol: Protocol,
    channels: int,
    face: str,
    system: System,
    scale: int,
    strengths: Sequence[str] = CONDITIONS,
) -> Iterator[DegradedRow]:
    """Judge how sharp a system makes edges of four directions, at every strength.

    The edge rises from 0.3 to 0.7, the same in all channels; their mean is measured. Fields that
    vary over the image are left out, for they are no blur.

    Raises:
        BadImageError: if a result shows no edge.
    """
    upright = slanted_edge(_EDGE_PX * scale).expand(1, channels, -1, -1)
    for turn in _TURNS:
        lr = make_lr(torch.rot90(upright, turn, (-2, -1)), scale, protocol)
        for strength in strengths:
            noisy, _ = domain.spoil(lr, strength, turn, protocol)
            yield DegradedRow(
                domain=domain.name, set=EDGE, image=str(90 * turn), scale=scale,
                system=system.name, face=face, strength=strength,
                mtf50=_sharpness(system(noisy.float(), scale)[0], turn, scale),
                weights_sha256=system.weights_sha256,
            )  # fmt: skip


def _sharpness(sr: Tensor, turn: int, scale: int) -> float:
    upright = torch.rot90(sr, -turn, (-2, -1))[0].mean(0)
    return scale * mtf50(edge_response(upright, reach_px=_REACH_PX * scale))

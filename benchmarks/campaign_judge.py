"""Judge what a job of a campaign has learned, ship it where it is better, and keep the ledger."""

from __future__ import annotations

import copy
import csv
import dataclasses
import itertools
import math
import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign_jobs import Campaign, Job
from torch import Tensor, nn
from volumes import cubic_spline, measured_volume

from monai_sr.core.atomic import atomic_file
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.functional.resize import upsample
from monai_sr.inferers import TiledInferer
from monai_sr.metrics import LPIPSMetric, LRPSNRMetric, PSNRMetric
from monai_sr.networks import load_faces, load_weights, save_weights
from monai_sr.training.degradations import Degradation
from monai_sr.upscaling.workflow import SRWorkflow

LARGEST_SIDE = {2: 384, 3: 128}
"""Larger images and volumes are judged by their center."""
SLICES = 8
"""Slices of a volume that are judged, evenly spaced over its inner three quarters."""
TILE = {2: 192, 3: 64}
BLENDS = (0.85, 0.7, 0.55, 0.4)
"""Shares of the second stage's weights in their blend with those it began with, where they fail."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """Means over the validation images."""

    psnr: float = math.nan
    lpips: float = math.nan
    lr_psnr: float = math.nan


class Judge:
    """The validation images of a job, made as its recipe makes them, and what is found on them."""

    def __init__(self, campaign: Campaign, job: Job, data: Path) -> None:
        self.job = job
        options = campaign.options(job, data) | {"device": "cpu", "compile": False}
        kept = ("dataset_dir", "validation_dir", "validation_share", "split_table", "device")
        self._told = {
            key: value
            for key, value in options.items()
            if key in kept or key.startswith("network_def")
        }
        workflow = self._workflow(job)
        self.parsed: Callable[[str], Any] = workflow.parser.get_parsed_content
        protocol = str(workflow.parser["validate#key_metric#val_psnr#protocol"])
        self.metrics = {
            "psnr": PSNRMetric(scale=job.scale, protocol=protocol),
            "lpips": LPIPSMetric(scale=job.scale, protocol=protocol),
            "lr_psnr": LRPSNRMetric(scale=job.scale, protocol=protocol),
        }
        self.pairs = list(self._pairs())

    def _workflow(self, job: Job, **more: Any) -> SRWorkflow:
        size = {} if job.system else {"size": job.size}
        return SRWorkflow(
            job.bundle, "train", system=job.system, scale=job.scale, minutes=1,
            overlays=job.overlays, **self._told, **size, **more,
        )  # fmt: skip

    def _network(self, file: Path) -> nn.Module:
        """Build the job's network in the sizes of a file, such as one of an earlier layout."""
        parser = self._workflow(self.job, pretrained=str(file)).parser
        network: nn.Module = parser.get_parsed_content("network_def")
        return network.eval()

    def bicubic(self) -> Figures:
        """Judge bicubic enlargement, of volumes that by cubic splines."""
        enlarge = upsample if self.job.spatial_dims == 2 else cubic_spline
        return self._means(lambda lr: enlarge(lr, self.job.scale))

    def own(self, root: Path) -> Figures:
        """Judge the bundle's own model on the same images."""
        own = dataclasses.replace(self.job, system=None, stage=1, size="best")
        judge = copy.copy(self)
        judge.job = own
        return judge.weights(own.shipped(root))

    def weights(self, file: Path) -> Figures:
        """Judge weights of the job's network as inference uses them."""
        network = self._network(file)
        load_weights(network, file)
        # As inference.yaml has it: systems as their papers judge them, perceptual weights thrice.
        own = 0 if self.job.is_robust else 3 if self.job.stage == 2 else 2
        inferer = TiledInferer(
            self.job.scale,
            tile_size=TILE[self.job.spatial_dims],
            consistency=0 if self.job.system else own,
        )
        return self._means(lambda lr: torch.as_tensor(inferer(lr, network)))

    def blended(self, weights: Path, faithful: Path, share: float) -> Path:
        """Write a blend of a second stage's weights and the faithful ones that they started from.

        References:
            Wang et al. (2018), ESRGAN, section 3.4 (network interpolation).
        """
        network = self._network(faithful)
        load_faces(network, faithful, weights, share)
        file = weights.with_name(f"model_blend_{round(100 * share)}.pt")
        save_weights(network, file)
        return file

    def _means(self, upscale: Callable[[Tensor], Tensor]) -> Figures:
        found: dict[str, list[float]] = {name: [] for name in self.metrics}
        with torch.inference_mode():
            for lr, hr in self.pairs:
                for name, value in self._measured(upscale(lr), lr, hr).items():
                    found[name].append(value)
        return Figures(**{name: statistics.fmean(values) for name, values in found.items()})

    def _measured(self, sr: Tensor, lr: Tensor, hr: Tensor) -> dict[str, float]:
        if self.job.spatial_dims == 3:
            values = measured_volume(sr, lr, hr, self.job.scale)
            return {name: values[name] for name in self.metrics}
        values = {}
        for name, metric in self.metrics.items():
            metric.reset()
            metric(y_pred=sr, y=lr if name == "lr_psnr" else hr)
            values[name] = float(metric.aggregate())
        return values

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        read, scale = self.parsed("read"), self.job.scale
        degradation = self.parsed("degradation") or Degradation()
        seeds = itertools.count()  # each image is spoiled in its own way
        for source in self.parsed("files")[1]:
            images = read(source)
            for image in _spread(images) if isinstance(images, list) else [images]:
                hr = torch.from_numpy(np.ascontiguousarray(image))
                for axis, side in enumerate(hr.shape[1:], start=1):
                    kept = min(side, LARGEST_SIDE[self.job.spatial_dims]) // scale * scale
                    hr = hr.narrow(axis, (side - kept) // 2, kept)
                lr = degradation.shrink(hr, scale)
                if hr.dtype == torch.uint8:
                    lr, hr = lr.float() / 255, hr.float() / 255
                yield degradation.corrupt(lr[None], torch.tensor([next(seeds)])), hr[None]


def _spread(images: list[Any]) -> list[Any]:
    inner = images[len(images) // 8 : len(images) - len(images) // 8] or images
    places = np.linspace(0, len(inner) - 1, min(SLICES, len(inner))).round().astype(int)
    return [inner[place] for place in places]


def _holds_limits(job: Job, found: Figures, bicubic: Figures, faithful: Figures | None) -> bool:
    """Tell whether figures are such that weights of a job may be in a bundle at all."""
    if found.psnr < bicubic.psnr + job.least_gain or found.lr_psnr < job.least_lr_psnr:
        return False
    return faithful is None or found.lpips <= job.largest_lpips * faithful.lpips


def is_better(
    job: Job,
    new: Figures,
    old: Figures | None,
    bicubic: Figures,
    faithful: Figures | None = None,
) -> bool:
    """Tell whether weights may be shipped.

    Args:
        job: what they are of.
        new: their figures.
        old: those of the shipped ones that they would replace, None where there are none.
        bicubic: those of bicubic enlargement.
        faithful: those of the bundle's own model, for its perceptual weights.
    """
    if not _holds_limits(job, new, bicubic, faithful):
        return False
    # What does not hold them itself, as of a recipe that was changed, sets none.
    before = old if old and _holds_limits(job, old, bicubic, faithful) else bicubic
    if job.measure == "psnr":
        return new.psnr > before.psnr
    return new.lpips < min(before.lpips, bicubic.lpips)


@dataclasses.dataclass
class Line:
    """One line of the ledger: what a job has cost and what came of it."""

    job: str
    profile: str = ""
    device: str = ""
    threads: int = 1
    budget_hours: float = 0.0
    hours: float = 0.0
    steps: int = 0
    hr_megapixels: float = 0.0
    start: str = ""
    val_psnr: float = math.nan
    val_lpips: float = math.nan
    val_lr_psnr: float = math.nan
    shipped_psnr: float = math.nan
    shipped_lpips: float = math.nan
    bicubic_psnr: float = math.nan
    bicubic_lpips: float = math.nan
    own_psnr: float = math.nan
    """Of the bundle's own model on the same images, where this is a system's."""
    blend: float = 1.0
    """Share of perceptual weights in what was judged; the rest are the faithful ones."""
    shipped: str = "not judged"
    weights_sha256: str = ""

    @property
    def share_of_gain(self) -> float:
        """Gain over bicubic in dB, as a share of that of the bundle's own model; NaN if unknown."""
        own = self.own_psnr - self.bicubic_psnr
        return (self.val_psnr - self.bicubic_psnr) / own if own > 0 else math.nan

    @property
    def told_share(self) -> str:
        """The share in words, empty if unknown."""
        share = self.share_of_gain
        return "" if math.isnan(share) else f", {share:.0%} of the own model's gain"


class Ledger:
    """The table of all jobs, one line each, rewritten as a whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[str, Line] = {}
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    types = {f.name: type(f.default) for f in dataclasses.fields(Line)}
                    types["job"] = str
                    self.lines[row["job"]] = Line(
                        **{k: types[k](v or "nan") if types[k] is float else types[k](v)
                           for k, v in row.items()}
                    )  # fmt: skip

    def line(self, job: Job) -> Line:
        """Return the line of a job, a new one where it has none."""
        return self.lines.setdefault(job.name, Line(job.name))

    def stage_of(self, sha256: str, job: Job) -> int:
        """Return the stage that made shipped weights of a job's network; 0 where none is known."""
        folder = job.name.rpartition("/")[0]
        found = [
            int(line.job[-1])
            for line in self.lines.values()
            if sha256 and line.weights_sha256 == sha256 and line.job.startswith(folder)
        ]
        return max(found, default=0)

    def save(self) -> None:
        """Write all lines."""
        names = [field.name for field in dataclasses.fields(Line)]
        with atomic_file(self.file) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            for line in self.lines.values():
                if not line.budget_hours:
                    continue  # asked for, never begun
                row = {
                    k: "" if isinstance(v, float) and math.isnan(v)
                    else f"{v:.4f}".rstrip("0").rstrip(".") if isinstance(v, float) else v
                    for k, v in vars(line).items()
                }  # fmt: skip
                writer.writerow(row)


def judge_and_ship(
    campaign: Campaign, job: Job, weights: Path, data: Path, ledger: Ledger, root: Path
) -> Line:
    """Judge weights beside what is shipped, and copy them into the bundle if they are better."""
    judge, target = Judge(campaign, job, data), job.shipped(root)
    new, bicubic = judge.weights(weights), judge.bicubic()
    own = target.with_name("model.pt")
    shipped = own if job.is_robust and not target.is_file() else target
    old = judge.weights(shipped) if shipped.is_file() else None
    faithful = judge.weights(own) if job.is_perceptual else None
    better = is_better(job, new, old, bicubic, faithful)
    line = ledger.line(job)
    line.blend = 1.0
    before = own if job.is_perceptual else weights.with_name("start.pt")
    for share in BLENDS if job.stage == 2 and before.is_file() and not better else ():
        blended = judge.blended(weights, before, share)
        figures = judge.weights(blended)
        if is_better(job, figures, old, bicubic, faithful):
            weights, new, better, line.blend = blended, figures, True, share
            break
    line.weights_sha256 = weights_sha256(weights)
    line.val_psnr, line.val_lpips, line.val_lr_psnr = new.psnr, new.lpips, new.lr_psnr
    line.bicubic_psnr, line.bicubic_lpips = bicubic.psnr, bicubic.lpips
    if old is not None:
        line.shipped_psnr, line.shipped_lpips = old.psnr, old.lpips
    if job.system and job.own(root).is_file():
        line.own_psnr = judge.own(root).psnr
    present = weights_sha256(target) if target.is_file() else ""
    if campaign.profile.get("is_rehearsal"):
        line.shipped = "rehearsal"
    elif not job.ships:
        line.shipped = "too large" if better else "no"
    elif present == line.weights_sha256:
        line.shipped = "yes"
    elif ledger.stage_of(present, job) > job.stage or not better:
        line.shipped = "no"
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as partial:
            shutil.copyfile(weights, partial)
        # A bundle loads only what its metadata knows.
        write_weights_sums(root / "bundles" / job.bundle)
        line.shipped = "yes"
    ledger.save()
    return line

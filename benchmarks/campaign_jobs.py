"""What a campaign consists of: jobs out of ``campaign.yaml``, their folders, weights and commands.

A job is one stage of one network in one bundle. Its name is the folder of its run,
``<bundle>/<system or size>_x<scale>/stage_<n>``, which ``benchmarks/systems.py --runs`` reads.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from monai_sr.core import find_config
from monai_sr.core.errors import OptionError
from monai_sr.networks import find_system, read_system
from monai_sr.networks.systems import generator_class
from monai_sr.training.training_images import Source, training_split

ROOT = Path(__file__).resolve().parents[1]
JOBS = Path(__file__).with_name("campaign.yaml")
SHIPPED = "shipped"
FAITHFUL = "faithful"
_BATCH_SIZE = 16
"""That of the bundles' recipes."""
_logger = logging.getLogger("monai_sr.campaign")


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage of one network in one bundle.

    Args:
        bundle: its name.
        stage: 1 is the bundle's ``train.yaml``, 2 its ``train_gan.yaml``.
        hours: budget on one core.
        system: name of a system; None is the bundle's own model.
        size: of the bundle's own model.
        scale: the enlargement that is trained.
        spatial_dims: 3 for the network of volumes (``train_3d.yaml``).
        start: name of the job whose weights are the start; "shipped", the weights that it improves;
            "faithful", the bundle's own model; None: those of stage 1, where this is stage 2.
        threads: cores that it takes.
        ships: whether its weights may go into the bundle.
        judged_by: "psnr" or "lpips": what of the validation must be better than what is shipped.
        least_gain: dB over bicubic that it must have to be shipped.
        least_lr_psnr: agreement with the input, in dB, that it must have to be shipped.
        largest_lpips: that perceptual weights of a bundle may have, of that of its faithful ones.
        share: of the time of a profile that has a common budget; its hours where None.
        degradation: one of configs/degradations; these are the weights for degraded input then.
        images: entry of the campaign's data that it learns from, if all its folders are there;
            else, and where it names none, that of its bundle.
        options: further overrides of the configuration.
    """

    bundle: str
    stage: int
    hours: float
    system: str | None = None
    size: str = "best"
    scale: int = 4
    spatial_dims: int = 2
    start: str | None = None
    threads: int = 1
    ships: bool = True
    judged_by: str = ""
    least_gain: float = 0.0
    least_lr_psnr: float = 0.0
    largest_lpips: float = 0.8
    share: float | None = None
    degradation: str | None = None
    images: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its folder below that of all runs."""
        own = self.size if self.spatial_dims == 2 else "volumes"
        own = "robust" if self.is_robust else own
        return f"{self.bundle}/{self.system or own}_x{self.scale}/stage_{self.stage}"

    @property
    def overlays(self) -> list[Path]:
        """Files that override the recipe of its stage."""
        found = []
        if self.spatial_dims == 3:
            found.append(ROOT / "bundles" / self.bundle / "configs" / "train_3d.yaml")
        if self.degradation is not None:
            found.append(find_config("degradations", self.degradation))
        return found

    @property
    def measure(self) -> str:
        """What decides: PSNR for fidelity, LPIPS for an adversarial stage, unless it says so."""
        return self.judged_by or ("psnr" if self.stage == 1 else "lpips")

    @property
    def is_robust(self) -> bool:
        """Whether it makes the weights for degraded input of a bundle's own model."""
        return self.degradation is not None

    @property
    def is_perceptual(self) -> bool:
        """Whether it makes the perceptual weights of a bundle's own model."""
        return self.system is None and self.stage == 2

    @property
    def is_fitted(self) -> bool:
        """Whether it learns in one go, without steps."""
        return self._learns == "fit"

    @property
    def _learns(self) -> str:
        if self.system is None:
            return "steps"
        return str(generator_class(read_system(self.system)["network_def"]).info.learns)

    @property
    def before(self) -> str | None:
        """Name of the job whose weights are the start."""
        if self.start is None and self.stage == 2:
            return dataclasses.replace(self, stage=1).name
        return self.start

    def own(self, root: Path = ROOT) -> Path:
        """Return the file of the bundle's own faithful model."""
        return root / "bundles" / self.bundle / "models" / "model.pt"

    def shipped(self, root: Path = ROOT) -> Path:
        """Return the file in the bundle that its weights replace."""
        models = root / "bundles" / self.bundle / "models"
        if self.spatial_dims == 3:
            return models / "model_3d.pt"
        if self.is_robust:
            return models / "model_robust.pt"
        if self.system is None:
            faces = {("best", 1): "model.pt", ("fast", 1): "model_fast.pt"}
            return models / faces.get((self.size, self.stage), "model_perceptual.pt")
        serves_all = isinstance(read_system(self.system)["network_def"].get("scale"), int)
        stem = self.system if serves_all else f"{self.system}_x{self.scale}"
        return models / "systems" / f"{stem}.pt"


@dataclasses.dataclass(frozen=True)
class Campaign:
    """All jobs in order, where the images are, and what a profile changes."""

    jobs: list[Job]
    data: dict[str, dict[str, Any]]
    profile: dict[str, Any]

    def minutes(self, job: Job) -> float:
        """Return the budget of a job under the profile."""
        if "minutes_each" in self.profile:
            return float(self.profile["minutes_each"])
        if "minutes" not in self.profile:
            return 60 * job.hours
        total = sum(_share(each) for each in self.jobs)
        lanes = float(self.profile.get("parallel", 1))
        return float(self.profile["minutes"]) * lanes * _share(job) / total

    def options(self, job: Job, data: Path, root: Path = ROOT) -> dict[str, Any]:
        """Return the overrides of the configuration that the images and the profile ask for."""
        found: dict[str, Any] = {}
        for key, value in self._images(job, data).items():
            base = root if key == "split_table" else data
            if _is_place(key):
                paths = [str(base / part) for part in _listed(value)]
                found[key] = paths[0] if len(paths) == 1 else paths
            else:
                found[key] = value
        found |= {"train#state#every": 50}
        found |= dict(job.options) | dict(self.profile.get("options", {}))
        factor = self.profile.get("batch_factor")
        if factor:
            own = read_system(job.system) if job.system else {}
            usual = job.options.get("batch_size", own.get("batch_size", _BATCH_SIZE))
            found["batch_size"] = int(factor) * int(usual)
        return found

    def _images(self, job: Job, data: Path) -> dict[str, Any]:
        """Return where a job's images are: its bundle's, where of its own a folder is missing."""
        own = self.data[job.images or job.bundle]
        folders = [key for key in own if _is_place(key) and key != "split_table"]
        places = [part for key in folders for part in _listed(own[key])]
        missing = [part for part in places if not (data / part).exists()]
        if not job.images or not missing:
            return own
        _logger.warning("%s: no %s, learns from less", job.name, ", ".join(missing))
        return self.data[job.bundle]

    def command(
        self, job: Job, data: Path, run: Path, minutes: float, pretrained: Path | None
    ) -> list[str]:
        """Return the bundle command that trains a job, or goes on with it."""
        folder = ROOT / "bundles" / job.bundle
        files = [str(folder / "configs" / f"{'train' if job.stage == 1 else 'train_gan'}.yaml")]
        if job.system:
            files.append(str(find_system(job.system)))
        files += map(str, job.overlays)
        told: dict[str, Any] = {"output_dir": str(run), "scale": job.scale, "size": job.size}
        if job.system:
            del told["size"]
        if not job.is_fitted:
            told |= {"minutes": minutes}
        told |= self.options(job, data)
        if pretrained is not None:
            told["pretrained"] = str(pretrained)
        words = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", str(folder)]
        words += ["--config_file", str(files)]
        return words + [word for key, value in told.items() for word in (f"--{key}", str(value))]


def _is_place(key: str) -> bool:
    return key == "teacher" or key.endswith(("_dir", "_table"))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _share(job: Job) -> float:
    return job.hours if job.share is None else job.share


def read_campaign(file: Path = JOBS, profile: str = "cpu") -> Campaign:
    """Read the jobs and a profile.

    Raises:
        OptionError: if the file or one of its jobs is not as it must be.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if profile not in content["profiles"]:
        raise OptionError(
            f"profile: must be one of {', '.join(content['profiles'])}, got {profile!r}"
        )
    jobs: list[Job] = []
    for entry in content["jobs"]:
        try:
            job = Job(**entry)
        except TypeError as error:
            raise OptionError(f"{file}: {entry}: {error}; see Job for what a job has") from error
        names = [each.name for each in jobs]
        if job.name in names:
            raise OptionError(f"{file}: {job.name} must be there once, got it twice; drop one")
        if job.start not in (None, SHIPPED, FAITHFUL, *names):
            raise OptionError(
                f"{file}: {job.name}: start must name an earlier job, got {job.start!r}; "
                "reorder the jobs"
            )
        images = job.images or job.bundle
        if images not in content["data"]:
            raise OptionError(f"{file}: data must say where {images}'s images are; add it")
        jobs.append(job)
    return Campaign(jobs, content["data"], dict(content["profiles"][profile] or {}))


def robust_job(bundle: str) -> Job:
    """Return the job of the campaign that trains a bundle's weights for degraded input.

    Raises:
        OptionError: if there is none.
    """
    found = [job for job in read_campaign().jobs if job.bundle == bundle and job.is_robust]
    if not found:
        raise OptionError(f"bundle: must have robust weights in {JOBS.name}, got {bundle}")
    return found[0]


def split_of(job: Job, data: Path) -> tuple[list[Source], list[Source]]:
    """Return the images that a job trains on, and those that it validates on."""
    told = read_campaign().options(job, data)
    return training_split(
        told["dataset_dir"],
        told.get("validation_dir"),
        told.get("validation_share", 0.03),
        told.get("split_table"),
    )

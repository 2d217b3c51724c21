"""Spoil small images as a domain's sensor does, at three strengths: benchmarks/degraded.yaml."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from monai.bundle import ConfigParser
from torch import Tensor

from monai_sr.core.errors import OptionError
from monai_sr.core.models import BEST, WAYS
from monai_sr.core.registry import find_bundle, find_config
from monai_sr.metrics import Protocol
from monai_sr.metrics.protocol import to_stored
from monai_sr.training import (
    CameraNoise,
    QuantumNoise,
    RadiometricNoise,
    ReconstructionNoise,
    RicianNoise,
    SensorDegradation,
    Stage,
)

DOMAINS = Path(__file__).with_name("degraded.yaml")
CLEAN = "clean"
STRENGTHS = ("weak", "medium", "strong")
CONDITIONS = (CLEAN, *STRENGTHS)
FACES = {"faithful": BEST, "robust": "robust", "perceptual": "perceptual"}
"""Face of a bundle -> the way of its model, see monai_sr/core/models.py."""
_NOISES = (CameraNoise, QuantumNoise, RadiometricNoise, ReconstructionNoise, RicianNoise)


class Spoiled(NamedTuple):
    """Hold a small image as a sensor delivers it.

    Attributes:
        noisy: after all stages.
        quiet: after all stages that add no noise.
    """

    noisy: Tensor
    quiet: Tensor


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Know what is measured of one domain.

    Args:
        name: what commands call it.
        title: what the page calls it.
        sets: benchmarks whose images are judged.
        bundle: whose faces are judged.
        degradation: one of configs/degradations.
        stages: for each of its stages strength -> values at :data:`STRENGTHS`.
        per_class: how many images of each class are judged; all if None.
    """

    name: str
    title: str
    sets: Sequence[str]
    bundle: str
    degradation: str
    stages: Sequence[Mapping[str, Sequence[float | None]]]
    per_class: int | None = None

    @cached_property
    def sensors(self) -> dict[str, SensorDegradation]:
        """Strength -> the sensor at that strength.

        Raises:
            OptionError: if the stages are not those of the degradation, or a value is out of range.
        """
        parser = ConfigParser()
        parser.read_config(find_config("degradations", self.degradation))
        trained = parser.get_parsed_content("degradation").stages
        if len(trained) != len(self.stages):
            raise OptionError(
                f"{self.name}: stages must be the {len(trained)} of {self.degradation}, got "
                f"{len(self.stages)}; see configs/degradations"
            )
        return {
            strength: SensorDegradation(
                [
                    _fixed(stage, {name: values[place] for name, values in given.items()})
                    for stage, given in zip(trained, self.stages, strict=True)
                ]
            )
            for place, strength in enumerate(STRENGTHS)
        }

    @property
    def faces(self) -> dict[str, Path]:
        """Face -> its weights, of those that the bundle has."""
        folder = find_bundle(self.bundle) / "models"
        files = {face: folder / WAYS[way][0] for face, way in FACES.items()}
        return {face: file for face, file in files.items() if file.is_file()}

    def vary(self, lr: Tensor, hr: Tensor, strength: str, seed: int) -> list[Tensor]:
        """Change small image and reference alike where what the sensor sees differs (bias field).

        Shape: lr (1, C, h, w), hr (1, C, H, W) in [0, 1] -> the same.
        """
        if strength == CLEAN:
            return [lr, hr]
        return self.sensors[strength].vary([lr, hr], torch.tensor([seed]))

    def spoil(self, lr: Tensor, strength: str, seed: int, protocol: Protocol) -> Spoiled:
        """Send a small image through the sensor; the same seed gives the same noise.

        Shape: lr (1, C, h, w) in [0, 1] -> the same twice, float64, stored again.
        """
        if strength == CLEAN:
            return Spoiled(lr, lr)
        sensor, seeds = self.sensors[strength], torch.tensor([seed])
        small = (each.corrupt(lr.float(), seeds) for each in (sensor, _without_noise(sensor)))
        return Spoiled(*(to_stored(each, protocol) / protocol.data_range for each in small))


def _fixed(stage: Stage, values: Mapping[str, float | None]) -> Stage:
    """Return a stage that always acts with these strengths, or never where they are None."""
    found = copy.copy(stage)
    found.probability = 0.0 if None in values.values() else 1.0
    if set(values) != set(stage.ranges):
        raise OptionError(
            f"{type(stage).__name__}: needs {', '.join(sorted(stage.ranges))}, got "
            f"{', '.join(sorted(values))}"
        )
    told = {name: value for name, value in values.items() if value is not None}
    for name, value in told.items():
        low, high = stage.ranges[name]
        if not low <= value <= high:
            raise OptionError(
                f"{type(stage).__name__} {name}: must lie in {low:g} ... {high:g}, over which "
                f"weights are trained, got {value:g}"
            )
    found.ranges = {name: (value, value) for name, value in told.items()} or stage.ranges
    return found


def _without_noise(sensor: SensorDegradation) -> SensorDegradation:
    """Return the same sensor whose noise never acts; what others draw stays what it was."""
    stages = [copy.copy(stage) for stage in sensor.stages]
    for stage in stages:
        if isinstance(stage, _NOISES):
            stage.probability = 0.0
    return SensorDegradation(stages)


def load_domains(path: Path = DOMAINS) -> dict[str, Domain]:
    """Read the domains of a YAML file, by name."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Domain(name=name, **entry) for name, entry in content.items()}

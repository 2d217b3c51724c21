"""What an evaluation found, as one JSON document: means, intervals, differences, and all facts.

``docs/how-to/evaluate.md`` describes the document; ``FORMAT`` counts its versions.
"""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

import monai_sr
from monai_sr.core import OptionError, PathLike, hardware, sha256
from monai_sr.evaluation.benchmark import BICUBIC
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.evaluation.images import BenchmarkImage
from monai_sr.evaluation.intervals import CONFIDENCE, DRAWS, Mean, mean_interval
from monai_sr.evaluation.rows import Row
from monai_sr.metrics import Measure

FORMAT = 1


def describe_set(
    benchmark: Benchmark,
    root: PathLike,
    images: Sequence[BenchmarkImage],
    digests: Sequence[str],
) -> dict[str, Any]:
    """Describe the images that were judged; the digest is of their bytes, in order of the names."""
    text = "\n".join(f"{i.label}/{i.name} {d}" for i, d in zip(images, digests, strict=True))
    labels = list(dict.fromkeys(image.label for image in images if image.label))
    patients = {image.patient for image in images if image.patient}
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "citation": benchmark.citation,
        "images": len(images),
        "expected": benchmark.expected,
        "classes": {label: sum(image.label == label for image in images) for label in labels},
        "patients": len(patients) or None,
        "sha256": sha256(text),
        "complaints": benchmark.complaints(images),
        "low_resolution": "given" if any(image.lr_path for image in images) else "made",
        "files": {"/".join(filter(None, (i.label, i.name))): _below(i.path, root) for i in images},
    }


def _below(path: Path, root: PathLike) -> str:
    """Name a file without what only one machine has."""
    here, base = path.resolve(), Path(root).resolve()
    return (here.relative_to(base) if here.is_relative_to(base) else Path(here.name)).as_posix()


def describe_machine(device: torch.device, precision: str) -> dict[str, Any]:
    """Say what the networks ran on."""
    return {
        "type": device.type,
        "name": hardware(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "precision": precision,
    }


def describe_versions() -> dict[str, str]:
    """Say which versions the figures come from."""
    return {
        "monai_sr": monai_sr.__version__,
        "monai": str(monai.__version__),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def describe_measures(measures: Sequence[Measure], *, is_luma: bool) -> dict[str, Any]:
    """Name the columns: title, direction, decimals and definition."""
    return {
        m.name: {
            "title": m.title(is_luma=is_luma),
            "is_more_better": m.is_more_better,
            "digits": m.digits,
            "about": m.about,
        }
        for m in measures
    }


def describe_systems(
    rows: Sequence[Row],
    measures: Sequence[Measure],
    costs: Mapping[str, Mapping[str, float]],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Average every system, whole and class by class, with its paired difference to bicubic.

    Args:
        rows: of one set and scale; every system has every image.
        measures: columns.
        costs: system -> what its network costs.
        seed: of the bootstrap.

    Raises:
        OptionError: if a system lacks an image that another has.
    """
    base = {(row.label, row.image): row for row in rows if row.system == BICUBIC.name}
    found = []
    for name in dict.fromkeys(row.system for row in rows):
        own = [row for row in rows if row.system == name]
        if {(row.label, row.image) for row in own} != set(base):
            raise OptionError(f"{name}: must be judged on every image; evaluate again")
        labels = list(dict.fromkeys(row.label for row in own if row.label))
        parts = {label: [row for row in own if row.label == label] for label in labels}
        found.append(
            {
                "name": name,
                "weights_sha256": own[0].weights_sha256,
                **costs.get(name, {}),
                "seconds": sum(row.seconds for row in own),
                **_averages(own, base, measures, seed),
                "classes": {
                    label: _averages(part, base, measures, seed) for label, part in parts.items()
                },
            }
        )
    return found


def notes(systems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in words what means leave out: no reader must take them for complete."""
    lines = []
    for system in systems:
        for measure, mean in system["means"].items():
            if mean["infinite"]:
                lines.append(
                    f"{system['name']}: {mean['infinite']} results equal their reference; their "
                    f"infinite {measure} is left out of the mean"
                )
            if mean["missing"] and mean["images"]:
                lines.append(
                    f"{system['name']}: {measure} is the mean of {mean['images']} images; "
                    f"{mean['missing']} are too small for it or lack channels"
                )
    return lines


def describe_bootstrap(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Say how the intervals were made."""
    known = any(row.patient for row in rows)
    return {
        "confidence": CONFIDENCE,
        "draws": DRAWS,
        "seed": seed,
        "unit": "patient" if known else "image",
    }


def _averages(
    rows: Sequence[Row], base: Mapping[tuple[str, str], Row], measures: Sequence[Measure], seed: int
) -> dict[str, Any]:
    # An image of an unknown patient stands for itself.
    owners = [row.patient or f"{row.label}/{row.image}" for row in rows]
    means, differences = {}, {}
    for measure in measures:
        values = [row[measure.name] for row in rows]
        means[measure.name] = _json(mean_interval(values, owners, seed=seed))
        before = [base[row.label, row.image][measure.name] for row in rows]
        # Infinity less infinity is no difference; nor is one side alone.
        pairs = [
            a - b if math.isfinite(a) and math.isfinite(b) else math.nan
            for a, b in zip(values, before, strict=True)
        ]
        differences[measure.name] = _json(mean_interval(pairs, owners, seed=seed))
    is_base = rows[0].system == BICUBIC.name
    return {
        "images": len(rows),
        "means": means,
        "difference_to_bicubic": None if is_base else differences,
    }


def _json(mean: Mean) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity: they are null, and counted beside it."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(mean).items()
    }

"""Judge systems on benchmarks: what ``evaluate.yaml`` of a bundle and ``monai-sr evaluate`` run.

References:
    docs/how-to/evaluate.md describes the files that come out.
"""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_sr.core import OptionError, PathLike, atomic_file, get_logger, usable_device
from monai_sr.evaluation import findings
from monai_sr.evaluation.benchmark import (
    System,
    enlarge_image,
    first_of_classes,
    measure_image,
)
from monai_sr.evaluation.candidates import Candidate, find_candidates
from monai_sr.evaluation.datasets import Benchmark, folder_benchmark, load_benchmark
from monai_sr.evaluation.images import BenchmarkImage
from monai_sr.evaluation.pictures import has_pictures, save_pictures, slug
from monai_sr.evaluation.rows import Cache, Row, content_key, write_rows
from monai_sr.metrics import STANDARD, find_measures

logger = get_logger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """State what is judged on what, and where results go.

    Args:
        dataset: names or files of benchmarks; None judges every image of ``root``.
        root: folder that holds the images.
        scale: the enlargement.
        lr_root: folder of given low-resolution images of ``root``; None makes them.
        protocol: of a folder, see :func:`monai_sr.evaluation.datasets.folder_benchmark`.
        slice_step: of its volumes, every how many slices one is judged.
        patient: regular expression that finds the patient in the name of its files.
        download: whether images are fetched into ``root`` where they are not there.
        system: see :func:`monai_sr.evaluation.candidates.find_candidates`.
        output_dir: folder of the results.
        cache_dir: folder of rows measured before; None keeps none.
        measures: see :mod:`monai_sr.metrics.measures`.
        measure_weights: measure -> file of the weights of its network.
        save_images: whether pictures are kept, too.
        per_class: how many images of each class are judged, from the first; all if None.
        seed: of the bootstrap.
        device: where networks run.
        precision: of the networks.
    """

    dataset: PathLike | Sequence[PathLike] | None
    root: PathLike | None
    scale: int
    lr_root: PathLike | None = None
    protocol: str = "natural"
    slice_step: int = 1
    patient: str | None = None
    download: bool = False
    system: PathLike | Sequence[PathLike | None] | None = None
    output_dir: PathLike = "evaluation"
    cache_dir: PathLike | None = None
    measures: Sequence[str] = STANDARD
    measure_weights: Mapping[str, PathLike] | None = None
    save_images: bool = False
    per_class: int | None = None
    seed: int = 0
    device: torch.device | str = "cpu"
    precision: str = "float32"


def is_true(name: str, value: Any) -> bool:
    """Read yes or no; the command line gives "true" as a text, which Python takes for true.

    Raises:
        OptionError: if it is neither.
    """
    text = str(value).lower()
    if text not in ("true", "false", "none", "1", "0"):
        raise OptionError(f"{name}: must be true or false, got {value!r}")
    return text in ("true", "1")


def whole_scale(scale: Any) -> int:
    """Check a scale: what is judged has pixels of a whole size.

    Raises:
        OptionError: if it is no whole number from 2 on.
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 2:
        raise OptionError(f"scale: must be a whole number from 2 on, got {scale!r}; pass --scale 4")
    return scale


class BenchmarkEvaluator:
    """Judge a bundle's model, its faces and systems of the papers on benchmarks.

    Args:
        bundle: folder of a bundle, or the name of an installed one.
        size: of the bundle's own model, "best" or "fast".
        perception: share of the perceptual weights, of the bundle's own model.
        robust: whether that takes the weights for degraded input.
        uncertainty: whether that gives the mean of eight views, and intervals.
        consistency: back-projection steps of every system; by default the bundle's own number for
            its model, none for systems of the papers.
        ckpt_path: weights file of the one system that is judged.
        **options: see :class:`EvaluationOptions`.

    Attributes:
        written: the summaries, after the run.
    """

    def __init__(
        self,
        bundle: PathLike,
        *,
        size: str = "best",
        perception: float | None = None,
        robust: bool = False,
        uncertainty: bool = False,
        consistency: int | None = None,
        ckpt_path: PathLike | None = None,
        **options: Any,
    ) -> None:
        for name in ("download", "save_images"):
            options[name] = is_true(name, options.get(name))
        if isinstance(options.get("measures"), str):
            options["measures"] = [options["measures"]]
        self.options = EvaluationOptions(**options)
        self.device = usable_device(self.options.device)
        self.candidates = find_candidates(
            bundle,
            whole_scale(self.options.scale),
            self.options.system,
            size=size,
            perception=perception,
            robust=is_true("robust", robust),
            uncertainty=is_true("uncertainty", uncertainty),
            consistency=consistency,
            ckpt_path=ckpt_path,
            device=str(self.device),
            precision=self.options.precision,
        )
        self.measures, self.left_out = find_measures(
            self.options.measures, self.options.measure_weights
        )
        self.cache = Cache(self.options.cache_dir)
        self.output_dir = Path(self.options.output_dir)
        self.written: list[Path] = []
        self._built: dict[str, tuple[System, dict[str, float]]] = {}

    def run(self) -> None:
        """Judge everything; each set's files appear whole, when all its images are done.

        Raises:
            OptionError: if an option is unknown or does not fit.
            BadImageError: if a set is not there, or an image cannot be judged.
            WeightsError: if weights are missing or do not fit.
            OutputError: if a file cannot be written.
        """
        # What is asked for shall exist before hours of work.
        benchmarks = self._benchmarks()
        images = [self._images(benchmark) for benchmark in benchmarks]
        for candidate in self.candidates:
            logger.info("%s: weights %s", candidate.name, candidate.weights_sha256[:12] or "none")
        for benchmark, found in zip(benchmarks, images, strict=True):
            self.written.append(self._judge(benchmark, found))

    def _benchmarks(self) -> list[Benchmark]:
        options, names = self.options, self.options.dataset
        if options.root is None:
            raise OptionError("root: no folder of images given; add --root DIR")
        if names is not None:
            if options.lr_root is not None:
                raise OptionError(
                    "lr_root: is for a folder of one's own; leave --dataset or --lr_root out"
                )
            if isinstance(names, str | os.PathLike):
                names = [names]
            return [load_benchmark(name) for name in names]
        folder = folder_benchmark(
            options.root,
            protocol=options.protocol,
            lr_root=options.lr_root,
            slice_step=options.slice_step,
            patient=options.patient or "",
        )
        return [folder]

    def _images(self, benchmark: Benchmark) -> list[BenchmarkImage]:
        options, root = self.options, self.options.root or ""
        if options.download:
            benchmark.fetch(root, options.scale)
        images = benchmark.images(root, options.scale)
        return list(first_of_classes(images, options.per_class))

    def _judge(self, benchmark: Benchmark, images: Sequence[BenchmarkImage]) -> Path:
        options = self.options
        digests = [image.digest for image in images]
        rows, costs = [], {}
        for candidate in self.candidates:
            for image, digest in zip(images, digests, strict=True):
                rows.append(self._row(benchmark, image, digest, candidate))
            costs[candidate.name] = self._costs(candidate)
        systems = findings.describe_systems(rows, self.measures, costs, seed=options.seed)
        stem = f"{slug(benchmark.name)}_x{options.scale}"
        document = {
            "format": findings.FORMAT,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "dataset": findings.describe_set(benchmark, options.root or "", images, digests),
            "scale": options.scale,
            "protocol": {
                **dataclasses.asdict(benchmark.protocol),
                "description": benchmark.protocol.description,
            },
            "measures": findings.describe_measures(
                self.measures, is_luma=benchmark.protocol.uses_luma
            ),
            "systems": systems,
            "notes": findings.notes(systems),
            "left_out": self.left_out,
            "bootstrap": findings.describe_bootstrap(rows, options.seed),
            "device": findings.describe_machine(self.device, options.precision),
            "versions": findings.describe_versions(),
            "rows": f"{stem}.csv",
            "pictures": f"images/{stem}" if options.save_images else None,
        }
        write_rows(self.output_dir / f"{stem}.csv", rows, keep_others=False)
        summary = self.output_dir / f"{stem}.json"
        with atomic_file(summary) as temporary:
            text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
            temporary.write_text(f"{text}\n", encoding="utf-8")
        for system in systems:
            self._log(benchmark, system)
        return summary

    def _row(
        self, benchmark: Benchmark, image: BenchmarkImage, digest: str, candidate: Candidate
    ) -> Row:
        """Return what is known of an image, or measure it."""
        identity = self._identity(candidate)
        key = content_key(
            system=identity,
            image=digest,
            protocol=dataclasses.asdict(benchmark.protocol),
            channels=benchmark.channels,
            measures=[(measure.name, measure.weights_sha256) for measure in self.measures],
        )
        folder = self._pictures(benchmark, image)
        kept = self.cache.row(key)
        if kept is not None and (folder is None or has_pictures(folder, candidate.name, key)):
            return dataclasses.replace(
                kept,
                set=benchmark.name,
                image=image.name,
                label=image.label,
                patient=image.patient,
                system=candidate.name,
            )
        system, _ = self._build(candidate)
        comparison = enlarge_image(benchmark, image, system, self.options.scale)
        if folder is not None:
            save_pictures(comparison, folder, candidate.name, key)
        row = kept or measure_image(benchmark, image, system, comparison, self.measures)
        if kept is None:
            self.cache.put(key, dataclasses.asdict(row))
            logger.info(
                "%s x%d %s %s: %.2f dB",
                benchmark.name, row.scale, system.name, row.image, row["psnr"],
            )  # fmt: skip
        return row

    def _costs(self, candidate: Candidate) -> dict[str, float]:
        key = content_key(costs=self._identity(candidate))
        costs = self.cache.get(key)
        if not costs:
            costs = self._build(candidate)[1]
            self.cache.put(key, costs)
        return costs

    def _identity(self, candidate: Candidate) -> dict[str, Any]:
        return {
            **candidate.identity,
            "device": findings.describe_machine(self.device, self.options.precision),
        }

    def _build(self, candidate: Candidate) -> tuple[System, dict[str, float]]:
        if candidate.name not in self._built:
            # One at a time: networks are large.
            self._built = {candidate.name: candidate.build()}
        return self._built[candidate.name]

    def _pictures(self, benchmark: Benchmark, image: BenchmarkImage) -> Path | None:
        if not self.options.save_images:
            return None
        folder = self.output_dir / "images" / f"{slug(benchmark.name)}_x{self.options.scale}"
        return (
            folder / slug(image.label) / slug(image.name)
            if image.label
            else folder / slug(image.name)
        )

    def _log(self, benchmark: Benchmark, system: dict[str, Any]) -> None:
        mean = system["means"]["psnr"]
        if mean["mean"] is not None:
            logger.info(
                "%s x%d %s: %.2f dB over %d images",
                benchmark.title, self.options.scale, system["name"], mean["mean"], mean["images"],
            )  # fmt: skip

"""Measure the systems of ``configs/systems``: quality on benchmarks, costs, speed, training.

``python benchmarks/systems.py --domain natural --root DATA --scales 4`` builds every system, loads
its weights from ``bundles/natural_sr/models/systems``, writes one row an image to
``benchmarks/results/<set>.csv`` and one line to ``systems.csv``, and renders docs/results.md.

``--runs DIR`` measures the runs of ``benchmarks/campaign.py`` instead: the weights of the last
stage of ``DIR/<domain>_sr/<system>_x<scale>``, and what ``done.json`` says of its stages. Weights
that are shipped later are the same files, so that what was measured stays true of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from command import exit_code
from facts import Facts, read_facts, write_facts
from order_page import OPENCV
from results_page import FACTS, OUTPUT, RESULTS, write_table
from torch import Tensor

from monai_sr.core import list_configs
from monai_sr.core.devices import hardware, usable_device
from monai_sr.core.errors import WeightsError
from monai_sr.core.fingerprint import weights_sha256
from monai_sr.evaluation import (
    BICUBIC,
    OUTPUT_SIZE,
    System,
    count_parameters,
    evaluate,
    load_benchmark,
    multiply_adds_per_pixel,
    write_rows,
)
from monai_sr.inferers import TiledInferer
from monai_sr.metrics import FAST, STANDARD
from monai_sr.networks import Generator, load_weights
from monai_sr.networks.systems import (
    create_network,
    find_system,
    list_systems,
    read_system,
    weights_file,
)

ROOT = Path(__file__).resolve().parents[1]
DOMAINS = {
    "natural": (3, ["set5", "set14", "bsd100"]),
    "xray": (1, ["xray"]),
    "mri": (1, ["mr"]),
    "satellite": (3, ["landsat", "naip", "ucmerced"]),
}
"""Kind of images -> channels of its networks, benchmarks that judge them."""
TRAINING = (
    "hr_megapixels_seen", "minutes_stage_1", "minutes_stage_2", "steps_stage_1", "steps_stage_2",
    "loss_features",
)  # fmt: skip
WHOLE = 1024
"""Tile size in LR pixels that holds every image here in one piece."""
SPEED_MULTIPLY_ADDS = 1e11
"""Work of one timed call: seconds on two cores. Costlier networks are timed on smaller images."""

_logger = logging.getLogger("monai_sr.systems")


@dataclasses.dataclass(frozen=True)
class Built:
    """A system that is ready to run at one scale."""

    file: Path
    scale: int
    network: Generator
    weights: Path | None
    inferer: TiledInferer
    device: torch.device

    @property
    def name(self) -> str:
        """Name in the rows."""
        return self.file.stem

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file, empty where the system learns nothing."""
        return weights_sha256(self.weights) if self.weights else ""

    def __call__(self, lr: Tensor, _scale: int) -> Tensor:
        """Enlarge images of any number of channels."""
        return torch.as_tensor(self.inferer(lr.to(self.device), self.network))


def built_systems(options: argparse.Namespace) -> Iterator[Built]:
    """Build what was asked for; systems without weights are named and left out."""
    device = usable_device(options.device)
    files = [find_system(name) for name in options.systems] or list_systems().values()
    for file in files:
        for scale in options.scales:
            network = create_network(
                "", system=file, system_scale=scale, in_channels=DOMAINS[options.domain][0]
            )
            if scale not in network.scales:
                continue
            try:
                weights = find_weights(file, network, scale, options)
            except WeightsError as error:
                _logger.warning("%s x%d is left out: %s", file.stem, scale, error)
                continue
            if weights is not None:
                load_weights(network, weights)
            inferer = TiledInferer(
                scale,
                tile_size=WHOLE if network.info.is_local else options.tile_size,
                consistency=0,
                clip=None,
                dtype=options.precision,
            )
            yield Built(file, scale, network.eval().to(device), weights, inferer, device)


def find_weights(
    system: Path, network: Generator, scale: int, options: argparse.Namespace
) -> Path | None:
    """Return the weights that are measured, None for a system that learns nothing."""
    if options.runs is None or network.info.learns == "nothing":
        folder = options.weights or ROOT / "bundles" / f"{options.domain}_sr" / "models"
        file = weights_file(folder, system=system, scale=scale)
        return None if file is None else Path(file)
    # A network that serves several scales has one run, named by the largest.
    run = options.runs / f"{options.domain}_sr" / f"{system.stem}_x{max(network.scales)}"
    finished = sorted(run.glob("stage_*/done.json"))
    if not finished:
        raise WeightsError(f"{run}: must hold stage_1/done.json, got none; train it first")
    return finished[-1].with_name("model.pt")


def judge(built: Built, options: argparse.Namespace) -> None:
    """Evaluate a system on every set and keep the rows."""
    system = System(built.name, built, built.network.in_channels, built.sha256)
    if built.name == BICUBIC.name:
        system = BICUBIC  # the same row as that of benchmarks/quality.py, to the last pixel
    for name in options.sets or own_sets(built, options.domain):
        benchmark = load_benchmark(name)
        measures = FAST if options.no_perceptual else STANDARD
        rows = list(
            evaluate(
                benchmark,
                options.root,
                system,
                built.scale,
                measures=measures,
                per_class=options.per_class,
            )
        )
        write_rows(options.results / f"{name}.csv", rows)
        mean = statistics.fmean(row["psnr"] for row in rows)
        _logger.info("%s x%d %s: %.2f dB", name, built.scale, built.name, mean)


def own_sets(built: Built, domain: str) -> list[str]:
    """Return the benchmarks of a domain, shrunk as a system's paper has it where there are such."""
    sets = DOMAINS[domain][1]
    if not read_system(built.file).get("degradation"):
        return sets
    return [f"{name}{OPENCV}" if f"{name}{OPENCV}" in list_configs("benchmarks") else name
            for name in sets]  # fmt: skip


def facts(built: Built, options: argparse.Namespace) -> Facts:
    """Return costs, speed and training of a system."""
    cost = multiply_adds_per_pixel(built.network, built.scale)
    parameters = count_parameters(built.network)
    is_cpu = built.device.type == "cpu"
    threads = torch.get_num_threads() if is_cpu else math.nan
    device = hardware(built.device)
    kept = known_speed(built, parameters, options) if options.keep_speed else None
    if kept is None:
        speed, note = timed(built, cost)
    else:
        speed, threads, device = kept.output_mp_per_s, kept.threads, kept.device
        note = next((part for part in kept.note.split("; ") if part.startswith("timed")), "")
    notes = [note, "" if options.precision == "float32" else f"{options.precision} autocast"]
    if not built.network.info.is_local:
        notes.append(f"sees the whole image: judged in tiles of {options.tile_size} LR pixels")
    return Facts(
        system=built.name,
        domain=options.domain,
        scale=built.scale,
        parameters=parameters,
        multiply_adds_per_output_pixel=cost,
        output_mp_per_s=speed,
        threads=threads,
        device=device,
        weights_sha256=built.sha256,
        note="; ".join(filter(None, [*notes, options.note])),
        **training(built, options),
    )


def known_speed(built: Built, parameters: int, options: argparse.Namespace) -> Facts | None:
    """Return the line that knows the speed of the same network, whatever its weights."""
    wanted = (built.name, options.domain, built.scale)
    return next(
        (
            old
            for old in read_facts(options.results / FACTS)
            if (*old.key, old.parameters) == (*wanted, parameters)
            and not math.isnan(old.output_mp_per_s)
        ),
        None,
    )


def timed(built: Built, cost: float) -> tuple[float, str]:
    """Return output megapixels a second, median of three calls, and the size if it is smaller."""
    height, width = OUTPUT_SIZE
    shrink = math.sqrt(min(1.0, SPEED_MULTIPLY_ADDS / max(cost * height * width, 1.0)))
    step = built.network.info.multiple_of
    sides = [max(1, round(side * shrink / built.scale / step)) * step for side in OUTPUT_SIZE]
    image = torch.rand(1, built.network.in_channels, *sides)
    runs = []
    with torch.inference_mode():
        for _ in range(4):
            start = time.perf_counter()
            result = built(image, built.scale).cpu()
            runs.append(time.perf_counter() - start)
    speed = result[0, 0].numel() / 1e6 / statistics.median(runs[1:])
    size = f"timed on {result.shape[-1]}x{result.shape[-2]}" if shrink < 1 else ""
    return speed, size


def training(built: Built, options: argparse.Namespace) -> dict[str, Any]:
    """Return what training saw: from its run, else what is kept for the same weights."""
    if built.weights is None:
        return {}
    if options.runs is None:
        kept = [
            old
            for old in read_facts(options.results / FACTS)
            if old.key[:2] == (built.name, options.domain)
            and old.weights_sha256 == built.sha256
            and not math.isnan(old.minutes)  # whatever the scale: one file may serve several
        ]
        return {name: getattr(kept[0], name) for name in TRAINING} if kept else {}
    first, second = (done(built.weights.parents[1] / f"stage_{n}") for n in (1, 2))
    if not first:  # fitted in one go, not trained in steps
        return {}
    seen: dict[str, Any] = {
        "hr_megapixels_seen": first.get("hr_megapixels", 0) + second.get("hr_megapixels", 0)
    }
    for stage, told in ((1, first), (2, second)):
        seen[f"minutes_stage_{stage}"] = told.get("minutes", 0.0)
        seen[f"steps_stage_{stage}"] = told.get("step", 0.0)
    if second:
        seen["loss_features"] = loss_features(read_system(built.file), options.loss_features)
    return seen


def done(stage: Path) -> dict[str, float]:
    """Return what a finished stage says of itself; nothing where there is none."""
    file = stage / "done.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def loss_features(content: object, chosen: str) -> str:
    """Find the backbone of a system's perceptual loss; "@..." stands for what the bundle chose."""
    if isinstance(content, Mapping):
        if str(content.get("_target_", "")).endswith(".PerceptualLoss"):
            backbone = str(content.get("backbone", chosen))
            return chosen if backbone.startswith("@") else backbone
        content = list(content.values())
    if isinstance(content, list):
        return next(filter(None, (loss_features(part, chosen) for part in content)), "")
    return ""


def run(options: argparse.Namespace) -> None:
    """Measure every system; rows and facts are kept after each, so that a stop loses little."""
    for built in built_systems(options):
        if options.root:
            judge(built, options)
        write_facts(options.results / FACTS, [facts(built, options)])
    write_table(options.results, options.output)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add: Callable[..., object] = parser.add_argument
    add("--systems", nargs="+", default=[], help="names or files (default: every one)")
    add("--domain", choices=DOMAINS, default="natural", help="kind of images")
    add("--root", help="folder that holds the benchmark images; without it costs and speed only")
    add(
        "--weights", type=Path, help="folder that holds systems/*.pt (default: the bundle's models)"
    )
    add("--runs", type=Path, help="folder of training runs, measured in place of shipped weights")
    add("--sets", nargs="+", default=[], help="benchmarks (default: those of the domain)")
    add("--scales", nargs="+", type=int, default=[2, 4])
    add("--per-class", type=int, help="judge that many images of each class (default: all)")
    add("--precision", choices=["float32", "bfloat16"], default="float32", help="of the network")
    add("--tile-size", type=int, default=256, help="LR pixels, where a network sees whole images")
    add("--device", default="cpu")
    add("--threads", type=int, help="CPU threads of the network")
    add("--keep-speed", action="store_true", help="on a busy machine: that of the same network")
    add("--no-perceptual", action="store_true", help="leave LPIPS, GMSD and DSS out")
    add("--loss-features", default="squeezenet1_1", help="backbone that stage 2 was trained with")
    add("--note", default="", help="what a reader of these lines must know")
    add("--results", type=Path, default=RESULTS, help="folder of CSV files")
    add("--output", type=Path, default=OUTPUT, help="Markdown file to write")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 after an error of the user."""
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())

"""Measure training steps per second of our engine against a plain loop with a DataLoader.

``python benchmarks/training_speed.py --data /data/photos`` trains the same network twice in one
process, a step of ours and a step of the plain loop by turns, so that a busy machine slows both
alike. The plain loop is what a script usually does: a ``DataLoader`` whose data set decodes a file,
cuts a patch and shrinks it, PyTorch's usual memory layout, an optimizer and an average of the
weights without options. Losses, batches and networks are the same. Cases: ``natural_sr`` in stage 1
and 2, and ``esrgan_12`` (RRDBNet) in stage 2. Rows go to ``benchmarks/results/training_speed.csv``.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from PIL import Image
from speed import hardware, torch_peak, versions
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from monai_sr.functional.resize import downsample_uint8
from monai_sr.inferers import AutocastInferer
from monai_sr.networks import save_weights
from monai_sr.upscaling.workflow import SRWorkflow

RESULTS = Path(__file__).parent / "results" / "training_speed.csv"
CASES: dict[str, dict[str, Any]] = {
    "natural_sr, stage 1": {"config": "train"},
    "natural_sr, stage 2": {"config": "train_gan"},
    "esrgan_12, stage 2": {"config": "train_gan", "system": "esrgan_12"},
}


class Patches(Dataset[tuple[Tensor, Tensor]]):
    """A patch of a random file, decoded each time."""

    def __init__(self, files: list[Path], scale: int, side: int, batches: int) -> None:
        self.files, self.scale, self.side = files, scale, side * scale
        self.length = batches

    def __len__(self) -> int:
        """Return how many patches an epoch has."""
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return LR and HR of one patch."""
        with Image.open(random.choice(self.files)) as image:
            pixels = np.asarray(image.convert("RGB"))
        top, left = (random.randrange(n - self.side + 1) for n in pixels.shape[:2])
        patch = pixels[top : top + self.side, left : left + self.side]
        patch = patch[:: random.choice((1, -1)), :: random.choice((1, -1))]
        hr = torch.from_numpy(np.ascontiguousarray(patch.transpose(2, 0, 1)))
        return downsample_uint8(hr, self.scale).float() / 255, hr.float() / 255


class PlainLoop:
    """The usual training script, with the parts of one of our runs."""

    def __init__(
        self, parsed: Callable[[str], Any], files: list[Path], workers: int, is_gan: bool
    ) -> None:
        self.device = torch.device(parsed("device"))
        self.scale, side = int(parsed("scales")[0]), int(parsed("patch_size"))
        self.size = int(parsed("batch_size"))
        patches = Patches(files, self.scale, side, 10**6)
        loader = DataLoader(patches, self.size, num_workers=workers, drop_last=True)
        self.batches: Iterator[list[Tensor]] = iter(loader)
        self.network = self._plain(parsed("network"))
        self.average = copy.deepcopy(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-4)
        # On a GPU everybody trains in half precision.
        self.precision = str(parsed("precision")) if self.device.type == "cuda" else "float32"
        consistency = parsed("train#inferer").consistency
        self.inferer = AutocastInferer(self.precision, consistency=consistency)
        self.norm = float(parsed("gradient_norm"))
        self.discriminator: nn.Module | None = None
        self.loss: nn.Module | None = None
        if is_gan:
            self.discriminator = self._plain(parsed("discriminator"))
            self.judge = torch.optim.Adam(self.discriminator.parameters(), 1e-4)
            self.terms = copy.deepcopy(parsed("generator_loss"))
            self.adversarial = copy.deepcopy(parsed("train#trainer").state.d_loss_function)
        else:
            self.loss = copy.deepcopy(parsed("loss"))

    @staticmethod
    def _plain(network: nn.Module) -> nn.Module:
        return copy.deepcopy(network).to(memory_format=torch.contiguous_format).train()

    def judged(self, image: Tensor) -> Any:
        """Return what the discriminator says."""
        with torch.autocast(self.device.type, enabled=self.precision != "float32"):
            return self.discriminator(image)  # type: ignore[misc]

    def step(self) -> None:
        """Take one step."""
        lr, hr = (image.to(self.device) for image in next(self.batches))
        self.optimizer.zero_grad()
        sr = self.inferer(lr, self.network, scale=self.scale)
        if self.discriminator is None:
            loss = self.loss(sr, hr)  # type: ignore[misc]
        else:
            self.discriminator.requires_grad_(False)
            fake = self.judged(sr)
            with torch.no_grad():
                real = self.judged(hr)
            self.discriminator.requires_grad_(True)
            loss = self.terms.total(
                self.terms.measure(
                    sr=sr, hr=hr, lr=lr, outputs=[sr], fake_logits=fake[-1], real_logits=real[-1]
                )
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.norm)
        self.optimizer.step()
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.mul_(0.999).add_(new, alpha=0.001)
        if self.discriminator is not None:
            self.judge.zero_grad()
            real, fake = self.judged(hr)[-1], self.judged(sr.detach())[-1]
            self.adversarial(real, fake).backward()
            self.judge.step()
        loss.item()


def clock(options: argparse.Namespace) -> float:
    """Return seconds: of the wall, or what the processor has spent on this process."""
    if options.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.process_time() if options.processor_time else time.perf_counter()


def measure(name: str, precision: str | None, options: argparse.Namespace) -> dict[str, Any]:
    """Train both by turns."""
    chosen = {"precision": precision} if precision else {}
    case, times = dict(CASES[name]), {"ours": [], "plain": []}
    config = case.pop("config")
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.pt"
        more = {"pretrained": start, "scales": [4], "scale_weights": None} | case
        workflow = SRWorkflow(
            "natural_sr", config, dataset_dir=str(options.data), output_dir=f"{folder}/run",
            device=options.device, steps=10**6, **more, **chosen,
        )  # fmt: skip
        parsed = workflow.parser.get_parsed_content
        save_weights(parsed("network_def"), start)
        workflow.initialize()
        trainer = parsed("train#trainer")
        files = [Path(file) for file in parsed("files")[0]]
        loop = PlainLoop(parsed, files, options.workers, config == "train_gan")
        with FlopCounterMode(display=False) as counter:
            loop.step()
        since = [0.0]

        def turn() -> None:
            now = clock(options)
            times["ours"].append(now - since[0])
            loop.step()
            since[0] = clock(options)
            times["plain"].append(since[0] - now)
            if len(times["plain"]) > options.steps:
                trainer.terminate()

        def begin() -> None:
            since[0] = clock(options)

        trainer.add_event_handler(Events.ITERATION_STARTED(once=1), begin)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, turn)
        workflow.run()
    seconds = {key: statistics.median(values[1:]) for key, values in times.items()}
    ratios = [p / o for o, p in zip(times["ours"][1:], times["plain"][1:], strict=True)]
    device = torch.device(options.device)
    # The measure of both is that of the plain loop's precision.
    peak = torch_peak(device, loop.precision, lambda: clock(options))
    multiply_adds = counter.get_total_flops() / 2
    return {
        "case": name, "batch": loop.size, "patch": int(parsed("patch_size")),
        "steps_per_s": round(1 / seconds["ours"], 3),
        "plain_steps_per_s": round(1 / seconds["plain"], 3),
        "ratio": round(statistics.median(ratios), 3),
        "peak_share": round(multiply_adds / seconds["ours"] / peak, 3),
        "plain_peak_share": round(multiply_adds / seconds["plain"] / peak, 3),
        "precision": str(parsed("precision")), "plain_precision": loop.precision,
        "workers": options.workers,
        "clock": "processor" if options.processor_time else "wall",
        "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1),
        "hardware": hardware(device), "versions": versions("torch"),
    }  # fmt: skip


def main() -> None:
    """Parse the command line, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of training photos")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=20, help="steps of each, after one")
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--precision",
        nargs="+",
        help="of ours; default: float32 and bfloat16, on a GPU the bundle's",
    )
    parser.add_argument("--processor_time", action="store_true", help="on a busy machine")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.precision is None:
        is_cpu = torch.device(options.device).type == "cpu"
        options.precision = ["float32", "bfloat16"] if is_cpu else [None]
    rows: list[dict[str, Any]] = []
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for name, precision in itertools.product(options.cases, options.precision):
        row = measure(name, precision, options)
        print(
            f"{row['case']:22} {row['precision']:9} {row['steps_per_s']:7.3f} steps/s, "
            f"{row['peak_share']:.0%} of the {row['plain_precision']} peak; "
            f"plain loop {row['plain_steps_per_s']:7.3f}: {row['ratio']:.2f} x"
        )
        rows.append(row)
        with options.results.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

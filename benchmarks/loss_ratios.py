"""Measure how strongly each term of a system's second-stage loss pulls.

``python benchmarks/loss_ratios.py --data PHOTOS`` takes patches as each recipe makes them, enlarges
them (bicubic, or by ``--weights`` of a first stage with ``--systems NAME``) and writes for every
term its value and the Euclidean norm of its gradient: at the result, and with ``--weights`` at the
generator's parameters, where Adam sees it. Weight times norm is the pull; a recipe fixes its ratio
to the first term's. The discriminator first learns ``--steps`` steps: an untrained one pulls
nowhere in particular. Rows go to ``benchmarks/results/loss_ratios.csv``.

VGG-19's weights do not come with this package: SqueezeNet stands in. What papers print of their
term is its value (:data:`PRINTED`). How much gradient goes with a value depends on the network; it
is taken from a VGG-19 with He's random weights, of the right depth, strides and scale but without
the taste of a trained one. So the paper's term would pull with

    G = its weight * printed value * (gradient / value, He's VGG-19 at the paper's layer),

and ``standin_weight`` = G / (gradient of the stand-in). It is right to a factor of a few, no more.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_sr.core.atomic import atomic_file
from monai_sr.core.optional import import_torchvision
from monai_sr.functional.resize import upsample
from monai_sr.losses import PerceptualLoss
from monai_sr.networks import list_systems, load_weights, read_system
from monai_sr.networks.backbones import Backbone, vgg_layers
from monai_sr.upscaling.workflow import SRWorkflow

RESULTS = Path(__file__).parent / "results" / "loss_ratios.csv"


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a paper tells of its VGG term: its weight, layer, and value at the bicubic image."""

    weight: float
    layer: str
    value: float | None
    """None: as large as the mean squared error of images in [-1, 1]."""
    criterion: str = "mse"


_S5 = 4.2891  # Szigetvari et al. 2025, table 1: VGG loss of bicubic, conv3_4 before activation
PRINTED = {
    "srgan_8": Printed(1.0, "relu3_4", _S5),
    "srgan_8_raised": Printed(1.0, "relu3_4", _S5),
    "esrgan_12": Printed(1.0, "conv3_4", _S5, "l1"),
    # Ledig et al. 2017, section 3.2: features divided by 12.75, "a scale comparable to the MSE".
    "srgan_16": Printed(1.0, "relu5_4", None),
    "srcnn_srgan": Printed(1.0, "relu5_4", None),
    "recursive_cascade_gan": Printed(1.0, "relu5_4", None),
    "igan_srcp": Printed(1.0, "relu5_4", None),
}


@dataclasses.dataclass(frozen=True)
class Pull:
    """One term of one system."""

    system: str
    start: str
    discriminator_steps: int
    term: str
    weight: float
    value: float
    gradient: float
    pull: float
    """weight * gradient, the first term's as one."""
    parameter_gradient: float
    parameter_pull: float
    standin_weight: float
    psnr: float


class Bench:
    """The parts of one system's second stage, with one batch."""

    def __init__(self, name: str | None, options: argparse.Namespace) -> None:
        with tempfile.TemporaryDirectory() as folder:
            workflow = SRWorkflow(
                options.bundle, "train_gan", system=name, dataset_dir=str(options.data),
                validation_dir=str(options.data), output_dir=folder, device=options.device,
                steps=1, pretrained="none", scales=[4], scale_weights=None,
            )  # fmt: skip
            parsed: Callable[[str], Any] = workflow.parser.get_parsed_content
            torch.manual_seed(0)
            self.loss, self.discriminator = parsed("generator_loss"), parsed("discriminator")
            self.adversarial, self.network = parsed("adversarial"), parsed("network")
            self.batch: dict[str, Tensor] = parsed("train#dataset").batch(0)
            trained, enlarge = parsed("trained_network"), parsed("train#inferer")
        self.loss.step = 10**9  # past every ramp
        self.is_trained = options.weights is not None
        if self.is_trained:
            load_weights(self.network, options.weights)
            found = enlarge(self.batch["image"], trained.train(), scale=4)
            self.outputs = list(found) if isinstance(found, list | tuple) else [found]
        else:
            self.outputs = [upsample(self.batch["image"], 4).requires_grad_()]
        self.teach(options.steps)

    def teach(self, steps: int) -> None:
        """Let the discriminator learn to tell these results from the truth."""
        optimizer = torch.optim.Adam(self.discriminator.parameters(), 2e-4, betas=(0.9, 0.99))
        for _ in range(steps):
            optimizer.zero_grad()
            verdicts = (
                self.discriminator(image)[-1]
                for image in (self.batch["label"], self.outputs[-1].detach())
            )
            self.adversarial.discriminator(*verdicts).backward()
            optimizer.step()

    def values(self) -> dict[str, Tensor]:
        """Compute every term before its weight."""
        values: dict[str, Tensor] = self.loss.measure(
            sr=self.outputs[-1],
            hr=self.batch["label"],
            lr=self.batch["image"],
            outputs=self.outputs,
            fake_logits=self.discriminator(self.outputs[-1])[-1],
            real_logits=self.discriminator(self.batch["label"])[-1].detach(),
        )
        return values

    def gradients(self, value: Tensor) -> tuple[float, float]:
        """Return the norm of the gradient at the result, and at the parameters (else NaN)."""
        weights = list(self.network.parameters()) if self.is_trained else []
        found = torch.autograd.grad(
            value, [self.outputs[-1], *weights], retain_graph=True, allow_unused=True
        )
        result, *others = (g for g in found if g is not None)
        if not others:
            return float(result.norm()), math.nan
        return float(result.norm()), float(torch.stack([g.norm() for g in others]).norm())

    def standin_weight(self, printed: Printed, gradient: float) -> float:
        """Return the weight with which a stand-in of this gradient pulls as the paper's term."""
        judge = PerceptualLoss(layers={"fire9": 1.0}, criterion=printed.criterion)
        torch.manual_seed(0)
        vgg = import_torchvision().models.vgg19(weights=None)  # He's initialization
        judge.backbone = Backbone("vgg19", vgg_layers(vgg))
        judge.layers, judge._units = {printed.layer: 1.0}, {}
        sr = self.outputs[-1].detach().requires_grad_()
        value: Tensor = judge(sr, self.batch["label"])
        value.backward()
        assert sr.grad is not None
        told = printed.value
        if told is None:
            told = 4 * float((sr - self.batch["label"]).square().mean())
        return printed.weight * told * float(sr.grad.norm() / value.detach()) / gradient


def measure(name: str | None, options: argparse.Namespace) -> list[Pull]:
    """Return the pulls of a system's terms."""
    bench = Bench(name, options)
    error = (bench.outputs[-1] - bench.batch["label"]).square().mean()
    rows: list[Pull] = []
    for term, value in bench.values().items():
        weight = bench.loss.weights[term]
        at_result, at_parameters = bench.gradients(value)
        printed = PRINTED.get(str(name)) if term == "perceptual" else None
        first = rows[0] if rows else None
        row = Pull(
            system=name or options.bundle,
            start=Path(options.weights).name if options.weights else "bicubic",
            discriminator_steps=options.steps,
            term=term,
            weight=weight,
            value=float(value.detach()),
            gradient=at_result,
            pull=weight
            * at_result
            / (first.weight * first.gradient if first else weight * at_result),
            parameter_gradient=at_parameters,
            parameter_pull=weight
            * at_parameters
            / (first.weight * first.parameter_gradient if first else weight * at_parameters),
            standin_weight=bench.standin_weight(printed, at_result) if printed else math.nan,
            psnr=float(-10 * error.log10()),
        )
        rows.append(row)
    return rows


def main() -> int:
    """Run the command; rows of other systems and starts stay."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--bundle", default="natural_sr")
    parser.add_argument("--systems", nargs="*", default=[], help="those with a discriminator")
    parser.add_argument("--own", action="store_true", help="the bundle's own model")
    parser.add_argument("--weights", help="of a first stage; bicubic without")
    parser.add_argument("--steps", type=int, default=25, help="of the discriminator")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with_judge = [n for n in list_systems() if "discriminator_def" in read_system(n)]
    names = [None] if options.own else options.systems or with_judge
    names_of_columns = [field.name for field in dataclasses.fields(Pull)]
    for name in names:
        rows = [
            {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in vars(pull).items()}
            for pull in measure(name, options)
        ]
        for row in rows:
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        new = {(row["system"], row["start"]) for row in rows}
        if options.results.is_file():
            with options.results.open(newline="") as stream:
                old = list(csv.DictReader(stream))
            rows += [row for row in old if (row["system"], row["start"]) not in new]
        with atomic_file(options.results) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names_of_columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda r: (r["system"], r["start"], r["term"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())

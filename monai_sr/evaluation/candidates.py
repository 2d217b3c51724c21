"""Name what an evaluation judges, a bundle's model or a method of the papers, and what it costs.

Counted are convolutions and products of matrices as they are executed: a convolution that a
recursion applies sixteen times counts sixteen times. Additions, activations, normalizations and
pixel shuffles are not, as in the field's tables; those state the multiply-adds of a 1280 x 720
output, which is 921,600 times the figure here.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from monai_sr.core import (
    OptionError,
    PathLike,
    file_sha256,
    find_bundle,
    find_model,
    folder_digest,
    list_bundles,
    unwrapped,
)
from monai_sr.evaluation.benchmark import BICUBIC, System
from monai_sr.inferers import VIEWS, SelfEnsembleInferer
from monai_sr.networks import Generator, find_system
from monai_sr.runtimes import CompiledGenerator
from monai_sr.transforms import Widening, read_input
from monai_sr.upscaling import SuperResolver, inference_config, own_code, weights_in_use

OUTPUT_SIZE = (720, 1280)
"""(H, W) of the result that the field counts for."""

_SMALL_SIDE_PX = 8
_FLOPS_PER_MULTIPLY_ADD = 2
VIEWS_OF_MODEL = "views"
"""Name of a bundle's own model as the mean of eight views."""


@dataclass(frozen=True)
class Candidate:
    """Know a system by name and options; it is built only when something must be enlarged.

    Args:
        bundle: folder of a bundle, or the name of an installed one.
        scale: the enlargement.
        options: entries of the bundle's ``inference.yaml`` that differ.
    """

    bundle: PathLike
    scale: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables call it: the bundle or the system, and what differs from its defaults."""
        system = self.options.get("system")
        words = []
        for key in ("consistency", "perception"):
            value = self.options.get(key)
            if value is not None and not (system and key == "consistency" and value == 0):
                words.append(f"{key} {value:g}")
        words += ["fast"] if self.options.get("size") == "fast" else []
        words += ["robust"] if self.options.get("robust") else []
        words += ["8 views"] if self.options.get("uncertainty") else []
        own = Path(find_bundle(self.bundle)).name
        return ", ".join([Path(system).stem if system else own, *words])

    @property
    def is_bicubic(self) -> bool:
        """Whether it is the row that every other is compared with."""
        return self.options.get("system") == BICUBIC.name

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of its weights file, empty where it learns nothing.

        Raises:
            WeightsError: if it has none.
        """
        return "" if self.is_bicubic else weights_in_use(self._parser)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides on its results, but for the code of this package."""
        if self.is_bicubic:
            return {"system": BICUBIC.name, "scale": self.scale}
        options = {k: v for k, v in self.options.items() if k not in ("system", "ckpt_path")}
        system = self.options.get("system")
        return {
            "config": folder_digest(find_bundle(self.bundle) / "configs"),
            "metadata": self._interval() if options.get("uncertainty") else 0.0,
            "system": file_sha256(find_system(system)) if system else "",
            "code": self._code_digest(),
            "options": options,
            "scale": self.scale,
            "weights": self.weights_sha256,
        }

    def build(self) -> tuple[System, dict[str, float]]:
        """Build it; return it with its costs.

        Raises:
            OptionError: if it cannot be built with these options.
            WeightsError: if its weights are missing or do not fit.
        """
        if self.is_bicubic:
            return BICUBIC, {"parameters": 0}
        resolver = self.resolver()
        system = System(
            self.name, self._upscale(resolver), resolver.in_channels, self.weights_sha256
        )
        network: Any = resolver.network
        views = VIEWS if self.options.get("uncertainty") else 1
        network = network.generator if isinstance(network, CompiledGenerator) else network
        costs = {
            "parameters": count_parameters(network),
            "multiply_adds_per_output_pixel": views * multiply_adds_per_pixel(network, self.scale),
        }
        return system, costs

    def resolver(self) -> SuperResolver:
        """Build the object that enlarges, in torch; the same errors as of :meth:`build`."""
        options = {"runtime": "torch", **self.options}
        return SuperResolver.from_bundle(self.bundle, scale=self.scale, **options)

    @property
    def _parser(self) -> ConfigParser:
        return inference_config(self.bundle, {"scale": self.scale, **self.options})

    def _interval(self) -> tuple[float, dict[str, float]]:
        return self._factor(), dataclasses.asdict(self._widening())

    def _factor(self) -> float:
        with unwrapped():
            return float(self._parser.get_parsed_content("restore#interval_factor"))

    def _widening(self) -> Widening:
        with unwrapped():
            found: Widening = self._parser.get_parsed_content("restore#widening")
        return found

    def _upscale(self, resolver: SuperResolver) -> Any:
        if not self.options.get("uncertainty"):
            return lambda lr, _scale: torch.as_tensor(resolver(lr))
        factor, widening, inferer = self._factor(), self._widening(), resolver.inferer
        if not isinstance(inferer, SelfEnsembleInferer):
            raise OptionError("uncertainty: needs a bundle whose inferer is SelfEnsembleInferer")

        def upscale(lr: Tensor, _scale: int) -> tuple[Tensor, Tensor]:
            mean, spread = inferer.mean_and_spread(lr.to(resolver.device), resolver.network)
            parts = (lr.numpy(), mean.cpu().numpy(), spread.cpu().numpy())
            widths = [
                widening(widening.plain(factor, each), result, read_input(image), self.scale)
                for image, result, each in zip(*parts, strict=True)
            ]
            return mean, torch.from_numpy(np.stack(widths)).to(mean)

        return upscale

    def _code_digest(self) -> str:
        """Return the hash of code that bundle or system bring along."""
        return own_code(self._parser.config, self.options.get("system"))


def find_candidates(
    bundle: PathLike,
    scale: int,
    systems: PathLike | Sequence[PathLike | None] | None = None,
    **options: Any,
) -> list[Candidate]:
    """Return bicubic and what was asked for, each once.

    Args:
        bundle: folder of a bundle, or the name of an installed one.
        scale: the enlargement.
        systems: one or several names of models (:func:`monai_sr.core.find_model`), those
            of a system alone or "fast", "perceptual", "robust" within the bundle; "model" or
            None, the bundle's own model as ``size``, ``perception``, ``robust`` and
            ``uncertainty`` say; "views", the mean of its eight views.
        **options: entries of the bundle's ``inference.yaml``. Systems of the papers are taken
            without back-projection unless ``consistency`` is given, for so they were published.

    Raises:
        OptionError: if there is no such bundle or system.
    """
    given = {k: v for k, v in options.items() if v is not None and v is not False}
    wanted = (
        [systems] if systems is None or isinstance(systems, str | os.PathLike) else list(systems)
    )
    if "ckpt_path" in given and len(wanted) > 1:
        raise OptionError(f"ckpt_path: is for one system, got {len(wanted)} systems; name one")
    ways = ("size", "perception", "robust", "uncertainty")
    own = {key: given.pop(key) for key in ways if key in given}
    if own.get("size") == "best":
        del own["size"]
    if own.get("perception") == 0:
        del own["perception"]
    found = [Candidate(bundle, scale, {"system": BICUBIC.name})]
    for name in (each if each is None else str(each) for each in wanted):
        if name is None or name == "model":
            found.append(Candidate(bundle, scale, given | own))
        elif name == VIEWS_OF_MODEL:
            found.append(Candidate(bundle, scale, given | {"uncertainty": True}))
        elif name != BICUBIC.name:
            found.append(_named(name, bundle, scale, given))
    named: dict[str, Candidate] = {}
    for candidate in found:
        if named.setdefault(candidate.name, candidate) != candidate:
            raise OptionError(f"system: two are called {candidate.name!r}; rename one of the files")
    return list(named.values())


def _named(name: str, bundle: PathLike, scale: int, given: Mapping[str, Any]) -> Candidate:
    """Return the candidate of a model's name, of another bundle where it names one."""
    is_elsewhere = ":" in name or name in list_bundles()
    model = find_model(name, None if is_elsewhere else bundle)
    options = {**given, **model.options}
    if "system" in options:
        options = {"consistency": 0, **options}
    return Candidate(model.bundle if is_elsewhere else bundle, scale, options)


def count_parameters(network: Generator) -> int:
    """Return the number of learned values; the dictionaries of a fitted network are buffers."""
    learned = list(network.parameters())
    if network.info.learns == "fit":
        learned += [b for b in network.state_dict().values() if b.is_floating_point()]
    return sum(tensor.numel() for tensor in learned)


def multiply_adds_per_pixel(network: Generator, scale: int) -> float:
    """Count multiply-adds for one pixel of the result, all channels together.

    A local network is run on a small image: size does not matter to it. One that sees the whole
    image is followed on torch's meta device, which computes nothing, for a result of
    ``OUTPUT_SIZE``; where it cannot run there, on the small image, too.

    Args:
        network: any 2D generator; it is left as it is.
        scale: one of its scales.

    Returns:
        Multiply-adds divided by pixels of the result.
    """
    info = network.info
    if not info.is_local:
        sides = [_multiple(side / scale, info.multiple_of) for side in OUTPUT_SIZE]
        image = torch.empty(1, network.in_channels, *sides, device="meta")
        # Some steps depend on values, and autocast does not know this device.
        with suppress(RuntimeError):
            return _count(copy.deepcopy(network).to("meta"), image, scale)
    side = _multiple(max(_SMALL_SIDE_PX, info.minimum_size), info.multiple_of)
    state = next(iter(network.state_dict().values()), torch.empty(0))
    image = torch.rand(1, network.in_channels, side, side, device=state.device)
    return _count(network, image, scale)


def _multiple(side: float, step: int) -> int:
    return math.ceil(side / step) * step


def _count(network: Generator, image: torch.Tensor, scale: int) -> float:
    was_training = network.training
    network.eval()
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            result = network(image, scale)
    finally:
        network.train(was_training)
    flops: int = counter.get_total_flops()
    pixels: int = result[0, 0].numel()
    return flops / _FLOPS_PER_MULTIPLY_ADD / pixels

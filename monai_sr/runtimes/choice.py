"""Chooses what runs a generator: by name, or the fastest installed; measures what a runtime can."""

import time
from functools import cache

import torch
from torch import Tensor, nn

from monai_sr.core import (
    MissingDependencyError,
    PathLike,
    check_precision,
    get_logger,
    unknown_name,
)
from monai_sr.networks import Generator
from monai_sr.runtimes.compiled import CompiledGenerator
from monai_sr.runtimes.int8 import QuantizedConv, read_ranges
from monai_sr.runtimes.registry import RUNTIMES, LiveRuntime, RuntimeUnfitError, find_runtime

logger = get_logger(__name__)

AUTO = "auto"
PRECISIONS = ("float32", "bfloat16", "float16", "int8")
FASTEST = {"cpu": ("openvino", "onnxruntime", "torch")}
"""Device -> runtimes that ``auto`` takes the first installed of; elsewhere torch."""


class RuntimeChoice:
    """Turn a loaded generator into what runs it.

    Args:
        runtime: a name of :func:`monai_sr.runtimes.list_runtimes`, or "auto".
        precision: "float32", "bfloat16", "float16" or "int8".
        ranges: file of the ranges for int8, see :func:`monai_sr.runtimes.int8.read_ranges`.

    Raises:
        OptionError: if a name is unknown.

    Example:
        >>> from monai_sr.networks import create_generator
        >>> network = create_generator("bicubic")
        >>> RuntimeChoice("torch")(network, "cpu") is network
        True
    """

    def __init__(
        self, runtime: str = AUTO, *, precision: str = "float32", ranges: PathLike | None = None
    ) -> None:
        if runtime != AUTO and runtime not in RUNTIMES:
            raise unknown_name("runtime", str(runtime), [*RUNTIMES, AUTO])
        if precision not in PRECISIONS:
            raise unknown_name("precision", str(precision), PRECISIONS)
        self.runtime, self.precision, self.ranges = runtime, precision, ranges

    def __call__(
        self, network: nn.Module, device: torch.device | str, scale: float | None = None
    ) -> nn.Module:
        """Return the generator itself for torch, else one that stands for it.

        Args:
            network: generator, weights loaded.
            device: where it runs.
            scale: of the results; that of the generator where None.

        Raises:
            OptionError: if the precision never ends on the device.
            MissingDependencyError: if a runtime that was named, or any for int8, is not installed.
            RuntimeUnfitError: if a runtime that was named, or any for int8, cannot run it.
        """
        place = torch.device(device)
        check_precision(place, self.precision)
        if self.runtime != AUTO:
            return self._made(self.runtime, network, place, scale)
        names = FASTEST.get(place.type, ("torch",))
        if self.precision == "int8":
            return self._integers(names, network, place, scale)
        reason = ""
        for name in names:
            if not find_runtime(name).is_installed():
                continue
            try:
                made = self._made(name, network, place, scale)
            except RuntimeUnfitError as error:
                reason = reason or str(error).partition(";")[0]
                continue
            _say(name, self.precision, reason)
            return made
        return network

    def _integers(
        self, names: tuple[str, ...], network: nn.Module, place: torch.device, scale: float | None
    ) -> nn.Module:
        """Return what computes in integers: another precision is not what was asked for."""
        able = [name for name in names if "int8" in find_runtime(name).precisions]
        name = next((name for name in able if find_runtime(name).is_installed()), None)
        if name is not None:
            made = self._made(name, network, place, scale)
            _say(name, self.precision, "")
            return made
        if able:
            raise MissingDependencyError(
                f"precision: int8 needs {' or '.join(able)}, which are not installed; install one "
                f"with: pip install 'monai-sr[{able[0]}]', or leave --precision out"
            )
        raise RuntimeUnfitError(
            f"precision: int8 is for --device cpu or --runtime tensorrt, got device {place}"
        )

    def _made(
        self, name: str, network: nn.Module, place: torch.device, scale: float | None
    ) -> nn.Module:
        runtime = find_runtime(name)
        runtime.check(place, self.precision)
        if name == "torch":
            return network
        if not isinstance(network, Generator) or network.info.learns != "gradient":
            raise RuntimeUnfitError(
                f"runtime: {name} runs networks that learn by gradients, got "
                f"{type(network).__name__}; add --runtime torch"
            )
        if not network.info.is_local:
            # What was exported is compared with torch at a few sizes, which proves nothing of
            # others here: a pyramid of OpenVINO's gave an empty result at 192 x 128.
            raise RuntimeUnfitError(
                f"runtime: {name} runs networks that see a bounded neighborhood, got "
                f"{type(network).__name__}, which sees the whole image; add --runtime torch"
            )
        ranges = None
        if self.precision == "int8":
            ranges = read_ranges(self.ranges or "", network)
        compiled = CompiledGenerator(network, runtime, place, self.precision, ranges).eval()
        wanted = network.scale if scale is None else scale
        # It fails before any image is read, where it fails.
        compiled.engine(next((s for s in network.scales if s >= wanted), network.scales[-1]))
        return compiled


def tile_side(
    device: torch.device | str,
    runtime: str = AUTO,
    precision: str = "float32",
    system: str | None = None,
    spatial_dims: int = 2,
) -> int:
    """Return the side of tiles, in input pixels, at which a runtime is fast in little memory.

    Small tiles compute much of their surroundings for nothing, large ones fit no processor's cache,
    which OpenVINO needs least.

    Args:
        device: where the network runs.
        runtime: a name, or "auto".
        precision: of the computation.
        system: in place of a bundle's own network; not every one can be compiled, and what some
            give depends on the tiles.
        spatial_dims: 3 for cubes of volumes.
    """
    kind, found = str(device).partition(":")[0], find_runtime("openvino")
    if spatial_dims == 3:
        return 128 if kind == "cuda" else 96
    if kind == "cuda":
        return 1024
    is_able = kind in found.devices and precision in found.precisions and system is None
    is_taken = runtime in (AUTO, found.name) and is_able and found.is_installed()
    return 512 if is_taken or precision == "int8" else 256


@cache
def _say(name: str, precision: str, reason: str) -> None:
    """Say once what ``auto`` has chosen."""
    version = find_runtime(name).version().partition("-")[0]
    logger.info("runtime: %s %s, %s%s", name, version, precision, f" ({reason})" if reason else "")


_CHANNELS, _SIDE, _LAYERS = 256, 32, 8


class _Stack(nn.Module):
    """Convolutions with nothing between that costs: wide ones, whose values fit a cache."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.layers(image)
        return result


def measured_peak(
    runtime: str = "openvino",
    precision: str = "float32",
    device: torch.device | str = "cpu",
    *,
    seconds: float = 2.0,
) -> float:
    """Return multiply-adds per second that a runtime reaches in wide 3 x 3 convolutions.

    Args:
        runtime: name.
        precision: one of the runtime's.
        device: where.
        seconds: how long; the fastest run counts.

    Raises:
        MissingDependencyError: if the runtime is not installed.
        RuntimeUnfitError: if it does not fit.
    """
    place, found = torch.device(device), find_runtime(runtime)
    found.check(place, precision)
    convs: list[nn.Module] = []
    for _ in range(_LAYERS):
        conv: nn.Module = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        conv = QuantizedConv(conv, (0.0, 1.0)) if precision == "int8" else conv
        convs += [conv, nn.ReLU()]
    stack = _Stack(convs).eval().requires_grad_(False)
    image = torch.rand(1, _CHANNELS, _SIDE, _SIDE)
    if isinstance(found, LiveRuntime):
        run = found.start(stack, place, precision)
    else:
        run = found.open(found.export(stack, image), place, precision)
    image = image.to(place)
    with torch.inference_mode():
        run(image)  # it may be compiled only now
        best, began = float("inf"), time.perf_counter()
        while time.perf_counter() - began < seconds:
            started = time.perf_counter()
            run(image)
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            best = min(best, time.perf_counter() - started)
    return _LAYERS * _CHANNELS**2 * 9 * _SIDE**2 / best

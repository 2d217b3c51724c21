"""Measures how fast this machine multiplies, with the runtime itself: the measure of a share."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from monai_sr.runtimes.int8 import QuantizedConv
from monai_sr.runtimes.registry import LiveRuntime, find_runtime

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

"""Whether this processor trains faster in bfloat16: some that multiply in it are slower so.

With AVX512_BF16 and without AMX a step took 0.55 of float32's time on one processor and 1.8 times
as long on another, so that only timing tells. It is done once, in some tens of milliseconds, and
kept in the user's cache folder.
"""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F

from monai_sr.core.atomic import atomic_file
from monai_sr.core.cache_folder import cache_folder
from monai_sr.core.errors import OutputError

_CHANNELS, _SIDE, _ROUNDS = 64, 48, 4


def is_half_faster() -> bool:
    """Tell whether a 3 x 3 convolution and its gradients are faster in bfloat16 than in float32."""
    return _kept(f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")


@lru_cache(maxsize=4)
def _kept(key: str) -> bool:
    file: Path | None = None
    known: dict[str, bool] = {}
    with suppress(
        OSError, ValueError, TypeError, RuntimeError
    ):  # no home, no file yet, a damaged one
        file = cache_folder() / "half_speed.json"
        known = dict(json.loads(file.read_text(encoding="utf-8")))
    if not isinstance(known.get(key), bool):
        known[key] = measured_ratio() < 1
        with suppress(OutputError, OSError):
            if file is not None:
                with atomic_file(file) as partial:
                    partial.write_text(json.dumps(known), encoding="utf-8")
    return known[key]


def measured_ratio() -> float:
    """Return the time of a training step of one convolution in bfloat16 over that in float32."""
    noise = torch.Generator().manual_seed(0)
    image = torch.rand(1, _CHANNELS, _SIDE, _SIDE, generator=noise)
    weight = torch.rand(_CHANNELS, _CHANNELS, 3, 3, generator=noise)
    image, weight = (
        tensor.contiguous(memory_format=torch.channels_last).requires_grad_()
        for tensor in (image, weight)
    )
    best = dict.fromkeys((False, True), float("inf"))
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(_ROUNDS):  # in turns: what else the machine does then falls on both
            for is_half in best:
                started = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                    result = F.conv2d(image, weight, padding=1)
                torch.autograd.grad(result.float().sum(), (image, weight))
                best[is_half] = min(best[is_half], time.perf_counter() - started)
    return best[True] / best[False]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

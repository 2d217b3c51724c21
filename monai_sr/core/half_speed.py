"""Whether this processor trains faster in bfloat16: some that multiply in it are slower so.

With AVX512_BF16 and without AMX a step took 0.55 of float32's time on one processor and 1.8 times
as long on another, so that only timing tells. It is done in some hundredths of a second, in the
first few processes, and the best times are kept in the user's cache folder: one that was taken
while the machine was busy is mended by the next.
"""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from monai_sr.core.atomic import atomic_file
from monai_sr.core.cache_folder import cache_folder
from monai_sr.core.errors import OutputError

_CHANNELS, _SIDE = 64, 32
_ROUNDS, _MOST_ROUNDS = 4, 16
_GAIN = 0.9  # bfloat16 costs digits: it must save more than what times vary by
_DOUBTFUL = (0.75, 1.25)
_PROCESSES = 3
# Of this thread, where the system counts it finely: what else runs there does not count.
_clock = (
    time.thread_time if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter
)


@dataclass(frozen=True)
class Times:
    """Best seconds of a training step in bfloat16 and float32, of so many processes."""

    half: float
    full: float
    processes: int = 1


def is_half_faster() -> bool:
    """Tell whether a 3 x 3 convolution and its gradients are faster in bfloat16 than in float32."""
    return _kept(f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")


@lru_cache(maxsize=4)
def _kept(key: str) -> bool:
    file: Path | None = None
    known: dict[str, Any] = {}
    # No home, no file yet, a damaged one.
    with suppress(OSError, ValueError, TypeError, RuntimeError):
        file = cache_folder() / "half_speed.json"
        known = dict(json.loads(file.read_text(encoding="utf-8")))
    best = _times(known.get(key))
    if best is None or best.processes < _PROCESSES:
        now = measured()
        if best is not None:
            half, full = min(best.half, now.half), min(best.full, now.full)
            now = Times(half, full, best.processes + 1)
        best = now
        with suppress(OutputError, OSError):
            if file is not None:
                with atomic_file(file) as partial:
                    content = {**known, key: asdict(best)}
                    partial.write_text(json.dumps(content), encoding="utf-8")
    return best.half < _GAIN * best.full


def _times(kept: Any) -> Times | None:
    """Return what a file holds, if it is that."""
    try:
        times = Times(float(kept["half"]), float(kept["full"]), int(kept["processes"]))
    except (KeyError, TypeError, ValueError):
        return None
    return times if min(times.half, times.full) > 0 else None


def measured() -> Times:
    """Time training steps of one convolution, more of them where the answer is near."""
    noise = torch.Generator().manual_seed(0)
    image = torch.rand(1, _CHANNELS, _SIDE, _SIDE, generator=noise)
    weight = torch.rand(_CHANNELS, _CHANNELS, 3, 3, generator=noise)
    image, weight = (
        tensor.contiguous(memory_format=torch.channels_last).requires_grad_()
        for tensor in (image, weight)
    )
    best = dict.fromkeys((True, False), float("inf"))
    with torch.inference_mode(False), torch.enable_grad():
        for done in range(_MOST_ROUNDS):  # in turns: what else the machine does falls on both
            if done >= _ROUNDS and not _DOUBTFUL[0] < best[True] / best[False] < _DOUBTFUL[1]:
                break
            for is_half in best:
                started = _clock()
                with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                    result = F.conv2d(image, weight, padding=1)
                torch.autograd.grad(result.float().sum(), (image, weight))
                best[is_half] = min(best[is_half], max(_clock() - started, 1e-9))
    return Times(best[True], best[False])


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

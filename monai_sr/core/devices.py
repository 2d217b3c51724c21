"""Check the device that a user names before anything is loaded onto it, and what it does fast."""

import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import OptionError, OutputError
from monai_sr.core.log import get_logger
from monai_sr.core.private_folder import cache_folder


def usable_device(device: torch.device | str) -> torch.device:
    """Return a device on which tensors can be made.

    Args:
        device: "cpu", "cuda", "cuda:1", ... or a torch device.

    Raises:
        OptionError: if torch does not know it, or this machine or installation lacks it.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise OptionError(
            f"device: must be one that this machine has, got {str(device)!r}; use --device cpu"
        ) from error
    return found


def best_device() -> torch.device:
    """Return the device that a bundle takes where none is named: a GPU of CUDA, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def inference_precision(device: torch.device | str, *, spread: bool = False) -> str:
    """Return "bfloat16" on GPUs of CUDA, else "float32".

    Args:
        device: "cpu", "cuda", ... or a torch device.
        spread: whether the spread of several views is asked for, which is far below what bfloat16
            rounds away.
    """
    is_cuda = str(device).partition(":")[0] == "cuda"
    return "bfloat16" if is_cuda and not spread else "float32"


def training_precision(device: torch.device | str) -> str:
    """Return "bfloat16" on GPUs of CUDA and processors that are faster in it, else "float32".

    Of processors that multiply in it (x86 with AVX512_BF16 or AMX, where this version of torch can
    tell) some are twice as fast so, others half as fast: one convolution is timed, once.

    Args:
        device: "cpu", "cuda", ... or a torch device.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16"
    if torch.device(device).type != "cpu":
        return "float32"
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    is_able = known.get("avx512_bf16") or known.get("amx_bf16")
    return "bfloat16" if is_able and is_half_faster() else "float32"


def check_precision(device: torch.device | str, precision: str) -> None:
    """Refuse float16 on processors, where it takes hours for what float32 does in seconds.

    Raises:
        OptionError: it is asked for.
    """
    if precision == "float16" and torch.device(device).type == "cpu":
        raise OptionError(
            "precision: must be float32 or bfloat16 on a CPU, got float16, which never ends there; "
            "use --precision float32"
        )


def hardware(device: torch.device) -> str:
    """Name the processor that a network runs on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    models = _processors()
    return f"{len(models)} x {models[0]}" if models else platform.processor()


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
    """Tell whether a 3 x 3 convolution and its gradients are faster in bfloat16 than in float32.

    Some processors that multiply in it are slower so: with AVX512_BF16 and without AMX a step took
    0.55 of float32's time on one and 1.8 times as long on another, so that only timing tells. It is
    done in some hundredths of a second, in the first few processes, and the best times are kept in
    the user's cache folder: one that was taken while the machine was busy is mended by the next.
    """
    processor = next(iter(_processors()), platform.processor() or platform.machine())
    return _kept(f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}")


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


def _processors() -> list[str]:
    """Return the name of each processor, where the system tells."""
    lines: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]


logger = get_logger(__name__)

_LOADED_BY = os.getpid()


def go_on_without_threads() -> None:
    """Let torch compute in one thread, where this process was forked from one that may have more.

    A fork would wait for the threads of torch's pool for ever; a process that was spawned has its
    own. It is done once: who sets another number of threads afterwards knows why.
    """
    process = os.getpid()
    if process != _LOADED_BY:
        _settle(process)


@lru_cache(maxsize=1)
def _settle(process: int) -> None:
    if torch.get_num_threads() > 1:
        logger.info("process %d was forked: torch computes in one thread", process)
        torch.set_num_threads(1)

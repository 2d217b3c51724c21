"""What a forked process must not use as it is: threads of its parent do not live on in it."""

from __future__ import annotations

import os
from functools import lru_cache

import torch

from monai_sr.core.log import get_logger

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


__all__ = ["go_on_without_threads"]

"""Torch's own defaults, whatever the program around has set for new tensors."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch

from monai_sr.core.devices import go_on_without_threads
from monai_sr.core.shared import SharedChange


@contextmanager
def undisturbed() -> Iterator[None]:
    """Compute within as ever: in a fork, with another default device, and in ``torch.autocast``.

    Files, masks and plans are read and kept in the processor's memory, whatever
    ``torch.set_default_device`` was told, and results agree with their input in full precision;
    that of a network is an option. Other threads compute as they did. As a decorator, it holds for
    each call.

    Example:
        >>> torch.set_default_device("meta")
        >>> with undisturbed():
        ...     print(torch.zeros(1).device)
        cpu
        >>> torch.set_default_device(None)
    """
    go_on_without_threads()
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Build networks in float32 on the processor within, as their weights are trained.

    The default type is one of the whole process: where a program has set another
    (``torch.set_default_dtype``), it is put back at the end, and its other threads see float32
    meanwhile. Keep it to what is short.

    Example:
        >>> torch.set_default_dtype(torch.float64)
        >>> with usual_defaults():
        ...     print(torch.zeros(1).dtype)
        torch.float32
        >>> torch.zeros(1).dtype
        torch.float64
        >>> torch.set_default_dtype(torch.float32)
    """
    with undisturbed(), _FLOAT32(partial(torch.set_default_dtype, torch.float32)):
        yield


@contextmanager
def _dtype_kept() -> Iterator[None]:
    given = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(given)


_FLOAT32 = SharedChange(_dtype_kept)
random_state_kept = SharedChange(partial(torch.random.fork_rng, devices=[]))
"""Context in which networks that get trained weights are built on the processor.

The random values they begin with take nothing from torch's generator, which is the program's own.
"""

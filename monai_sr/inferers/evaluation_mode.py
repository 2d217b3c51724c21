"""Networks that enlarge are in evaluation mode, also one that is being trained."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from monai_sr.core import SharedChange

_changes: weakref.WeakKeyDictionary[nn.Module, SharedChange] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


@contextmanager
def in_evaluation(network: Any) -> Iterator[None]:
    """Have a network in evaluation mode, and as it was when the last of several threads is done.

    In training, layers that normalize would learn from images that are but enlarged.

    Args:
        network: a module; anything else has no modes.
    """
    if not isinstance(network, nn.Module):
        yield
        return
    with _lock:
        if network not in _changes:
            _changes[network] = SharedChange(partial(_evaluated, weakref.ref(network)))
        change = _changes[network]
    with change():
        yield


@contextmanager
def _evaluated(of: weakref.ref[nn.Module]) -> Iterator[None]:
    network = of()
    assert network is not None
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True

"""State of the whole process that a part of the code needs otherwise for a while.

Filters of warnings, the level of a logger and the rules of the heap belong to all threads. Where
each thread changed them and put back what it had found, two that overlap would leave the change
behind for good. So the first who comes changes, and the last who goes puts back.
"""

import itertools
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from weakref import WeakSet


class ForkSafeLock:
    """A lock that is free again in a fork, where the thread that held it does not live on."""

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def __enter__(self) -> None:
        """Wait for it."""
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        """Free it."""
        self._lock.release()

    def renew(self) -> None:
        """Be free, whoever held it."""
        self._lock = threading.Lock()


_locks: WeakSet[ForkSafeLock] = WeakSet()  # what is registered for forks stays for ever


def _renew_all() -> None:
    for lock in tuple(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


class SharedChange:
    """A context that any number of threads may be in at once; it is entered and left once.

    Example:
        >>> seen = []
        >>> @contextmanager
        ... def change():
        ...     seen.append("in")
        ...     yield
        ...     seen.append("out")
        >>> held = SharedChange(change)
        >>> with held(), held():
        ...     pass
        >>> seen
        ['in', 'out']
    """

    def __init__(self, change: Callable[[], AbstractContextManager[None]]) -> None:
        self._change = change
        self._users = 0
        self._entered = ExitStack()
        self._lock = ForkSafeLock()

    @contextmanager
    def __call__(self, each: Callable[[], object] | None = None) -> Iterator[None]:
        """Be in the context.

        Args:
            each: called by every one who comes, before another one may leave.
        """
        with self._lock:
            if not self._users:
                self._entered.enter_context(self._change())
            self._users += 1
            if each is not None:
                each()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._entered.close()


@contextmanager
def _filters_kept() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


def _silent(name: str) -> AbstractContextManager[None]:
    @contextmanager
    def change() -> Iterator[None]:
        logger = logging.getLogger(name)
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)

    return change()


_FILTERS = SharedChange(_filters_kept)
_ours: set[object] = set()
silent_pydicom = SharedChange(partial(_silent, "pydicom"))
"""Context without pydicom's log."""
silent_pynetdicom = SharedChange(partial(_silent, "pynetdicom"))
"""Context without pynetdicom's log, which quotes titles, addresses and UIDs."""
silent_distributed = SharedChange(partial(_silent, "distributed"))
"""Context without Dask's log."""
silent_monai_bundle = SharedChange(partial(_silent, "monai.bundle.workflows"))
"""Context without what MONAI says of each bundle's logging."""


def ignored_warnings(
    category: type[Warning] = Warning, *, module: str = ""
) -> AbstractContextManager[None]:
    """Return a context without some warnings; other threads are without them meanwhile, too.

    Args:
        category: class of the warnings.
        module: regular expression that begins the name of the module that warns.
    """
    mine = ("ignore", None, category, re.compile(module) if module else None, 0)

    def ignore() -> None:
        # `filterwarnings` takes an equal filter out before it puts it in; meanwhile other threads
        # would be without it. Hence only where another's filter comes first.
        _ours.add(mine)
        if mine not in itertools.takewhile(_ours.__contains__, warnings.filters):
            warnings.filterwarnings("ignore", category=category, module=module)

    return _FILTERS(ignore)

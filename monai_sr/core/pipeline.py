"""Let reading, computing and writing overlap: threads with short queues between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

_DEPTH = 2  # items that wait
_POLL_SECONDS = 0.1  # how soon a thread notices that the other side has ended


def prefetched(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield the items of an iterable that a thread runs ahead of.

    The thread ends with the iterator, also where that is left early. What it raises is raised here.
    """
    ahead = _Ahead(items)
    try:
        while True:
            found, error = ahead.queue.get()
            if error is not None:
                raise error
            if not found:
                return
            yield found[0]
    finally:
        ahead.stop()


class _Ahead(Generic[T]):
    """The thread behind :func:`prefetched`; an empty list in its queue is the end."""

    def __init__(self, items: Iterable[T]) -> None:
        self.queue: Queue[tuple[list[T], BaseException | None]] = Queue(_DEPTH)
        self._items = items
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                self._put([item])
                if self._is_stopped.is_set():
                    return
            self._put([])
        except BaseException as error:  # it belongs to whoever waits
            self._put([], error)

    def _put(self, found: list[T], error: BaseException | None = None) -> None:
        while not self._is_stopped.is_set():
            try:
                self.queue.put((found, error), timeout=_POLL_SECONDS)
                return
            except Full:
                continue


class Background(Generic[T]):
    """Handle items one after another in a thread; leaving the block waits for the last one.

    What the thread raises is raised by the next :meth:`put`, or on leaving. Where the block itself
    fails, items that have not been begun are dropped.

    Args:
        handle: is called in the thread alone.
        depth: how many items may wait.
    """

    def __init__(self, handle: Callable[[T], None], depth: int = 2) -> None:
        self._handle = handle
        self._queue: Queue[T] = Queue(depth)
        self._error: BaseException | None = None
        self._is_closed = self._is_dropped = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Background[T]:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the thread."""
        self._is_dropped, self._is_closed = kind is not None, True
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def put(self, item: T) -> None:
        """Hand over an item; waits while as many as ``depth`` wait already."""
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return
            except Full:
                continue

    def _work(self) -> None:
        while not self._is_dropped:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except Empty:
                if self._is_closed:
                    return
                continue
            try:
                self._handle(item)
            except BaseException as error:  # it belongs to whoever hands items over
                self._error = error
                return

"""Remembers what was found or made last, as much of it as may be kept."""

from collections import OrderedDict
from typing import Generic, TypeVar

from monai_sr.core.shared import ForkSafeLock

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by their key, of which those go that were asked for longest ago.

    Any number of threads may use one object.

    Args:
        most: how much all may weigh; one is kept whatever it weighs.
    """

    def __init__(self, most: int) -> None:
        self._most, self._weight, self._lock = most, 0, ForkSafeLock()
        self._found: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return a value, None where it is not known, or no more."""
        with self._lock:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key][0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; it is never None."""
        with self._lock:
            self._take(key)
            self._weight += weight
            self._found[key] = value, weight
            while self._weight > self._most and len(self._found) > 1:
                self._weight -= self._found.popitem(last=False)[1][1]

    def drop(self, key: K) -> None:
        """Forget a value, if it is known."""
        with self._lock:
            self._take(key)

    def _take(self, key: K) -> None:
        if key in self._found:
            self._weight -= self._found.pop(key)[1]

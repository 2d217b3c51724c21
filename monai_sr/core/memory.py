"""Refuses what cannot fit into memory before anything of its size is allocated.

A header of a few bytes may declare gigabytes, and systems that promise more memory than they have
end the process, or another one, when it is used.
"""

import ctypes
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_sr.core.errors import BadImageError
from monai_sr.core.shared import SharedChange
from monai_sr.core.types import PathLike

_KIB = 2**10
_GB = 10**9
# Of malloc.h; in bytes the largest thresholds that it takes, and the one that glibc comes to.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_BYTES, _MMAP_BYTES, _TRIM_BYTES = 2**31 - 1, 2**25, 2**26
_CGROUP = Path("/sys/fs/cgroup")  # version 2, as a container sees its own


def available_bytes() -> float:
    """Return how many bytes this process can still use.

    Returns:
        The least of: free memory and swap of the machine, what is left of the limit of the
        container (cgroup version 2), and of the limit of the process (``ulimit -v``); infinite
        where the system tells none of them (outside Linux).
    """
    return min(_of_machine(), _of_container(), _of_process())


def check_memory(
    name: PathLike, shape: Sequence[int], item_bytes: int, remedy: str = "cut it into parts"
) -> None:
    """Refuse an array that is larger than the memory that is left.

    Args:
        name: file named in the message.
        shape: its sizes.
        item_bytes: bytes that each of its elements needs, copies included.
        remedy: what to do about it.

    Raises:
        BadImageError: it does not fit.
    """
    needed, available = math.prod(map(int, shape)) * item_bytes, available_bytes()
    if needed > available:
        sizes = " x ".join(str(int(side)) for side in shape)
        raise BadImageError(
            f"{name}: must fit into memory, got {sizes} values that need {needed / _GB:.1f} GB of "
            f"{max(available, 0) / _GB:.1f} GB available; check its header, or {remedy}."
        )


@contextmanager
def _steady_heap() -> Iterator[None]:
    try:
        is_glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows, or a system that has no such name
        is_glibc = False
    if not is_glibc:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _MOST_BYTES)
    try:
        yield
    finally:
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        libc.malloc_trim(0)


steady_heap = SharedChange(_steady_heap)
"""Context that keeps what a long job of equal steps has freed until its end, for its next step.

glibc gives the top of its heap back and gets it again many times in each step, which costs a tenth
of the time. It also moves its thresholds as it goes, so that a job's memory grows on for hundreds
of steps. Nothing is done under other C libraries, which have other rules.
"""


def _of_machine() -> float:
    fields = _fields(Path("/proc/meminfo"))
    if "MemAvailable:" not in fields:
        return math.inf
    return (fields["MemAvailable:"] + fields.get("SwapFree:", 0)) * _KIB


def _of_container() -> float:
    try:
        limit = float((_CGROUP / "memory.max").read_text())  # "max" where there is none
        used = float((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return math.inf
    # The cache of files is given up when memory is needed.
    return limit - used + _fields(_CGROUP / "memory.stat").get("inactive_file", 0)


def _of_process() -> float:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return math.inf
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return limit - pages * os.sysconf("SC_PAGE_SIZE")


def _fields(file: Path) -> dict[str, int]:
    """Read a file of lines "name number ..."."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for line in file.read_text().splitlines():
            name, number, *_ = [*line.split(), "", ""]
            if number.isdigit():
                found[name] = int(number)
    return found

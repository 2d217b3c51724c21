"""Errors that a user can act on: one line that names the file or option and the remedy."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

_Kind = TypeVar("_Kind", bound=BaseException)

# A DataLoader worker flattens an exception into text; the qualified class name survives in it.
_FLATTENED = re.compile(r"monai_sr\.core\.errors\.\w+: (.+)")
# Of Python's threads and torch's allocator.
_NO_MEMORY = ("can't start new thread", "can't allocate memory", "not enough memory")
_NO_PLACE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# MONAI's words for a _target_ of a configuration that Python does not find.
_NOT_LOCATED = re.compile(r"Cannot locate class or function path: '(.+)'")


class SRError(Exception):
    """Base of every error that monai-sr raises on purpose. Its text is one readable line."""


class BadImageError(SRError, ValueError):
    """An input file or array cannot be used: corrupt, truncated, empty, wrong kind, NaN."""


class UnreachableError(SRError, RuntimeError):
    """An input on a network cannot be read any more; it may pass, and what is done is kept."""


class OptionError(SRError, ValueError):
    """An option, name or value is unknown or does not fit the model."""


def at_least_one(**sizes: int) -> None:
    """Raise OptionError where a size, by the name of its argument, is below 1."""
    if min(sizes.values()) < 1:
        values = ", ".join(map(str, sizes.values()))
        raise OptionError(f"{', '.join(sizes)}: must be at least 1, got {values}")


class OutputError(SRError, OSError):
    """A result cannot be written, or its format cannot hold it."""


class PageError(OutputError):
    """A page about a result cannot be written; the result itself is there.

    Args:
        message: one line.
        result: path of the result.
    """

    def __init__(self, message: str, result: str = "") -> None:
        super().__init__(message)
        self.result = result


class WeightsError(SRError, ValueError):
    """A weights file is missing, unreadable or belongs to another network."""


class TrainingFailedError(SRError, ArithmeticError):
    """A training run has diverged or collapsed; going on would waste its last good state."""


class MissingDependencyError(SRError, ImportError):
    """An optional package is needed and not installed."""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, then its causes and contexts in order."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def find_error(error: BaseException | None, kind: type[_Kind]) -> _Kind | None:
    """Return the first of a kind among an exception, its causes and contexts; None: there is none.

    Args:
        error: the exception as it arrived.
        kind: class of what is looked for.
    """
    return next((link for link in _chain(error) if isinstance(link, kind)), None)


def user_message(error: BaseException | None) -> str | None:
    """Find the line meant for the user in an exception that MONAI or ignite may have wrapped.

    Args:
        error: the exception as it arrived; its causes and contexts are searched in order.

    Returns:
        The message of the first :class:`SRError` of the chain, or of MONAI's error about a
        ``_target_`` that cannot be imported; else of what the system refuses (memory, rights,
        space); None where there is none of these.
    """
    links = list(_chain(error))
    for link in links:
        if isinstance(link, SRError):
            return " ".join(str(link).splitlines())
        flattened = _FLATTENED.findall(str(link))
        if flattened:
            return str(flattened[-1])
        target = _NOT_LOCATED.search(str(link))
        if target:
            return (
                f"_target_ {target[1]}: must be something that Python can import; correct it, "
                "or set PYTHONPATH to the folder of its module"
            )
    return next((words for words in map(_refused_by_system, links) if words), None)


def _refused_by_system(error: BaseException) -> str | None:
    """Say that memory, rights or space are lacking, if that is what an exception means."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return (
            "memory: must hold this run, got less than it needs here (limit of the process, the "
            "container or the machine); raise it, or choose a part, a smaller batch or size"
        )
    if isinstance(error, OSError) and error.errno in _NO_PLACE and error.filename is not None:
        return (
            f"{error.filename}: must be a place to write to, got '{error.strerror}'; check space "
            "and rights there, or choose another output folder"
        )
    return None


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise our own error in place of the RuntimeError that MONAI's configuration makes of it."""
    try:
        yield
    except RuntimeError as error:
        own = find_error(error, SRError)
        if own is None:
            raise
        raise own from None

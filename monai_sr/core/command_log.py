"""Where a command's log goes; a library leaves that to the program that it is used in."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_to_stdout() -> Iterator[None]:
    """Write to the standard output what this package says, and warnings of all others.

    Afterwards logging is as it was.
    """
    ours, root = logging.getLogger("monai_sr"), logging.getLogger()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = ours.level, ours.propagate
    ours.setLevel(logging.INFO)
    ours.propagate = False
    ours.addHandler(handler)
    added = [] if root.handlers else [root]
    for logger in added:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in (ours, *added):
            logger.removeHandler(handler)
        ours.setLevel(before[0])
        ours.propagate = before[1]


__all__ = ["log_to_stdout"]

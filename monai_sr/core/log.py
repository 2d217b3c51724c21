"""Loggers of the package: what lies in a temporary folder goes by the name that a user knows.

Inputs are reached through links that tell no name, are unpacked from zips, or are made of the parts
of a product; a message is to show none of these folders, whose names say nothing and differ from
run to run.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_names: dict[str, str] = {}
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package."""
    logger = logging.getLogger(name)
    logger.addFilter(_show_names)
    return logger


def show_as(folder: Path, name: str) -> None:
    """Show another name in place of a temporary folder, until :func:`forget` is called.

    Args:
        folder: as it stands in the paths of inputs.
        name: what stands there instead; "" leaves the folder out.
    """
    _names[f"{folder}{os.sep}"] = f"{name}{os.sep}" if name else ""


def show_text_as(text: str, name: str) -> None:
    """Show another text in place of one, such as an address that holds a password.

    Args:
        text: what is not to be shown.
        name: what stands there instead.
    """
    _names[text] = name


def forget(folder: str) -> None:
    """Take back what :func:`show_as` has said of a folder and of those in it, or of a text."""
    for place in [p for p in _names if p == folder or p.startswith(f"{folder}{os.sep}")]:
        _names.pop(place, None)


def shown(text: object) -> str:
    """Return a name or message with the names that are to be shown.

    Example:
        >>> from pathlib import Path
        >>> show_as(Path("/tmp/unpacked"), "study.zip")
        >>> shown("/tmp/unpacked/1.dcm: must be whole".replace("/", os.sep))
        'study.zip/1.dcm: must be whole'
        >>> forget("/tmp/unpacked")
    """
    found = str(text)
    for place, name in tuple(_names.items()):
        found = found.replace(place, name)
    return found


def _show_names(record: logging.LogRecord) -> bool:
    if _names:
        message = record.getMessage()
        if (told := shown(message)) != message:
            record.msg, record.args = told, None
    heard = _heard.get()
    if heard is not None and record.levelno >= logging.WARNING:
        heard.append(record.getMessage())
    return True


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield a list that gets the warnings of this package, of this thread alone, as they come.

    They are logged as ever. One that is below the level of its logger is not heard.
    """
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


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

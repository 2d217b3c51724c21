"""Temporary folders that nobody else can write to, and how to know one again."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

PREFIX = "monai_sr_"
"""What the names of temporary folders begin with."""


def make_private_folder() -> Path:
    """Make a temporary folder of the mode 0700."""
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def is_private(folder: Path) -> bool:
    """Tell whether a folder lies in one that :func:`make_private_folder` made for this user.

    What others send, an archive for instance, is unpacked elsewhere.
    """
    top = os.path.realpath(tempfile.gettempdir())
    inside = os.path.relpath(os.path.realpath(folder), top).split(os.sep)
    if not inside[0].startswith(PREFIX):
        return False
    try:
        status = os.stat(os.path.join(top, inside[0]))
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return is_own and not stat.S_IMODE(status.st_mode) & 0o077

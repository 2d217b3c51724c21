"""The user's cache folder: what can be made again, and takes long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER_VARIABLE = "MONAI_SR_CACHE"
"""Environment variable that names another folder."""


def cache_folder() -> Path:
    """Return ``~/.cache/monai-sr``, or the system's own place; it may be deleted at any time.

    ``MONAI_SR_CACHE`` names another one.

    Raises:
        RuntimeError: if the user has no home.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "monai-sr"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monai-sr"

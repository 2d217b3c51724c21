"""Ends a script as ``monai-sr`` ends: one line and code 2 after an error of the user."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from monai_sr.core.errors import SRError


def exit_code(work: Callable[[], object], level: int = logging.INFO) -> int:
    """Do the work of a script, log to stderr, and return its exit code.

    Args:
        work: raises SRError where a user can mend something.
        level: of what is logged.
    """
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    try:
        work()
    except SRError as error:
        sys.stderr.write(f"monai-sr: error: {error}\n")
        return 2
    return 0

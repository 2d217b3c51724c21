"""Mends quaternions that rounding made longer than 1, as many programs write them.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (fields quatern_b, quatern_c, quatern_d).
"""

import math
from typing import Any

_LONGEST = 1 + 1e-3  # of numbers of three digits


def shorten(header: Any) -> bool:
    """Let a quaternion that is a little longer than 1 end there, as the reference code does.

    nibabel refuses most of them.

    Args:
        header: of nibabel, changed in place.

    Returns:
        Whether it was a little too long.
    """
    length = math.hypot(*(float(header[f"quatern_{axis}"]) for axis in "bcd"))
    is_rounded = 1 < length < _LONGEST
    for axis in "bcd" if is_rounded else "":
        header[f"quatern_{axis}"] /= length
    return is_rounded

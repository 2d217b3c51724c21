"""Shows the pictures of an evaluation as their DICOM references are looked at: through the window.

Pictures hold [0, 1] of the range that the reference was mapped from; its window is in stored units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError
from monai_sr.formats import Facts, find_series, format_of
from monai_sr.reports.display import display_of
from monai_sr.transforms import ScaleToUnit, load_image

Picture = npt.NDArray[np.float64]
_QUANTILES = (0.005, 0.995)
_WIDE = 0.5  # of the range that a type holds: below it, contrast is stretched


@dataclass(frozen=True)
class Viewer:
    """How the pictures of one image are shown.

    Attributes:
        caption: says so in words; empty where they are shown as they are.
        show: picture (H, W) or (H, W, 3) in [0, 1] -> the same, uint8.
    """

    caption: str
    show: Callable[[Picture], npt.NDArray[np.uint8]]


def linear_viewer(hr: Picture) -> Viewer:
    """Show colors as they are, and grey by its own range where that is narrow."""
    low, high, caption = 0.0, 1.0, ""
    if hr.ndim == 2:
        ends = np.quantile(hr, _QUANTILES).tolist()
        if 0 < ends[1] - ends[0] < _WIDE:
            low, high = ends
            caption = f"Shown from {low:.3g} to {high:.3g} of the range."

    def show(picture: Picture) -> npt.NDArray[np.uint8]:
        unit = np.clip((picture - low) / (high - low), 0, 1)
        levels: npt.NDArray[np.uint8] = np.rint(unit * 255).astype(np.uint8)
        return levels

    return Viewer(caption, show)


def window_viewer(name: str, roots: Sequence[Path]) -> Viewer | None:
    """Return the viewer of a reference below one of the roots; None where it is no grey DICOM.

    Raises:
        BadImageError: no root holds it, or it cannot be read.
    """
    if not roots:
        return None
    found = next((root / name for root in roots if (root / name).is_file()), None)
    if found is None:
        raise BadImageError(
            f"{roots[0]}: must hold {name}, which was judged, got no such file; check --root"
        )
    return _of_file(found)


@lru_cache(maxsize=1)
def _of_file(file: Path) -> Viewer | None:
    if not format_of(file).has_window:
        return None
    series = next((s for s in find_series(file.parent) if file in s), [file])
    image = load_image(series if len(series) > 1 else file)
    meta: dict[str, Any] = dict(ScaleToUnit(is_exact=True)(image)[0].meta)
    display = display_of(image.numpy(), meta)
    if len(display.bands) > 1:
        return None
    low, high = (float(v) for v in Facts(meta).range.ravel())

    def show(picture: Picture) -> npt.NDArray[np.uint8]:
        unit = 1 - picture if display.is_inverted else picture
        return display((unit * (high - low) + low).T[None])

    return Viewer(display.caption, show)

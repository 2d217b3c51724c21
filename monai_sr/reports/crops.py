"""Crops of one image of an evaluation: input, every system's result, reference, maps of errors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from monai_sr.core import BadImageError
from monai_sr.evaluation import WHITE_KEY, slug
from monai_sr.reports.display import Picture, Viewer, linear_viewer, uncertainty_levels
from monai_sr.reports.pages import data_uri

BUDGET = 14_000_000
"""Bytes of all pictures of a page, as text: with the rest it stays below 15 MB."""
_HIGHEST = 0.995  # quantile of errors, or half widths, that the lightest color stands for


@dataclass(frozen=True)
class Step:
    """How large and how exact crops are: side in pixels of the result, quality of lossy WebP."""

    side: int
    quality: int | None


LADDER = (Step(256, None), Step(224, 90), Step(160, 85), Step(128, 80), Step(96, 75), Step(64, 70))
"""From the best on, until a page fits its budget."""


def crops_of_image(
    folder: Path, systems: list[str], scale: int, step: Step, viewer: Viewer | None = None
) -> dict[str, Any]:
    """Cut the square where bicubic, or else the first system, errs most.

    Args:
        folder: of the image, as ``save_images`` leaves it.
        systems: names in the order shown.
        scale: of the enlargement.
        step: size and quality.
        viewer: how pictures are shown; None: by the reference's own values.

    Returns:
        Texts for ``src`` and ``bytes``, their length together.

    Raises:
        BadImageError: if a picture is missing or damaged.
    """
    hr, lr = (_read(folder / f"{name}.png")[0] for name in ("hr", "lr"))
    results = {name: _read(folder / f"{slug(name)}.png")[0] for name in systems}
    errors = {name: _planes(np.abs(sr - hr)) for name, sr in results.items()}
    side = min(step.side, *hr.shape[:2]) // scale * scale
    top, left = _worst(errors[systems[0]], side, scale)
    part = (slice(top, top + side), slice(left, left + side))
    viewer = viewer or linear_viewer(hr)
    highest = float(np.quantile(np.stack([e[part] for e in errors.values()]), _HIGHEST))

    def shown(picture: Picture) -> str:
        return data_uri(viewer.show(picture), step.quality)

    found: list[dict[str, Any]] = []
    for name, sr in results.items():
        levels = uncertainty_levels(errors[name][part].T, highest)
        crop = {"name": name, "src": shown(sr[part]), "error": data_uri(levels, step.quality)}
        interval = folder / f"{slug(name)}_interval.png"
        if interval.exists():
            picture, text = _read(interval)
            width = picture[part] * float(text.get(WHITE_KEY, 1.0))
            # Not the largest of all: a few pixels would leave the map dark.
            white = float(np.quantile(width, _HIGHEST))
            crop["interval"] = data_uri(uncertainty_levels(width.T, white), step.quality)
            crop["white"] = f"{white:.3f}"
        found.append(crop)
    small = (
        slice(top // scale, (top + side) // scale),
        slice(left // scale, (left + side) // scale),
    )
    content = {"lr": shown(lr[small]), "hr": shown(hr[part])}
    texts = [
        *content.values(),
        *(c.get(k, "") for c in found for k in ("src", "error", "interval")),
    ]
    return {
        **content,
        "systems": found,
        "highest": f"{highest:.3f}",
        "place": f"{side} × {side} pixels at column {left}, row {top}",
        "display": viewer.caption,
        "bytes": sum(map(len, texts)),
    }


def _read(path: Path) -> tuple[Picture, dict[str, Any]]:
    """Return a picture (H, W) or (H, W, 3) in [0, 1], and its texts."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            values = np.asarray(image)
            texts = dict(image.info)
    except OSError as error:
        raise BadImageError(
            f"{path}: must be a picture of the evaluation, got none that opens; evaluate again "
            "with --save_images"
        ) from error
    largest = 255 if values.dtype == np.uint8 else 65535
    return values.astype(np.float64) / largest, texts


def _planes(error: Picture) -> Picture:
    return error if error.ndim == 2 else np.asarray(error.mean(axis=-1))


def _worst(error: Picture, side: int, scale: int) -> tuple[int, int]:
    """Return the corner, on the grid of the input, of the square with the largest mean error."""
    last = [length - side + 1 for length in error.shape]
    means = uniform_filter(error, side, origin=-(side // 2))[: last[0] : scale, : last[1] : scale]
    top, left = np.unravel_index(int(np.argmax(means)), means.shape)
    return int(top) * scale, int(left) * scale

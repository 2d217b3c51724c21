"""What the bands of a raster are declared to be: fields of one unit, with natural bounds, or data.

GDAL raster data model, https://gdal.org/user/raster_data_model.html: description, unit, scale and
offset of a band.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

# Physical bounds by what the description or the unit of a band says, the first that fits.
_NATURAL = (
    (re.compile(r"\b(nd[vwsbmr]i|mndwi|gndvi|ndre\d?|nbr2?)\b"), (-1.0, 1.0)),
    (re.compile(r"^%$|\bper ?cent(age)?\b"), (0.0, 100.0)),
    (re.compile(r"\b(fraction|probability|fapar|fcover|albedo)\b"), (0.0, 1.0)),
    (re.compile(r"\breflectance\b"), (0.0, np.inf)),
)
_UNBOUNDED = (-np.inf, np.inf)
_ALPHA_GROUP = -2
# An alpha band with more levels, most of which are neither transparent nor opaque, is a picture.
_FEW_LEVELS, _ENDS_SHARE = 16, 0.5
_SAMPLED_PX = 512


def band_groups(dataset: DatasetReader, channels: int, alpha: int) -> tuple[int, ...]:
    """Return a number for each band: those of one declared unit, scale and offset share it.

    Args:
        dataset: an open raster.
        channels: as they are read.
        alpha: index of the alpha channel, -1 for none.

    Returns:
        -1 where nothing is declared; the alpha channel is always alone.
    """
    groups = [-1] * channels
    if channels == dataset.count:
        facts = list(zip(_units(dataset), dataset.scales, dataset.offsets, strict=True))
        known = list(dict.fromkeys(facts))
        groups = [-1 if fact == ("", 1.0, 0.0) else known.index(fact) for fact in facts]
    if alpha >= 0:
        groups[alpha] = _ALPHA_GROUP
    return tuple(groups)


def natural_bounds(dataset: DatasetReader, channels: int) -> npt.NDArray[np.float64]:
    """Return the stored values that each band is naturally bounded by: (C, 2), maybe infinite.

    Args:
        dataset: an open raster.
        channels: as they are read.
    """
    bounds = np.tile(np.asarray(_UNBOUNDED), (channels, 1))
    if channels != dataset.count:
        return bounds
    facts = zip(dataset.descriptions, _units(dataset), dataset.scales, dataset.offsets, strict=True)
    for pair, (description, unit, scale, offset) in zip(bounds, facts, strict=True):
        texts = [re.sub(r"[_\-]+", " ", text.lower()) for text in (description or "", unit)]
        found = (ends for rule, ends in _NATURAL if any(rule.search(text) for text in texts))
        physical = np.asarray(next(found, _UNBOUNDED))
        if scale:
            pair[:] = np.sort((physical - offset) / scale)
    return bounds


def alpha_is_data(dataset: DatasetReader, band: int) -> bool:
    """Tell whether a band that is tagged as alpha is a picture, as the near infrared of NAIP.

    A sample of the band decides. PNG and WebP have an alpha channel and no other fourth band.

    Args:
        dataset: an open raster.
        band: index of the alpha band.
    """
    if dataset.driver in ("PNG", "WEBP") or dataset.colorinterp[band] != ColorInterp.alpha:
        return False
    shape = tuple(min(side, _SAMPLED_PX) for side in dataset.shape)
    sample: npt.NDArray[Any] = dataset.read(band + 1, out_shape=shape)
    levels = np.unique(sample)
    if len(levels) <= _FEW_LEVELS:
        return False
    opaque = 1.0 if sample.dtype.kind == "f" else float(np.iinfo(sample.dtype).max)
    at_ends = float(np.mean((sample == 0) | (sample == opaque)))
    return at_ends < _ENDS_SHARE


def _units(dataset: DatasetReader) -> list[str]:
    return [(unit or "").strip().lower() for unit in dataset.units]

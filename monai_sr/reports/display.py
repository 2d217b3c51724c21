"""How stored values are shown on a screen: by the window of a DICOM file, else by a stated range.

Display only: no figure of a report is computed from what is made here. Pictures of an evaluation
hold [0, 1] of the range that the reference was mapped from; its window is in stored units.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from monai_sr.core import BadImageError
from monai_sr.formats import Facts, find_series, format_of, format_of_meta, open_dicom
from monai_sr.transforms import ScaleToUnit, load_image

Picture = npt.NDArray[np.float64]

_QUANTILES = (0.005, 0.995)
_SAMPLES = 2**20
_WIDE = 0.5  # of the range that a type holds: below it, contrast is stretched
_EVERYTHING = 1e12  # beyond any window
_WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_RESCALE = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_PIXEL = ("PhotometricInterpretation", "BitsStored", "BitsAllocated", "PixelRepresentation")
# Magma of matplotlib at six even steps: lightness rises evenly, also for the color-blind.
_MAGMA = np.array(
    [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]]
)


@dataclass(frozen=True)
class Display:
    """One mapping for all pictures of a case.

    Attributes:
        caption: says in words what is shown.
        bands: which channels, one or three.
        low: stored value shown black, where no table decides.
        high: stored value shown white.
        is_inverted: whether high values are dark (MONOCHROME1).
        first: stored value of the first entry of ``table``.
        table: what a DICOM window makes of each stored value, in [0, 1]; empty for none.
    """

    caption: str
    bands: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    is_inverted: bool = False
    first: int = 0
    table: npt.NDArray[np.float64] | None = None

    def __call__(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return what a screen shows.

        Shape: stored (C, X, Y) -> (Y, X) grey or (Y, X, 3) RGB, uint8.
        """
        values = np.asarray(stored, dtype=np.float64)[list(self.bands)]
        values = np.nan_to_num(values, nan=self.low, posinf=self.high, neginf=self.low)
        if self.table is not None:
            index = np.rint(values - self.first).astype(np.int64)
            unit = self.table[np.clip(index, 0, len(self.table) - 1)]
        else:
            unit = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        if self.is_inverted:
            unit = 1 - unit
        levels: npt.NDArray[np.uint8] = np.rint(unit * 255).astype(np.uint8).transpose(2, 1, 0)
        return levels if len(self.bands) == 3 else levels[..., 0]


def display_of(stored: npt.NDArray[Any], meta: Mapping[str, Any]) -> Display:
    """Decide how an image and its results are shown.

    Args:
        stored: (C, X, Y[, Z]) stored values of the input, valid ones.
        meta: metadata of our readers.
    """
    channels = stored.shape[0]
    form = format_of_meta(meta)
    is_color = channels >= 3 if form.has_bands else Facts(meta).is_rgb
    bands = (0, 1, 2) if is_color else (0,)
    is_inverted = Facts(meta).is_inverted
    if form.has_window and not is_color:
        window = _window(meta)
        if window is not None:
            caption, first, table = window
            return Display(caption, bands, is_inverted=is_inverted, first=first, table=table)
    low, high = _range(stored[list(bands)], meta)
    which = ", ".join(str(band + 1) for band in bands)
    of = f" of band{'s' * is_color} {which}" if channels > len(bands) else ""
    caption = f"Shown from {low:.6g} (black) to {high:.6g} (white){of}, stored values."
    return Display(caption, bands, low, high, is_inverted)


def uncertainty_levels(half_width: npt.NDArray[Any], highest: float) -> npt.NDArray[np.uint8]:
    """Return a map in color: dark for none, light for ``highest`` and more.

    Shape: (X, Y), NaN where nothing was measured -> (Y, X, 3) uint8.
    """
    unit = np.clip(np.nan_to_num(half_width.T / (highest or 1.0)), 0, 1)
    steps = np.linspace(0, 1, len(_MAGMA))
    colors = [np.interp(unit, steps, _MAGMA[:, channel]) for channel in range(3)]
    levels: npt.NDArray[np.uint8] = np.rint(np.stack(colors, axis=-1)).astype(np.uint8)
    return levels


def _range(values: npt.NDArray[Any], meta: Mapping[str, Any]) -> tuple[float, float]:
    declared = np.asarray(Facts(meta).declared_range, dtype=np.float64).ravel()
    if np.isfinite(declared).all():
        low, high = declared.tolist()
    else:
        flat = values[np.isfinite(values)]
        low, high = np.quantile(flat[:: flat.size // _SAMPLES + 1], _QUANTILES).tolist()
    return low, high if high > low else low + 1


def dicom_header(meta: Mapping[str, Any]) -> Dataset:
    """Return the header of the middle file of an image that was read from DICOM."""
    files = Facts(meta).files
    return open_dicom(files[len(files) // 2], stop_before_pixels=True)


def _window(meta: Mapping[str, Any]) -> tuple[str, int, npt.NDArray[np.float64]] | None:
    """Return caption, first stored value and table of the window, (0028,1050), PS3.3 C.11.2."""
    header = dicom_header(meta)
    facts = _facts(header)
    storable = Facts(meta).storable.ravel()  # infinite, of floats
    is_table = "VOILUTSequence" in facts
    if (not is_table and "WindowCenter" not in facts) or np.ptp(storable) >= 2**16:
        return None
    low, high = (int(v) for v in storable)
    domain = np.arange(low, high + 1)
    try:
        values = np.asarray(apply_modality_lut(domain, facts), dtype=np.float64)
        if is_table:
            item = facts.VOILUTSequence[0]
            shown = np.asarray(apply_voi_lut(np.rint(values).astype(np.int64), facts))
            ends = (0.0, 2.0 ** int(item.LUTDescriptor[2]) - 1)
            caption = "Shown through the VOI LUT of the file."
        else:
            both = np.concatenate([values, [-_EVERYTHING, _EVERYTHING]])
            shown = np.asarray(apply_voi_lut(both, facts), dtype=np.float64)
            ends = (float(shown[-2]), float(shown[-1]))
            center, width = (np.ravel(facts[k].value)[0] for k in ("WindowCenter", "WindowWidth"))
            caption = f"Shown through the window of the file: center {center:g}, width {width:g}."
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        return None  # a window that cannot be applied is as good as none
    table = (shown[: len(domain)].astype(np.float64) - ends[0]) / (ends[1] - ends[0])
    return caption, low, np.clip(table, 0, 1)


def _facts(header: Dataset) -> Dataset:
    """Gather what a window needs; enhanced images keep it by frame (PS3.3 C.7.6.16)."""
    places = [header]
    shared = header.get("SharedFunctionalGroupsSequence") or []
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*shared, *frames[len(frames) // 2 :][:1]):
        for name in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
            places += list(group.get(name) or [])
    facts = Dataset()
    for keyword in (*_PIXEL, *_WINDOW, *_RESCALE):
        found = next((p[keyword] for p in places if p.get(keyword) not in (None, "")), None)
        if found is not None:
            facts[keyword] = found
    facts.file_meta = header.file_meta  # the order of bytes in tables
    return facts


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

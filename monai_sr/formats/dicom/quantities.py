"""Takes the frames of an enhanced object that hold several quantities apart, and joins them again.

DICOM PS3.3 C.7.6.16.2.11 (a real world value mapping for each frame), C.8.16.1 (frame type) and
C.8.4.8 (energy windows of nuclear medicine): one parametric map may hold relaxation times in ms
and diffusion in mm2/s. On one range of values the lesser ones would be nothing, so each quantity
becomes a channel, as bands of rasters are.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from monai_sr.core import PathLike, get_logger
from monai_sr.formats.facts import Facts

logger = get_logger(__name__)

_UNLIKE = 4.0  # times as wide: channels below that share one range anyhow
_TAILS = (1, 99)  # percent


def frames_by_quantity(
    header: Dataset, frames: npt.NDArray[Any], name: PathLike
) -> npt.NDArray[np.int64] | None:
    """Return which frames hold which quantity, None where all can share one range of values.

    Shape: frames (N, H, W, 1) -> (C, N / C), numbers of frames.

    Args:
        header: an opened object.
        frames: its stored values.
        name: the image, for a warning where quantities have unequal numbers of frames.
    """
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    known: list[Hashable] = [_quantity(group) for group in groups]
    known = known or list(np.atleast_1d(header.get("EnergyWindowVector") or []))
    if len(known) != len(frames) or frames.shape[-1] != 1:
        return None
    members: dict[Hashable, list[int]] = {}
    for number, quantity in enumerate(known):
        members.setdefault(quantity, []).append(number)
    if len(members) == 1 or not _are_unlike([frames[m] for m in members.values()]):
        return None
    if len({len(each) for each in members.values()}) > 1:
        logger.warning(
            "%s: its frames hold %d quantities, unequal in number, and are enlarged on one range "
            "of values, which falsifies the lesser ones; give a file for each", name, len(members),
        )  # fmt: skip
        return None
    return np.array([*members.values()], dtype=np.int64)


def to_channels(array: npt.NDArray[Any], order: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    """Make a channel of each quantity.

    Shape: (1, X, Y, N) -> (C, X, Y, N / C), or (C, X, Y) of one frame each.
    """
    if order is None:
        return array
    channels: npt.NDArray[Any] = np.moveaxis(array[0][..., order], 2, 0)
    return channels if channels.shape[-1] > 1 else channels[..., 0]


def in_frames(channels: npt.NDArray[Any], facts: Facts) -> npt.NDArray[Any]:
    """Bring an image into DICOM's order, frames as they were in the file.

    Shape: (C, X, Y[, Z]) -> (N, H, W, samples).

    Args:
        channels: of a result, or of anything as large.
        facts: of the image.
    """
    data = channels if channels.ndim == 4 else channels[..., None]
    if facts.knows("frames") and facts.frames.shape == (data.shape[0], data.shape[3]):
        back = np.argsort(facts.frames.ravel())
        data = np.moveaxis(data, 0, 2).reshape(*data.shape[1:3], -1)[None, ..., back]
    return np.transpose(data, (3, 2, 1, 0))


def _quantity(group: Dataset) -> Hashable:
    """Return what tells the quantity of a frame apart."""
    items = group.get("RealWorldValueMappingSequence") or []
    units = [code for item in items for code in item.get("MeasurementUnitsCodeSequence") or []]
    kinds = [
        str(each.get("FrameType"))
        for element in group
        if element.VR == "SQ"
        for each in element.value
        if "FrameType" in each
    ]
    return (
        tuple(str(item.get("LUTLabel")) for item in items),
        tuple(str(code.get("CodeValue")) for code in units),
        tuple(kinds),
    )


def _are_unlike(parts: list[npt.NDArray[Any]]) -> bool:
    widths = []
    for part in parts:
        known = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        low, high = np.percentile(known, _TAILS) if known.size else (0.0, 0.0)
        widths.append(float(high) - float(low))
    known_widths = [width for width in widths if width > 0]
    return bool(known_widths) and max(known_widths) > _UNLIKE * min(known_widths)

"""Decodes the stored pixel values of one DICOM object and states what they can be.

DICOM PS3.3 C.7.6.3 (image pixel module), PS3.5 section 8 (native and compressed pixel data).
Rescale slope, windows and look-up tables for display are not applied: values stay as stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import UID, JPEG2000TransferSyntaxes

from monai_sr.core import BadImageError, PathLike, check_memory, get_logger, is_wide
from monai_sr.formats.dicom.bounds import check_frames
from monai_sr.formats.dicom.decoders import run_decoder
from monai_sr.formats.dicom.files import PIXEL_KEYWORDS, refuse_damage
from monai_sr.formats.dicom.padding import Ranges, no_measurements
from monai_sr.formats.stored import holes_of_infinity

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = get_logger(__name__)
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"

_DECLARED_BITS = 12  # deeper files seldom fill their range: the values themselves must tell
# Some values are gray, others indices of a supplemental palette (C.7.6.19, C.8.13.3.1.1).
_COLORED = ("COLOR", "MIXED")
_PHOTOMETRIC = frozenset(
    {
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_ICT",
        "YBR_RCT",
    }
)


@dataclass(frozen=True)
class StoredPixels:
    """Hold decoded frames and the facts that the header declares about them.

    Args:
        frames: (N, H, W, C), C = 1 for gray and 3 for RGB.
        storable: least and greatest value that the stored type holds.
        declared: range that the header declares, (nan, nan) where the values must tell.
        is_inverted: True for MONOCHROME1, where the least value is white.
        padding: ranges of values that are no measurement, see ``no_measurements``.
        without_sign: count of values below zero that the bits above BitsStored do not say so of.
    """

    frames: NDArray[Any]
    storable: tuple[float, float]
    declared: tuple[float, float]
    is_inverted: bool
    padding: Ranges
    without_sign: int = 0


def decode(dataset: FileDataset, name: PathLike, *, keeps_palette: bool = False) -> StoredPixels:
    """Decode all frames of an object; YBR and palettes become RGB, the rest stays as stored.

    Palettes expand to 8 bits per channel, the only depth of the color objects that may carry
    them (PS3.3 A.6.4, C.8.5.6.1); 16-bit palette entries give their upper byte.

    Args:
        dataset: an opened file with pixel data.
        name: what messages call it.
        keeps_palette: the values are codes: the indices of a palette are wanted, not its colors.

    Returns:
        The frames and their facts; masks of one bit as uint8.

    Raises:
        BadImageError: no pixels, a mask of one bit that is to be gray values, a whole slide, an
            odd pixel description, values beyond BitsStored or below zero where none can be, a
            compression without decoder, or data that are truncated or damaged.
    """
    truncated = (
        f"{name}: pixel data must be whole and match Rows, Columns and NumberOfFrames, got "
        "truncated or inconsistent data; copy the file again from its source."
    )
    with refuse_damage(truncated):
        _check_header(dataset, name, keeps_palette)
        check_frames(dataset)
        array, facts = run_decoder(dataset, name)
        _check_sign(array, dataset, name)
        array, without_sign = _stored_bits(array, dataset, name)
        photometric = str(facts["photometric_interpretation"])
        samples = int(facts["samples_per_pixel"])
        if photometric == "PALETTE COLOR" and not keeps_palette:
            array, samples = _expand_palette(array, dataset, name), 3
        elif samples == 3 and photometric != "RGB":
            raise BadImageError(
                f"{name}: colors must be RGB, YBR_FULL or YBR_FULL_422 after decoding, got "
                f"{photometric}; convert it to uncompressed RGB DICOM."
            )
        frames = array.reshape(-1, int(dataset.Rows), int(dataset.Columns), samples)
        count = int(dataset.get("NumberOfFrames") or 1)
        if len(frames) != count:
            raise BadImageError(
                f"{name}: NumberOfFrames must be that of its pixel data, got {count} for "
                f"{len(frames)} frames; set it, or export the image again."
            )
        if frames.dtype.kind == "f":
            frames = holes_of_infinity(name, frames)
        stated = _state_facts(dataset, frames, photometric, keeps_palette)
        return replace(stated, without_sign=without_sign)


def stored_range(dataset: Dataset, *, keeps_palette: bool = False) -> tuple[float, float]:
    """Return the least and greatest value that an object's pixels can store.

    Args:
        dataset: an object with an image pixel module.
        keeps_palette: as for :func:`decode`.

    Returns:
        The range of BitsStored and PixelRepresentation; infinite for float pixel data.
    """
    if "PixelData" not in dataset:
        return -np.inf, np.inf
    if dataset.PhotometricInterpretation == "PALETTE COLOR" and not keeps_palette:
        return 0.0, 255.0
    bits = int(dataset.BitsStored)
    if int(dataset.get("PixelRepresentation") or 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _state_facts(
    dataset: Dataset, frames: NDArray[Any], photometric: str, keeps_palette: bool
) -> StoredPixels:
    low, high = stored_range(dataset, keeps_palette=keeps_palette)
    declared = (np.nan, np.nan)
    if high - low < 2.0**_DECLARED_BITS:
        declared = (low, high)
    return StoredPixels(
        frames=frames,
        storable=(low, high),
        declared=declared,
        is_inverted=photometric == "MONOCHROME1",
        padding=no_measurements(dataset, frames.dtype),
    )


def _check_header(dataset: FileDataset, name: PathLike, are_codes: bool) -> None:
    """Refuse what holds no image of intensities, in words that name what it is."""
    if not any(keyword in dataset for keyword in PIXEL_KEYWORDS):
        raise BadImageError(_no_pixels(dataset, name))
    unreadable = (
        f"{name}: Rows, Columns, BitsAllocated and the other pixel tags must be valid, got a "
        "missing or unreadable one; repair the header or export the image again."
    )
    with refuse_damage(unreadable):
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        frames = int(dataset.get("NumberOfFrames") or 1)
        bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
        photometric = str(dataset.PhotometricInterpretation)
        is_slide = dataset.get("SOPClassUID") == WHOLE_SLIDE
        high_bit = int(dataset.get("HighBit", int(dataset.get("BitsStored", 1)) - 1))
        has_low_gap = "PixelData" in dataset and high_bit != int(dataset.BitsStored) - 1
    if min(rows, columns, frames) < 1:
        raise BadImageError(
            f"{name}: must have at least one row, column and frame, got {rows} x {columns} x "
            f"{frames}; export the image again."
        )
    # As decoded, once more where frames are joined, and as the reader's floats.
    item_bytes = max(bits // 8, 1)
    float_bytes = 8 if is_wide(item_bytes, "PixelData" not in dataset) else 4
    check_memory(name, (frames, rows, columns, samples), 2 * item_bytes + float_bytes)
    if bits == 1 and not are_codes:
        raise BadImageError(
            f"{name}: must hold gray values or colors, got a mask of one bit a pixel, which has no "
            "values between; leave --kind out, or add --kind label."
        )
    if is_slide:
        raise BadImageError(
            f"{name}: must be a whole image, got tiles of a microscope slide; convert it to TIFF."
        )
    if photometric not in _PHOTOMETRIC or samples not in (1, 3):
        raise BadImageError(
            f"{name}: must be gray, RGB, YBR or palette, got '{photometric[:16]}' with {samples} "
            "samples per pixel; convert it to RGB."
        )
    presentation = str(dataset.get("PixelPresentation") or "")
    if photometric == "MONOCHROME2" and presentation in _COLORED and not are_codes:
        raise BadImageError(
            f"{name}: must be gray or colored, got gray values with a palette for some of them "
            "(Pixel Presentation COLOR), between which there is nothing; export it as RGB."
        )
    if has_low_gap:
        raise BadImageError(
            f"{name}: HighBit must be BitsStored - 1, got {high_bit}; convert it to current DICOM."
        )


def _no_pixels(dataset: FileDataset, name: PathLike) -> str:
    # pydicom gives an empty dataset where the file ends within compressed pixels.
    declared = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    sop_class = UID(str(declared or ""))
    kind = "an unknown kind of object" if sop_class.name == sop_class else sop_class.name
    if "Rows" in dataset or "Image Storage" in kind or len(dataset) == 0:
        return (
            f"{name}: must hold pixel data, got a header alone ({kind}); the file is truncated or "
            "was stripped: copy it again from its source."
        )
    return (
        f"{name}: must be an image, got a DICOM object without pixels ({kind}); "
        "remove it from the input."
    )


def _check_sign(array: NDArray[Any], dataset: FileDataset, name: PathLike) -> None:
    """Refuse JPEG 2000 values below zero that an unsigned header would wrap (PS3.5 8.2.4)."""
    is_jpeg_2000 = dataset.file_meta.TransferSyntaxUID in JPEG2000TransferSyntaxes
    if not is_jpeg_2000 or array.dtype.kind != "u" or array.max() <= np.iinfo(array.dtype).max // 2:
        return
    count = int(dataset.get("NumberOfFrames") or 1)
    frame = next(iter(generate_frames(dataset.PixelData, number_of_frames=count)))
    if get_j2k_parameters(frame).get("is_signed"):
        raise BadImageError(
            f"{name}: PixelRepresentation must be that of its JPEG 2000 pixels, got 0 (unsigned) "
            "for values below zero; set it to 1, or export the image again."
        )


def _stored_bits(
    array: NDArray[Any], dataset: FileDataset, name: PathLike
) -> tuple[NDArray[Any], int]:
    """Clear the bits above BitsStored (PS3.5 8.1.1); refuse values that this would wrap.

    Where unsigned ones fill more bits without a gap, BitsStored is wrong, and corrected in memory.

    Old overlays lie there (C.9.2), and signed values come extended by their sign or by zeros: how
    many of these are below zero is returned, too. JPEG has no sign, so there it says nothing.
    """
    bits = int(dataset.get("BitsStored", 0))
    unused = array.dtype.itemsize * 8 - bits
    if array.dtype.kind == "f" or unused <= 0 or dataset.BitsAllocated == 1:
        return array, 0
    multiples: NDArray[Any] = np.unique(array >> bits) if array.dtype.kind == "u" else np.empty(0)
    if 3 <= len(multiples) == multiples[-1] + 1:  # an overlay sets a bit, padding leaves a gap
        logger.warning("%s: values fill all %d bits, and are so read", name, bits + unused)
        dataset.BitsStored, dataset.HighBit = bits + unused, bits + unused - 1
        return array, 0
    values = array << unused >> unused
    overlays = sum(1 << bit for bit in {*_overlay_bits(dataset)} if bit >= bits)
    judged = np.array(~((1 << bits) - 1) & ~overlays).astype(array.dtype)
    above = array & judged
    is_changed = (values ^ array) & judged != 0
    is_wrong = is_changed & (above != 0)
    if is_wrong.any():
        raise BadImageError(
            f"{name}: values must fit into its BitsStored of {bits}, got "
            f"{np.count_nonzero(is_wrong)} that do not; correct BitsStored and HighBit, or clear "
            "the bits above."
        )
    is_native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    return values, int(np.count_nonzero(is_changed)) if is_native else 0


def _overlay_bits(dataset: Dataset) -> Iterator[int]:
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x0100) in dataset and int(dataset[group, 0x0100].value or 1) > 1:
            yield int(dataset[group, 0x0102].value)


def _expand_palette(array: NDArray[Any], dataset: Dataset, name: PathLike) -> NDArray[Any]:
    broken = f"{name}: the color palette must be whole, got damaged tables; export it as RGB."
    with refuse_damage(broken):
        colors: NDArray[Any] = apply_color_lut(array, dataset)
    # Some writers declare 16-bit entries and fill only the lower byte.
    is_deep = colors.dtype.itemsize > 1 and int(colors.max()) > np.iinfo(np.uint8).max
    return (colors >> 8 if is_deep else colors)[..., :3].astype(np.uint8)

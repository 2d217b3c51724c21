"""Reads DICOM images and series with their geometry and stored values, as a MONAI reader."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from monai.utils import ensure_tuple
from pydicom.uid import NuclearMedicineImageStorage

from monai_sr.core import BadImageError, exact_float, get_logger
from monai_sr.formats.dicom.files import (
    is_dicom,
    open_dicom,
    refuse_damage,
)
from monai_sr.formats.dicom.meaning import (
    dicom_meaning,
    may_be_classes,
    meaning_of_values,
    mosaic_side,
    natural_range,
    stored_turn,
)
from monai_sr.formats.dicom.padding import padding_facts
from monai_sr.formats.dicom.pixels import StoredPixels, decode
from monai_sr.formats.dicom.quantities import frames_by_quantity, to_channels
from monai_sr.formats.dicom.series import check_one_person, find_series, find_volumes
from monai_sr.formats.facts import Facts, image_meta
from monai_sr.formats.meaning import (
    AUTO,
    CODES,
    GRAY,
    PHASE,
    Meaning,
    Tally,
    decided,
    few_values,
)
from monai_sr.formats.stored import StoredReader
from monai_sr.geometry import (
    OrientationError,
    Plane,
    flat_affine,
    frame_planes,
    is_parallel,
    is_same_spacing,
    pixel_spacing,
    position_gaps,
    slice_distance,
    stack_affine,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from monai_sr.core import PathLike
    from monai_sr.geometry import FloatArray


logger = get_logger(__name__)


@dataclass(frozen=True)
class DicomImage:
    """Hold the opened files of one image between ``read`` and ``get_data``.

    Args:
        name: the file or folder as the user gave it.
        paths: the files in slice order.
        headers: one dataset per file; of a single file with its pixel data.
        planes: one per frame where all frames have a place in the patient, else empty.
    """

    name: str
    paths: tuple[str, ...]
    headers: tuple[FileDataset, ...]
    planes: tuple[Plane, ...]


class DicomReader(StoredReader):
    """Read one DICOM file, or the files of one series as a volume, for ``LoadImage``.

    Gives stored values (no rescale, no window) as (C, X, Y) or (C, X, Y, Z): X runs along the
    columns, Z along the slices or frames. MONOCHROME1 stays as stored (fact
    ``is_inverted``); YBR and palettes become RGB, but for palettes that show a detector's counts.
    Integers of 32 bits or more come as float64,
    all others as float32, so ask ``LoadImage`` for ``dtype=None`` to keep them.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`; "auto" asks the header,
            and palettes of classes then stay indices.

    Example:
        >>> from monai.transforms import LoadImage
        >>> from monai_sr.formats.facts import Facts
        >>> from pydicom.data import get_testdata_file
        >>> image = LoadImage(reader=DicomReader, dtype=None)(get_testdata_file("CT_small.dcm"))
        >>> tuple(image.shape), Facts(image.meta).dtype
        ((1, 128, 128), dtype('int16'))
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether every name is a DICOM file by content, or a folder that holds some."""
        names = ensure_tuple(filename)
        return bool(names) and all(
            bool(find_series(n)) if os.path.isdir(n) else is_dicom(n) for n in names
        )

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> DicomImage:
        """Open a file, the files of one series, or a folder that holds one series.

        Args:
            data: one path, several paths, or one folder.
            kwargs: unused; present in MONAI's interface.

        Returns:
            The opened image, its slices in order along the slice normal.

        Raises:
            BadImageError: a file cannot be used, or the files do not form one image.
        """
        names = [os.fspath(n) for n in ensure_tuple(data)]
        given = names[0] if names else ""
        if len(names) == 1 and os.path.isdir(given):
            names = _only_series(given)
        if not names:
            raise BadImageError("image: must be at least one DICOM file, got none; name a file.")
        is_series = len(names) > 1
        headers = [open_dicom(n, stop_before_pixels=is_series) for n in names]
        planes = [_planes(header, name) for header, name in zip(headers, names, strict=True)]
        with refuse_damage(f"{given}: headers of a series must be valid; copy it again."):
            order = _slice_order(given, names, headers, planes) if is_series else [0]
        flat = [plane for i in order for plane in planes[i]]
        located = [plane for plane in flat if plane is not None]
        if 1 < len(located) == len(flat):
            _report_places(given, located)
        return DicomImage(
            name=given,
            paths=tuple(names[i] for i in order),
            headers=tuple(headers[i] for i in order),
            planes=tuple(located) if len(located) == len(flat) else (),
        )

    def get_data(self, img: DicomImage) -> tuple[NDArray[Any], dict[str, Any]]:
        """Decode an opened image and state its geometry and value range.

        Args:
            img: what ``read`` returned.

        Returns:
            The stored values, channel-first, and the metadata of the package's data contract.

        Raises:
            BadImageError: pixels are missing, damaged or cannot be decoded.
        """
        slices = self._decoded(img)
        _check_alike(img, slices)
        if without_sign := sum(s.without_sign for s in slices):
            logger.warning(
                "%s: %d values are below zero by BitsStored alone; if they are not, correct "
                "BitsStored and HighBit", img.name, without_sign,
            )  # fmt: skip
        frames = np.concatenate([s.frames for s in slices])
        array = _to_monai(frames)
        nodata, valid = padding_facts(slices)
        meaning = self._meaning(img, array, nodata, slices[0].storable)
        order = None
        if len(img.headers) == 1 and meaning.kind == GRAY:
            order = frames_by_quantity(img.headers[0], frames, img.name)
        array = to_channels(array, order)
        with refuse_damage(f"{img.name}: spacing tags must be valid; repair the header."):
            affine = _affine(img, None if order is None else order[0].tolist())
        declared = _common_range(slices)
        if meaning.kind == PHASE:
            turn = meaning.turn or stored_turn(img.headers[0], array, slices[0].storable)
            declared = turn or (np.nan, np.nan)
        meta = image_meta(
            files=[Path(path) for path in img.paths],
            sr_format="dicom",
            affine=affine,
            spatial_shape=array.shape[1:],
            dtype=frames.dtype,
            storable=(min(s.storable[0] for s in slices), max(s.storable[1] for s in slices)),
            declared=declared,
            inverted=slices[0].is_inverted,
            nodata=nodata,
            valid=None if valid is None else to_channels(_to_monai(valid), order),
            # Files hold slices: whatever the spacings, a slice is what can be written back.
            slice_axis=2 if array.ndim == 4 else -1,
            is_rgb=frames.shape[-1] == 3,
            natural=_natural(img, slices) if meaning.kind == GRAY else None,
            unit_mm=1.0 if all(map(pixel_spacing, img.headers)) else float("nan"),
            meaning=meaning,
            mosaic=max(mosaic_side(header, img.name) for header in img.headers),
        )
        meta["filename_or_obj"] = img.name
        if order is not None:
            Facts(meta).frames = order
        storable = [s.storable for s in slices]
        if len(set(storable)) > 1:
            Facts(meta).slice_storable = np.array(storable)
        return np.ascontiguousarray(array, dtype=exact_float(frames.dtype)), meta

    def _decoded(self, img: DicomImage) -> list[StoredPixels]:
        header = img.headers[0]
        with refuse_damage(f"{img.name}: tags must be valid; repair the header."):
            is_palette = header.get("PhotometricInterpretation") == "PALETTE COLOR"
            # The palette of a detector's counts only shows them; RGB is no NM image (C.8.4.7.1.1).
            is_display = is_palette and header.get("SOPClassUID") == NuclearMedicineImageStorage
        is_known = is_display or self._are_codes(img)
        if is_palette and not is_known and self.kind == AUTO and may_be_classes(header):
            indices = _decoded(img, keeps_palette=True)
            tally = Tally()
            frames = (frame[..., 0] for each in indices for frame in each.frames)
            if all(tally.add(f, is_named=False) for f in frames) and few_values(tally):
                return indices
        return _decoded(img, keeps_palette=is_known)

    def _declared(self, img: DicomImage) -> Meaning | None:
        """Return what the headers say of the values; all must say the same, unless a user did."""
        with refuse_damage(f"{img.name}: tags must be valid; repair the header."):
            found = [dicom_meaning(header) for header in img.headers]
        kinds = sorted({GRAY if each is None else each.kind for each in found})
        if len(kinds) > 1 and self.kind == AUTO:
            raise BadImageError(
                f"{img.name}: slices of a series must share what their values mean, got "
                f"{' and '.join(kinds)}; give the files of each separately, or their folder."
            )
        return found[0]

    def _are_codes(self, img: DicomImage) -> bool:
        return decided(self.kind, self._declared(img), img.name).kind in CODES

    def _meaning(
        self, img: DicomImage, array: NDArray[Any], nodata: float, storable: tuple[float, float]
    ) -> Meaning:
        found = self._declared(img)
        if found is None and self.kind == AUTO:
            found = meaning_of_values(img.name, img.headers[0], array, nodata, storable)
        return decided(self.kind, found, img.name, is_rgb=array.shape[0] == 3)


def _decoded(img: DicomImage, *, keeps_palette: bool) -> list[StoredPixels]:
    if len(img.paths) == 1:
        return [decode(img.headers[0], img.paths[0], keeps_palette=keeps_palette)]
    return [decode(open_dicom(path), path, keeps_palette=keeps_palette) for path in img.paths]


def _natural(img: DicomImage, slices: list[StoredPixels]) -> NDArray[Any] | None:
    """Return the stored values that have a meaning in any slice: (1, 2); None for all storable.

    Rescaling tags that cannot be read bound nothing, for values stay as stored.
    """
    try:
        with refuse_damage(img.name):
            lows, highs = zip(*map(natural_range, img.headers), strict=True)
    except BadImageError:
        return None
    low, high = min(lows), max(highs)
    is_bound = any(low > s.storable[0] or high < s.storable[1] for s in slices)
    return np.array([[low, high]]) if is_bound else None


def _to_monai(frames: NDArray[Any]) -> NDArray[Any]:
    """Bring DICOM's order (N, H, W, C) into (C, X, Y), or (C, X, Y, Z) for several frames."""
    array: NDArray[Any] = frames.transpose(3, 2, 1, 0)
    return array if len(frames) > 1 else array.squeeze(-1)


def _only_series(folder: str) -> list[str]:
    found = find_volumes(folder)
    if len(found) != 1:
        raise BadImageError(
            f"{folder}: must hold one series of parallel slices, got {len(found)} images; give one "
            "file, or the files of one series."
        )
    if found[0].copies:
        logger.warning("%s: %d copies of slices were left out.", folder, len(found[0].copies))
    return [os.fspath(path) for path in found[0].paths]


def _planes(header: FileDataset, name: str) -> list[Plane | None]:
    unreadable = (
        f"{name}: frame count, position and spacing must be valid numbers, got an unreadable one; "
        "repair the header or export the image again."
    )
    with refuse_damage(unreadable):
        try:
            return frame_planes(header)
        except OrientationError as error:
            raise BadImageError(
                f"{name}: ImageOrientationPatient must be two unit vectors at right angles, got "
                "others; repair the header, or remove the tag to enlarge it without a place."
            ) from error


def _slice_order(
    given: str, names: list[str], headers: list[FileDataset], planes: list[list[Plane | None]]
) -> list[int]:
    """Order single-frame files along the normal; by InstanceNumber where positions lack."""
    check_one_person(given, headers)
    for name, header, own in zip(names, headers, planes, strict=True):
        if len(own) > 1:
            raise BadImageError(
                f"{name}: a series must consist of single-frame files, got a multi-frame one; give "
                "that file alone."
            )
        size, first = (header.get("Rows"), header.get("Columns")), headers[0]
        if size != (first.get("Rows"), first.get("Columns")):
            raise BadImageError(
                f"{name}: slices of a series must be of one size, got {size[0]} x {size[1]} after "
                f"{first.get('Rows')} x {first.get('Columns')}; give the sizes separately."
            )
    single = [p[0] for p in planes]
    located = [plane for plane in single if plane is not None]
    numbers = [_instance_number(header) for header in headers]
    if len(located) < len(names):
        logger.warning("%s: slices without a position, sorted by InstanceNumber.", given)
        return sorted(range(len(names)), key=lambda i: (numbers[i], names[i]))
    if not all(is_parallel(located[0], plane) for plane in located):
        raise BadImageError(
            f"{given}: slices of a series must be parallel, got several orientations; give the "
            "files of each orientation separately."
        )
    spacings = [spacing for spacing in map(pixel_spacing, headers) if spacing is not None]
    if not all(is_same_spacing(spacings[0], spacing) for spacing in spacings):
        raise BadImageError(
            f"{given}: slices of a series must share their PixelSpacing, got several; give the "
            "files of each spacing separately."
        )
    normal = located[0].normal
    return sorted(
        range(len(names)),
        key=lambda i: (round(float(located[i].position @ normal), 3), numbers[i], names[i]),
    )


def _instance_number(header: FileDataset) -> int:
    try:
        return int(header.get("InstanceNumber") or 0)
    except (TypeError, ValueError):
        return 0


def _report_places(given: str, planes: list[Plane]) -> None:
    """Say where one affine cannot place slices or frames, which are in order here."""
    gaps = position_gaps(planes)
    repeated = len(planes) - 1 - gaps.size
    if repeated:
        logger.warning("%s: %d slices repeat a position.", given, repeated)
    if gaps.size:
        missing = int(np.maximum(np.rint(gaps / np.median(gaps)) - 1, 0).sum())
        if missing:
            logger.warning("%s: %d slices are missing between others.", given, missing)
    steps = np.diff([float(plane.position @ planes[0].normal) for plane in planes])
    if not all(is_parallel(planes[0], plane) for plane in planes):
        logger.warning("%s: frames have several directions, its affine is of the first.", given)
    elif not repeated and steps.min() < 0 < steps.max():
        logger.warning("%s: frames lie in no order, its affine is of the first and last.", given)


def _affine(img: DicomImage, frames: list[int] | None) -> FloatArray:
    """Return the affine of an image, or of some of its frames."""
    if img.planes:
        planes = img.planes if frames is None else [img.planes[i] for i in frames]
        return stack_affine(planes, slice_distance(img.headers[0]))
    return flat_affine(pixel_spacing(img.headers[0]))


def _check_alike(img: DicomImage, slices: list[StoredPixels]) -> None:
    kinds = {(s.is_inverted, s.frames.shape[-1], s.frames.dtype.name) for s in slices}
    if len(kinds) > 1:
        raise BadImageError(
            f"{img.name}: slices of a series must share photometric interpretation and pixel type, "
            f"got {len(kinds)} kinds; give the kinds separately."
        )


def _common_range(slices: list[StoredPixels]) -> tuple[float, float]:
    ranges = {s.declared for s in slices if np.isfinite(s.declared).all()}
    is_shared = len(ranges) == 1 and all(np.isfinite(s.declared).all() for s in slices)
    return ranges.pop() if is_shared else (np.nan, np.nan)

"""Writes enlarged images as derived DICOM objects beside their sources, as a MONAI writer."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.data import ImageWriter
from monai.utils import MetaKeys, convert_to_numpy
from numpy.typing import NDArray

from monai_sr.core import (
    OutputError,
    PathLike,
    SRError,
    atomic_file,
    atomic_folder,
    get_logger,
    to_integers,
)
from monai_sr.formats.dicom.deidentify import deidentify
from monai_sr.formats.dicom.derived import MadeSlice, keep_lossy_history, mark_derived
from monai_sr.formats.dicom.files import (
    DAMAGE_ERRORS,
    name_representations,
    open_dicom,
    quiet_pydicom,
)
from monai_sr.formats.dicom.geometry import rescale_geometry
from monai_sr.formats.dicom.meaning import are_counts
from monai_sr.formats.dicom.more_slices import MoreSlices
from monai_sr.formats.dicom.padding import keep_padding, no_measurements
from monai_sr.formats.dicom.pixel_module import (
    check_compression,
    check_size,
    compress,
    replace_pixels,
    swap_to_little_endian,
)
from monai_sr.formats.dicom.pixels import decode, stored_range
from monai_sr.formats.dicom.quantities import in_frames
from monai_sr.formats.facts import Facts
from monai_sr.formats.identity import check_unchanged
from monai_sr.formats.stored import check_restored, in_rows, provenance_of
from monai_sr.geometry import scaled_affine

logger = get_logger(__name__)

_COUNTS_NOTE = "values are counts per pixel of the source"
# Shares of a source pixel: far below what is measured, far above what DS tags round.
_AFFINE_TOLERANCE = 1e-3


class DicomWriter(ImageWriter):
    """Write stored values with the tags of their source files, as ``SaveImage`` uses writers.

    One source file becomes one file, multi-frame objects stay multi-frame. The files of a series
    become a folder with ``slice_0001.dcm`` ... in slice order, of an even one as many as the result
    has slices. The result appears whole or not at all.

    Args:
        output_dtype: unused; the source's pixel module decides.
        compression: "none" (Explicit VR Little Endian), "rle", "jpegls" or "jpeg2000", lossless.
        deidentify: remove the patient's identity, see ``dicom_deidentify``.
        deidentify_key: secret of the hashes that replace UIDs.
        kwargs: unused; present in MONAI's interface.

    Raises:
        OptionError: there is no such compression.
    """

    def __init__(
        self,
        output_dtype: Any = None,
        *,
        compression: str = "none",
        deidentify: bool = False,
        deidentify_key: bytes = b"",
        **kwargs: Any,
    ) -> None:
        super().__init__(output_dtype=output_dtype, **kwargs)  # type: ignore[no-untyped-call]
        check_compression(compression)
        self.compression = compression
        self.deidentify = deidentify
        self.deidentify_key = deidentify_key
        self._data: NDArray[Any]
        self._meta: dict[str, Any] = {}
        self._volume = ""
        self._more: MoreSlices | None = None
        self._noted: set[str] = set()

    def set_data_array(self, data_array: Any, channel_dim: int | None = 0, **kwargs: Any) -> None:
        """Take the image.

        Shape: (C, X, Y) or (C, X, Y, Z); stored values. Floats are rounded, all are clipped.

        Args:
            data_array: array or tensor.
            channel_dim: where the channels are; None for a gray image without such an axis.
            kwargs: unused; present in MONAI's interface.
        """
        data: NDArray[Any] = convert_to_numpy(data_array)
        self._data = data[None] if channel_dim is None else np.moveaxis(data, channel_dim, 0)

    def set_metadata(self, meta_dict: Mapping[str, Any] | None, **options: Any) -> None:
        """Take the metadata of the package's data contract.

        Args:
            meta_dict: needs fact ``files``, ``affine`` and ``original_affine``; fact ``provenance``
                goes into the tags.
            options: unused, the image is never resampled here; present in MONAI's interface.
        """
        self._meta = dict(meta_dict or {})
        check_restored(self._meta)

    def write(self, filename: PathLike, verbose: bool = False, **kwargs: Any) -> None:
        """Write one file, or a folder for a series (``.dcm`` at its end is left out).

        Args:
            filename: the final name.
            verbose: let MONAI log the name.
            kwargs: unused; present in MONAI's interface.

        Raises:
            OutputError: the image does not belong to the sources, is too large or no number
                (NaN), or the name cannot be written.
            BadImageError: a source file has become unreadable.
        """
        super().write(filename, verbose=verbose)
        if Facts(self._meta).format != "dicom" or not Facts(self._meta).knows("files"):
            raise OutputError(
                f"{filename}: DICOM output needs a DICOM input, got an image of another origin; "
                "write it as NIfTI or PNG, or load it with DicomReader."
            )
        sources = Facts(self._meta).files
        frames = in_frames(self._data, Facts(self._meta))
        self._volume, self._more, self._noted = "", None, set()
        # A result that appears with its map is first written elsewhere.
        name = Facts(self._meta).output or filename
        if len(sources) == 1:
            with atomic_file(filename) as temporary:
                self._write_one(name, temporary, sources[0], frames)
                check_unchanged(Facts(self._meta).input)
            return
        if len(frames) < len(sources):
            raise OutputError(
                f"{filename}: a series needs one slice per source file, got {len(frames)} slices "
                f"for {len(sources)} files; keep all slices or write NIfTI."
            )
        if len(frames) > len(sources):
            self._more = MoreSlices(name, sources, len(frames))
            sources = [sources[i] for i in self._more.nearest]
        first = open_dicom(sources[0], stop_before_pixels=True).get("SOPInstanceUID")
        self._volume = str(first or "series")
        folder = Path(filename)
        folder = folder.with_suffix("") if folder.suffix.lower() == ".dcm" else folder
        with atomic_folder(folder) as temporary:
            for i, (source, frame) in enumerate(zip(sources, frames, strict=True)):
                path = temporary / f"slice_{i + 1:04d}.dcm"
                self._write_one(name, path, source, frame[None], i)
            check_unchanged(Facts(self._meta).input)

    def _write_one(
        self, name: PathLike, path: Path, source: str, frames: NDArray[Any], index: int = 0
    ) -> None:
        dataset = open_dicom(source)
        try:
            with quiet_pydicom():
                self._fill(name, dataset, frames, source, index)
                name_representations(dataset)
                dataset.preamble = b"\0" * 128  # the source's may be of another format (PS3.10 7.1)
                pydicom.dcmwrite(
                    path, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True
                )
        except SRError:
            raise
        except DAMAGE_ERRORS as error:
            raise OutputError(
                f"{name}: tags of the source must be valid DICOM to be copied, got an invalid one "
                f"in {os.path.basename(source)}; repair that file or write NIfTI."
            ) from error

    def _fill(
        self,
        name: PathLike,
        dataset: pydicom.FileDataset,
        frames: NDArray[Any],
        source: str,
        index: int,
    ) -> None:
        dtype = Facts(self._meta).dtype
        check_size(name, frames.shape, dtype.itemsize)
        scale = self._scale(name, dataset, frames)
        if dtype.kind == "f":
            values = frames.astype(dtype)
        else:
            values = to_integers(frames, dtype, self._storable(dataset, index), name)
        if values.shape[-1] == 1:
            values = in_rows(values[..., 0])[..., None]
        if no_measurements(dataset, dtype):
            values = keep_padding(values, decode(dataset, source))
        keep_lossy_history(dataset, round(values.nbytes / (scale[0] * scale[1])))
        swap_to_little_endian(dataset)
        note = rescale_geometry(dataset, scale)
        if note and note not in self._noted:
            self._noted.add(note)
            logger.info("%s: %s", name, note)
        if are_counts(dataset):
            if index == 0:
                logger.warning(
                    "%s: holds counts per pixel of the source, whose sum grows with the number of "
                    "pixels; divide by %g for counts per pixel of the result",
                    name, scale[0] * scale[1],
                )  # fmt: skip
            note = ", ".join(filter(None, (note, _COUNTS_NOTE)))
        made = None
        if self._more is not None:
            self._more.adapt(dataset, index, scale)
            made = MadeSlice(self._more.factor, self._more.number(index))
        replace_pixels(dataset, values)
        provenance = provenance_of(self._meta)
        if self.deidentify:
            deidentify(dataset, name, self.deidentify_key)
        mark_derived(dataset, provenance, scale, volume=self._volume, note=note, made=made)
        compress(dataset, self.compression, name)

    def _storable(self, dataset: pydicom.FileDataset, index: int) -> Sequence[float]:
        """Return the least and greatest value that the file of a slice can store."""
        facts = Facts(self._meta)
        if facts.knows("slice_storable"):
            source = index if self._more is None else self._more.nearest[index]
            own: list[float] = facts.slice_storable[source].tolist()
            return own
        return facts.storable.tolist() if facts.knows("storable") else stored_range(dataset)

    def _scale(
        self, name: PathLike, dataset: pydicom.FileDataset, frames: NDArray[Any]
    ) -> tuple[float, float]:
        """Find the enlargement and refuse images that do not cover their source's field."""
        count = max(int(dataset.get("NumberOfFrames") or 1), 1)
        scale = (frames.shape[2] / int(dataset.Columns), frames.shape[1] / int(dataset.Rows))
        # The inferer keeps the source's affine: it enlarges "original_affine" with the image.
        facts = Facts(self._meta)
        before = self._meta.get(MetaKeys.ORIGINAL_AFFINE)
        before = facts.source_affine if facts.knows("source_affine") else before
        after = self._meta.get(MetaKeys.AFFINE)
        is_same_field = count == len(frames)
        if is_same_field and before is not None and after is not None:
            across = 1.0 if self._more is None else self._more.factor
            expected = scaled_affine(convert_to_numpy(before), (*scale, across))
            pixel = np.linalg.norm(expected[:3, :2], axis=0).min()
            shift = np.abs(convert_to_numpy(after)[:3] - expected[:3]).max()
            is_same_field = bool(shift <= _AFFINE_TOLERANCE * pixel)
        if not is_same_field:
            raise OutputError(
                f"{name}: DICOM output must cover all of its source, got a cropped, turned or "
                "resampled image; write it as NIfTI."
            )
        return scale

"""Reads NRRD as the raw values that the file stores, with their place in space.

NRRD 5, https://teem.sourceforge.net/nrrd/format.html (encodings, detached headers).
"""

import bz2
import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError, PathLike, check_memory, exact_float, reading
from monai_sr.formats.axes import channels_first
from monai_sr.formats.facts import image_meta
from monai_sr.formats.meaning import AUTO, LABEL, PHASE, Meaning, decided
from monai_sr.formats.nifti.meaning import meaning_of_colors, nifti_meaning, nifti_turn
from monai_sr.formats.nrrd.format import Nrrd
from monai_sr.formats.nrrd.header import GZIPS, TEXTS, NrrdHeader, read_header
from monai_sr.formats.stored import StoredReader, check_samples, holes_of_infinity, single_path
from monai_sr.geometry import slice_axis

_SLACK = 2**24  # bytes that may follow the samples of a packed file


@dataclass(frozen=True)
class NrrdImage:
    """An NRRD file in memory; pixels in the order of the file's axes."""

    header: NrrdHeader
    pixels: npt.NDArray[Any]


class NrrdReader(StoredReader):
    """Read one NRRD file as channel-first raw values with its geometry.

    Axes that do not lie in space (colors, components of vectors, times, lists) become channels. A
    volume with a single last slice is a 2D image. World coordinates are RAS+ in the file's unit.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.

    Shape: (X, Y, Z) -> (1, X, Y, Z); (3, X, Y) of colors -> (3, X, Y); float32, or float64 for
    wide types.
    """

    form = Nrrd()

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> NrrdImage:
        """Decode the whole file.

        Args:
            data: one path; of a detached header that of the header.
            **kwargs: options of MONAI's other readers, not used.

        Raises:
            BadImageError: missing, damaged, or values that cannot be used.
        """
        header = read_header(single_path(data))
        check_memory(header.path, header.sizes, header.dtype.itemsize + 8)
        count = math.prod(header.sizes)
        stored = _samples(header, count)
        pixels = holes_of_infinity(header.path, stored.reshape(header.sizes, order="F"))
        check_samples(header.path, pixels)
        return NrrdImage(header, pixels)

    def get_data(
        self, img: NrrdImage | Sequence[NrrdImage]
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return (C, X, Y[, Z]) stored values and the meta of the sample.

        Args:
            img: what :meth:`read` returned.
        """
        image = img if isinstance(img, NrrdImage) else img[0]
        header = image.header
        channels = channels_first(image.pixels, header.space_axes, header.other_axes[::-1])
        found = _meaning(header, channels) if self.kind == AUTO else None
        meaning = decided(self.kind, found, header.path, header.is_rgb)
        turn = None
        if meaning.kind == PHASE:
            turn = meaning.turn or nifti_turn(channels) or (np.nan, np.nan)
        meta = image_meta(
            files=[header.path],
            sr_format=Nrrd.name,
            affine=header.affine,
            spatial_shape=channels.shape[1:],
            dtype=channels.dtype,
            slice_axis=slice_axis(header.affine, channels.shape[1:]),
            declared=turn,
            is_rgb=header.is_rgb,
            unit_mm=header.unit_mm(),
            meaning=meaning,
        )
        return channels.astype(exact_float(channels.dtype), order="C"), meta


def _meaning(header: NrrdHeader, channels: npt.NDArray[Any]) -> Meaning | None:
    if header.is_rgb:
        return meaning_of_colors(header.path, channels)
    if header.is_segmentation:
        return Meaning(LABEL, "a segmentation of 3D Slicer")
    return nifti_meaning(header.path, 0, channels, (1.0, 0.0))


def _samples(header: NrrdHeader, count: int) -> npt.NDArray[Any]:
    """Return all samples in the order of the file, the fastest axis first."""
    path, files = header.path, header.data_files or (header.path,)
    there = sum(file.is_file() for file in files)
    if there < len(files):
        raise BadImageError(
            f"{path}: its samples must lie beside it, got {there} of {len(files)} data files; copy "
            "all of them."
        )
    is_text = header.encoding in TEXTS
    needed = count * header.dtype.itemsize
    found = bytearray()
    numbers: list[npt.NDArray[Any]] = []
    try:
        for file in files:
            left = needed - len(found) if len(files) == 1 else needed // len(files)
            data = _bytes(header, file, left)
            if is_text:
                numbers.append(np.array(data.split(), dtype=header.dtype))
            else:
                found += data
    except (OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise BadImageError(
            f"{path}: must be a complete NRRD file, got damaged data; copy or download it again."
        ) from error
    if is_text:
        samples = np.concatenate(numbers)[:count]
    else:
        samples = np.frombuffer(found, header.dtype, len(found) // header.dtype.itemsize)
    if samples.size != count:
        raise BadImageError(
            f"{path}: must be a complete NRRD file, got too little data for sizes "
            f"{' x '.join(map(str, header.sizes))}; copy or download it again."
        )
    return samples.astype(header.dtype.newbyteorder("="), copy=False)


def _bytes(header: NrrdHeader, file: Path, count: int) -> bytes:
    """Return the samples of one file, unpacked; never much more than they may be."""
    skip = int(header.fields.get("byte skip", 0))
    with reading(file) as stream:
        if not header.data_files:
            stream.seek(header.offset)
        for _ in range(int(header.fields.get("line skip", 0))):
            stream.readline()
        if header.encoding in TEXTS:
            stream.seek(max(skip, 0), 1)
            return stream.read()
        if header.encoding == "raw":
            stream.seek(*((-count, 2) if skip == -1 else (max(skip, 0), 1)))
            return stream.read(count)
        plain: Any = (
            gzip.GzipFile(fileobj=stream) if header.encoding in GZIPS else bz2.BZ2File(stream)
        )
        with plain:
            unpacked: bytes = plain.read(count + max(skip, 0))
            plain.read(_SLACK)  # on to the checksum: a flipped bit would pass
    return unpacked[max(skip, 0) :]

"""What this package asks of a file format; :mod:`monai_sr.formats.registry` lists the formats.

A folder of this package has a file ``format.py`` with a class that derives from :class:`Format`.
Whoever needs to know something of a kind of files asks its format for that fact; nobody asks for
its name.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from monai_sr.core import HEAD_BYTES, head

if TYPE_CHECKING:
    import numpy.typing as npt
    from monai.data import ImageReader, ImageWriter

    from monai_sr.core import PathLike

NATURAL, XRAY, CT, MRI, SATELLITE = "natural", "xray", "ct", "mri", "satellite"

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib: with a header of gzip


@dataclass(frozen=True)
class Subject:
    """What an image shows, as far as its header tells.

    Attributes:
        domain: one of ``NATURAL``, ``XRAY``, ``CT``, ``MRI`` and ``SATELLITE``, "" where nobody
            knows.
        reason: why, in words that follow "since".
    """

    domain: str
    reason: str


UNKNOWN = Subject("", "nothing is known of it")


@dataclass(frozen=True)
class Head:
    """What tells the format of a file or folder.

    Attributes:
        path: the file or folder.
        data: its first bytes; none of a folder, and of what cannot be read.
        is_folder: whether it is one.
    """

    path: Path
    data: bytes = b""
    is_folder: bool = False

    @cached_property
    def unpacked(self) -> bytes:
        """The first bytes of what a gzip file holds, or of the file where it is none."""
        if not self.data.startswith(_GZIP):
            return self.data
        try:
            return zlib.decompressobj(_GZIP_WINDOW).decompress(self.data, HEAD_BYTES)
        except zlib.error:
            return b""


def head_of(path: PathLike) -> Head:
    """Read what tells the format of a file; again only where the file has changed."""
    path = Path(path)
    if path.is_dir():
        return Head(path, is_folder=True)
    try:
        return Head(path, head(path) if path.is_file() else b"")
    except OSError:  # its reader will say that it cannot be read
        return Head(path)


class Format:
    """A kind of files: how they are told, read, named and written, and what is true of them all.

    As it stands it is the format of images that came from no file of ours: arrays, and what
    MONAI's own readers load.

    Attributes:
        name: stands in the metadata of an image.
        title: what messages call an image of it.
        suffixes: of names that claim the format where the content tells nothing.
        pair_suffixes: of the two files that some of its images are kept in; they claim nothing.
        reader_name, writer_name, map_name: modules and classes of the reader and the writer, and
            the function that writes a map of uncertainty; imported when they are used.
        saved_as: extensions for which ``register`` gives MONAI's ``SaveImage`` the writer.
        side_limits: suffix of results -> longest side that they can have, and what else to do.
        counts_depth: whether that holds for the number of slices, too.
        is_folder: whether an image is a folder.
        has_series: whether several files may be the slices of one image.
        slices_are_files: whether each slice is a file, so that their axis is no choice.
        has_flat_volumes: whether a 2D image is one slice, across the last of three axes.
        grows_in_depth: whether volumes may be enlarged along three axes.
        lengths_in_mm: whether affines are of a body; others may be of the Earth, or of nothing.
        has_bands: whether channels are bands, as many as may be; others are gray, RGB or times.
        is_upward: whether the second axis points up when an image is looked at.
        has_window: whether its files may say through which window they are looked at.
        has_place: whether files may say where on the Earth they lie.
        is_streamed: whether images go through in windows where they are large.
    """

    name = ""
    title = "an image"
    suffixes: tuple[str, ...] = ()
    pair_suffixes: tuple[str, ...] = ()
    reader_name = ""
    writer_name = ""
    saved_as: tuple[str, ...] = ()
    map_name = ""
    side_limits: Mapping[str, tuple[int, str]] = {}
    counts_depth = True
    is_folder = False
    has_series = False
    slices_are_files = False
    has_flat_volumes = False
    grows_in_depth = True
    lengths_in_mm = True
    has_bands = False
    is_upward = False
    has_window = False
    has_place = False
    is_streamed = False

    def claims(self, head: Head) -> bool:
        """Tell whether the content is of this format."""
        return False

    def is_named(self, path: PathLike) -> bool:
        """Tell whether a name ends as those of this format do."""
        return os.fspath(path).lower().endswith(self.suffixes)

    def holds_image(self, path: Path) -> bool:
        """Tell whether there is an image in a file of this format."""
        return True

    def reader(self, kind: str) -> ImageReader:
        """Return a reader of MONAI's kind.

        Args:
            kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
        """
        reader: ImageReader = resolve_name(self.reader_name)(kind)
        return reader

    def writer(self, **options: Any) -> ImageWriter:
        """Return a writer of MONAI's kind.

        Args:
            **options: ``compression``, ``deidentify``, ``deidentify_key``; each format takes its
                own.
        """
        writer: ImageWriter = resolve_name(self.writer_name)(**options)
        return writer

    def write_map(
        self,
        result: Path,
        target: Path,
        half_width: npt.NDArray[Any],
        meta: Mapping[str, Any],
    ) -> None:
        """Write a map of uncertainty for a result, see :mod:`monai_sr.formats.naming`."""
        resolve_name(self.map_name)(result, target, half_width, meta)

    def subject(self, path: Path) -> Subject:
        """Tell by the header what an image shows.

        Raises:
            SRError, OSError, ValueError: it cannot be read.
        """
        return UNKNOWN

    def person(self, path: Path) -> str:
        """Return what is the same for all images of a person, a hash; "" where nothing tells."""
        return ""

    def window(self, path: Path) -> tuple[float, float] | None:
        """Return the stored values that a header wants shown black and white; None: it says none.

        Not of DICOM, whose windows may be tables (``has_window``).

        Raises:
            SRError, OSError, ImageFileError: it cannot be read.
        """
        return None

    def has_alpha(self, path: Path) -> bool:
        """Tell whether a band says how much the others count.

        Raises:
            SRError, OSError: it cannot be read.
        """
        return False

    def takes_kept(self, path: Path) -> bool:
        """Tell whether the reader takes the bytes that :mod:`monai_sr.core.contents` keeps."""
        return False

    def companions(self, path: Path) -> list[Path]:
        """Return the files beside one, or named in it, that decide on its image, too."""
        return []

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Return the suffix of results, see :func:`monai_sr.formats.output_suffix`."""
        return self.suffixes[0]

    def spacing_unit(self, path: Path) -> str:
        """Return the unit of lengths as names of results show it."""
        return "mm"

    def lifts_limit(self, path: PathLike) -> bool:
        """Tell whether results of a file may have longer sides than ``side_limits`` says."""
        return False

    def check_more_slices(self, source: str, meta: Mapping[str, Any]) -> None:
        """Refuse, before inference, more slices than an image has, where they cannot be written.

        Args:
            source: name of the input for messages.
            meta: its metadata.
        """
        return

    def check_result(
        self, source: str, meta: Mapping[str, Any], shape: Sequence[int], *, has_map: bool
    ) -> None:
        """Refuse, before inference, a result that cannot be written for other reasons.

        Args:
            source: name of the input for messages.
            meta: its metadata.
            shape: (C, X, Y[, Z]) of the result.
            has_map: whether a map of uncertainty will be written, too.
        """

"""OME-Zarr as a format: a folder with metadata and levels of resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_sr.formats.format import NATURAL, Format, Head, Subject

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = (2**31 - 1, "cut the image into parts")
_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json")


class OmeZarr(Format):
    """Images of microscopes as chunks in a folder (OME-NGFF 0.4 and 0.5)."""

    name = "ome-zarr"
    title = "OME-Zarr"
    suffixes = (".ome.zarr", ".zarr")
    reader_name = "monai_sr.formats.ome_zarr.reader:OmeZarrReader"
    writer_name = "monai_sr.formats.ome_zarr.writer:OmeZarrWriter"
    map_name = "monai_sr.formats.ome_zarr.writer:write_map"
    side_limits = {".ome.zarr": _LIMIT, ".zarr": _LIMIT}  # noqa: RUF012
    is_folder = True
    has_flat_volumes = True

    def claims(self, head: Head) -> bool:
        """Look for the metadata of Zarr; a folder named so was meant to have them."""
        return head.is_folder and (
            self.is_named(head.path) or any((head.path / name).is_file() for name in _FILES)
        )

    def subject(self, path: Path) -> Subject:
        """No header tells what a microscope saw."""
        return Subject(NATURAL, "it is OME-Zarr")

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Keep the suffix."""
        return ".ome.zarr" if path.name.lower().endswith(".ome.zarr") else ".zarr"

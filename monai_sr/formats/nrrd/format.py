"""NRRD as a format: header and samples in one file (.nrrd), or apart (.nhdr)."""

from contextlib import suppress
from pathlib import Path

from monai_sr.core import BadImageError
from monai_sr.formats.format import MRI, NATURAL, Format, Head, Subject
from monai_sr.formats.nrrd.header import MAGIC, read_header


class Nrrd(Format):
    """Nearly raw raster data, as 3D Slicer and ITK write them."""

    name = "nrrd"
    title = "NRRD"
    suffixes = (".nrrd", ".nhdr")
    reader_name = "monai_sr.formats.nrrd.reader:NrrdReader"
    writer_name = "monai_sr.formats.nrrd.writer:NrrdWriter"
    map_name = "monai_sr.formats.nrrd.writer:write_map"
    side_limits = {".nrrd": (2**31 - 1, "cut the image into parts")}  # noqa: RUF012
    has_flat_volumes = True

    def claims(self, head: Head) -> bool:
        """Look for the magic."""
        return head.data.startswith(MAGIC)

    def subject(self, path: Path) -> Subject:
        """Tell colors; of others the header names no modality, and most are of MR."""
        header = read_header(path)
        return (
            Subject(NATURAL, "it is NRRD in color") if header.is_rgb else Subject(MRI, "it is NRRD")
        )

    def companions(self, path: Path) -> list[Path]:
        """Return the files of the samples where they are apart."""
        with suppress(BadImageError, OSError):  # its reader will say so
            return list(read_header(path).data_files)
        return []

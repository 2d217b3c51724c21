"""Opt-in: put our readers and writers into MONAI's tables, for ``LoadImage`` and ``SaveImage``."""

from monai.data.image_writer import SUPPORTED_WRITERS, register_writer
from monai.transforms.io.array import SUPPORTED_READERS

from monai_sr.formats import DicomReader, DicomWriter, NiftiReader, RasterReader, RasterWriter

_READERS = {
    "monaisrrasterreader": RasterReader,
    "monaisrniftireader": NiftiReader,
    "monaisrdicomreader": DicomReader,
}
_WRITERS = {"dcm": DicomWriter, "tif": RasterWriter, "tiff": RasterWriter}


def register() -> None:
    """Let this process's ``LoadImage()`` prefer our readers, ``SaveImage`` write DICOM and TIFF.

    Importing monai-sr never does this by itself. A second call changes nothing. Our writers need
    samples that our readers have read, because they copy what the source file says. NIfTI stays
    with MONAI's own writer; name :class:`monai_sr.formats.NiftiWriter` to use ours.
    """
    for name, reader in _READERS.items():
        SUPPORTED_READERS.setdefault(name, reader)
    for extension, writer in _WRITERS.items():
        if writer not in SUPPORTED_WRITERS.get(extension, ()):
            register_writer(extension, writer)  # type: ignore[no-untyped-call]

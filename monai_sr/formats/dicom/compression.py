"""Compresses the pixels of a finished DICOM object without loss, with pydicom's encoders.

DICOM PS3.5 A.4. A lossless transfer syntax is another encoding of the same image: the UIDs stay.
"""

from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from monai_sr.core import PathLike, get_logger, unknown_name
from monai_sr.formats.dicom.files import DAMAGE_ERRORS

logger = get_logger(__name__)

# The encoder is named: with others installed, equal inputs would no longer give equal files.
_ENCODERS = {
    "rle": (RLELossless, "pylibjpeg"),
    "jpegls": (JPEGLSLossless, "pyjpegls"),
    "jpeg2000": (JPEG2000Lossless, "pylibjpeg"),
}
COMPRESSIONS = ("none", *_ENCODERS)
"""Names of the ways to store pixels; "none" is Explicit VR Little Endian."""


def check_compression(kind: str) -> None:
    """Refuse an unknown way to store pixels.

    Args:
        kind: one of ``COMPRESSIONS``.

    Raises:
        OptionError: it is none of them; the nearest is shown.
    """
    if kind not in COMPRESSIONS:
        raise unknown_name("compression", str(kind), COMPRESSIONS)


def compress(dataset: FileDataset, kind: str, name: PathLike) -> None:
    """Compress the pixel data in place; what an encoder cannot hold stays uncompressed.

    Floating-point pixels have no compressed form; RLE and JPEG-LS end at 16 bits, JPEG 2000 at 24.

    Args:
        dataset: a finished object with native pixels.
        kind: one of ``COMPRESSIONS``.
        name: what the warning calls it.
    """
    if kind == "none":
        return
    syntax, plugin = _ENCODERS[kind]
    photometric = dataset.PhotometricInterpretation
    if photometric == "RGB" and syntax == JPEG2000Lossless:
        dataset.PhotometricInterpretation = "YBR_RCT"  # the encoder's own transform, PS3.5 8.2.4
    try:
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    except DAMAGE_ERRORS as error:
        dataset.PhotometricInterpretation = photometric
        logger.warning("%s: %s cannot hold these pixels, left uncompressed.", name, syntax.name)
        logger.debug("encoder", exc_info=error)

"""Tells whether a given small image lies on the map where its reference does."""

from contextlib import suppress
from functools import cache
from pathlib import Path

from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from monai_sr.core import BadImageError, get_logger, ignored_warnings
from monai_sr.formats import open_raster
from monai_sr.geometry import has_transform, source_transform

logger = get_logger(__name__)

_MOST_SHIFTED_PX = 0.5  # of the reference; the estimate is within 0.16 of the truth
_MOST_APART_PX = 0.3  # of the small image: headers are rounded, and sides no multiples of the scale


def check_same_place(reference: Path, given: Path, scale: int) -> None:
    """Refuse a pair whose geotransforms or reference systems say that it is none.

    Of images without a geotransform nothing is known, and nothing is said.

    Args:
        reference: a file.
        given: its low-resolution image.
        scale: how many pixels of the reference are one of the given image along each axis.

    Raises:
        BadImageError: they lie at different places, or the pixel sizes do not fit.
    """
    large, small = _place(reference), _place(given)
    if large is None or small is None:
        return
    got = "another reference system" if large[0] and small[0] and large[0] != small[0] else ""
    for corner in ((0, 0), (small[2], small[3])):
        column, row = ~large[1] * (small[1] * corner)
        apart = max(abs(column / scale - corner[0]), abs(row / scale - corner[1]))
        if not got and apart > _MOST_APART_PX:
            got = f"a corner {apart:.3g} pixels away"
    if got:
        raise BadImageError(
            f"{given}: must lie where {reference} does, with pixels {scale} times as large, got "
            f"{got}; warp it onto that grid (gdalwarp -t_srs -te -tr), or remove a wrong "
            "georeference"
        )


@cache
def warn_of_shift(given: Path, shift: tuple[float, ...]) -> None:
    """Say once where the contents of a pair are shifted against each other: figures judge that.

    Args:
        given: low-resolution image.
        shift: of its content down and to the right, in pixels of the reference.
    """
    if max(map(abs, shift)) > _MOST_SHIFTED_PX:
        logger.warning(
            "%s: its content lies %+.1f rows and %+.1f columns (pixels of the large image) beside "
            "that of its reference, and figures judge that, too; register the pair", given, *shift,
        )  # fmt: skip


def _place(path: Path) -> tuple[CRS | None, Affine, int, int] | None:
    """Return reference system, geotransform, width and height; None without a geotransform."""
    with (
        suppress(RasterioError),  # no raster
        ignored_warnings(NotGeoreferencedWarning),
        open_raster(path) as dataset,
    ):
        transform = source_transform(dataset)
        if has_transform(transform):
            return dataset.crs, transform, dataset.width, dataset.height
    return None

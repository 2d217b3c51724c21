"""Reads GeoTIFF, PNG, JPEG, BMP, JPEG 2000 and other formats that GDAL opens, as stored values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core import PathLike, exact_float
from monai_sr.formats.facts import Facts, image_meta
from monai_sr.formats.meaning import PHASE
from monai_sr.formats.raster.format import Raster
from monai_sr.formats.raster.image import RasterImage
from monai_sr.formats.raster.source import RasterSource
from monai_sr.formats.stored import StoredReader, single_path


class RasterReader(StoredReader):
    """Read one raster file as channel-first stored values with its geometry.

    Palettes are expanded to gray, RGB or RGBA. An alpha band stays a channel of its own: it is
    enlarged like the others, and the writer marks it as alpha again; a transparent color of PNG
    becomes one. A photo is turned upright by its EXIF orientation unless it has a geotransform,
    which refers to the stored grid. Files of several frames or pages are refused.

    Args:
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`; "auto" asks the file, and
            palettes of classes then stay indices.

    Shape: file (H, W) with C bands -> (C, W, H) float32, or float64 for wide types.

    Example:
        >>> from skimage import data_dir
        >>> from monai_sr.formats.facts import Facts
        >>> reader = RasterReader()
        >>> pixels, meta = reader.get_data(reader.read(f"{data_dir}/camera.png"))
        >>> pixels.shape, pixels.dtype.name, Facts(meta).dtype
        ((1, 512, 512), 'float32', dtype('uint8'))
    """

    form = Raster()

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> RasterImage:
        """Decode the whole file, so that damage shows here and not later.

        Args:
            data: one path.
            **kwargs: passed to :func:`monai_sr.formats.raster.open.open_raster`.

        Returns:
            The raster for :meth:`get_data`.

        Raises:
            BadImageError: missing, empty, damaged, not an image, or pixels that cannot be used.
        """
        with RasterSource(single_path(data), self.kind, **kwargs) as source:
            source.warn()
            return source.read()

    def get_data(
        self, img: RasterImage | Sequence[RasterImage]
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return the pixels in MONAI's axis order and the meta dictionary.

        Args:
            img: what :meth:`read` returned.

        Returns:
            (C, W, H) stored values and the meta of the sample.
        """
        image = img if isinstance(img, RasterImage) else img[0]
        dtype = image.pixels.dtype
        pixels = image.pixels.transpose(0, 2, 1).astype(exact_float(dtype), order="C")
        partial = dtype.kind == "u" and image.bits < 8 * dtype.itemsize
        limits = (0.0, 2.0**image.bits - 1) if partial else None
        valid, declared = image.valid(), limits
        if image.meaning.kind == PHASE:
            declared = image.turn or (np.nan, np.nan)
        meta = image_meta(
            files=[image.path],
            sr_format="raster",
            affine=image.affine,
            spatial_shape=pixels.shape[1:],
            dtype=dtype,
            storable=limits,
            declared=declared,
            nodata=np.nan if image.nodata is None else image.nodata,
            fill=np.nan if image.fill is None else image.fill,
            valid=None if valid is None else valid.transpose(0, 2, 1),
            is_rgb=image.is_rgb,
            unit=image.unit,
            groups=image.groups,
            natural=image.natural,
            meaning=image.meaning,
        )
        Facts(meta).false_alpha = image.false_alpha
        return pixels, meta

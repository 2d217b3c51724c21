"""Opens a raster once and reads it whole or by windows, as stored values with what hides them.

GDAL raster data model: https://gdal.org/user/raster_data_model.html; band masks: GDAL RFC 15.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window

from monai_sr.core import (
    BadImageError,
    check_memory,
    exact_float,
    get_logger,
    ignored_warnings,
)
from monai_sr.formats.meaning import AUTO, CODES, INTENSITY, PHASE, check_asked, decided
from monai_sr.formats.raster.bands import (
    Nodata,
    color_table,
    looked_up,
    premultiplied_alpha,
    stored_bits,
    stored_colors,
    stored_nodata,
    straight,
)
from monai_sr.formats.raster.far import raise_if_far
from monai_sr.formats.raster.fields import band_groups, hidden_codes, natural_bounds
from monai_sr.formats.raster.image import RasterImage
from monai_sr.formats.raster.meaning import (
    RGBA,
    alpha_is_data,
    raster_meaning,
    warn_of_doubts,
)
from monai_sr.formats.raster.open import gdal_options, no_image, open_raster, warn_of_overviews
from monai_sr.formats.raster.parts import middle
from monai_sr.formats.raster.photos import check_single, orientation_of, upright
from monai_sr.formats.raster.pnm import white_of, whitened
from monai_sr.formats.raster.texts import warn_of_text
from monai_sr.formats.raster.turns import raster_turn
from monai_sr.formats.stored import check_pixels, holes_of_infinity
from monai_sr.geometry import has_transform, pixel_affine, source_transform, unit_name

logger = get_logger(__name__)

# The defaults return the rows that a cut PNG still has and zeros for the rest.
_STRICT = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES"}


class RasterSource:
    """An open raster. What a window gives is the same part of what the whole gives.

    Palettes are expanded to as few channels as show every color of the table: gray, RGB or RGBA.

    Args:
        path: the file.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`; "auto" asks the file. A
            palette of classes stays indices.
        **kwargs: passed to :func:`monai_sr.formats.raster.open.open_raster`.

    Attributes:
        dataset: the open file of rasterio, as stored: palette not expanded, photos not turned.
        shape: (C, H, W) of the whole as it is read.
        dtype: of the pixels as they are read.
        nodata, fill, bits, is_rgb, alpha, unit: as in :class:`RasterImage`.
        is_premultiplied: whether the file's colors are; those that are read are not.
        has_mask: whether a mask for all bands comes with the pixels.
        meaning, turn: as in :class:`RasterImage`.
        orientation: EXIF orientation, 1 for none; only upright rasters can be read by windows.
        affine: (4, 4) of pixel centers, see :func:`monai_sr.geometry.geotransform.pixel_affine`.

    Raises:
        BadImageError: no image, several, or one that cannot be used.
    """

    def __init__(self, path: Path, kind: str = INTENSITY, **kwargs: Any) -> None:
        self.path = path
        self._has_said_infinite = False
        check_asked(kind)
        with self._guarded():
            try:
                self.dataset = self._open(path, **kwargs)
            except RasterioIOError as error:
                raise_if_far(path, error)
                raise no_image(path) from error
            try:
                self._inspect(kind)
            except BaseException:
                self.dataset.close()
                raise

    def __enter__(self) -> RasterSource:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.dataset.close()

    def _open(self, path: Path, **kwargs: Any) -> Any:
        """Return the dataset that pixels come from; of an array it is none of a file's."""
        return open_raster(path, **kwargs)

    @property
    def is_upright(self) -> bool:
        """Whether windows can be read: photos turned by their EXIF orientation are read whole."""
        return self.orientation == 1

    def read(self, window: Window | None = None) -> RasterImage:
        """Read pixels and what hides them.

        Args:
            window: part inside the raster; None: all of it, if it fits into memory, and refused
                if no pixel is valid. Of a window the caller judges both.

        Raises:
            BadImageError: damaged, or pixels that cannot be used.
            ValueError: a window of a raster that is not upright.
        """
        if window is not None and not self.is_upright:
            raise ValueError(f"{self.path}: a turned photo has no windows.")
        if window is None:
            # The pixels, which of them are valid, and the reader's floats of them.
            item_bytes = self.dtype.itemsize + 1 + np.dtype(exact_float(self.dtype)).itemsize
            check_memory(self.path, self.shape, item_bytes, "cut it (gdal_translate -srcwin)")
        with self._guarded():
            image = self._read(window)
        return image

    def warn(self) -> None:
        """Say what was guessed on opening, and left out."""
        warn_of_overviews(self.path)
        with self._guarded():
            warn_of_doubts(self.path, self.dataset, self.meaning)
        warn_of_text(self.path, self.dataset)
        if self._white is not None:
            logger.warning(
                "%s: its white is %d: values are stretched to %d, which is white in PNG",
                self.path, self._white, np.iinfo(self.dtype).max,
            )  # fmt: skip
        given, used = self.dataset.transform, source_transform(self.dataset)
        if has_transform(given) and not has_transform(used) and self.dataset.driver != "PNM":
            logger.warning("%s: geotransform cannot be inverted and is left out", self.path)
        if self._false_alpha != self.alpha:
            logger.warning(
                "%s: band %d is tagged as alpha but has many levels: taken as data, such as near "
                "infrared, that hides nothing", self.path, self._false_alpha + 1,
            )  # fmt: skip

    def be_quiet(self) -> None:
        """Say nothing of the pixels, for another one that is open reads the same."""
        self._has_said_infinite = True

    @cached_property
    def alpha_hides(self) -> bool:
        """Whether some pixel of the whole raster is not transparent; reads as far as to one."""
        return self.alpha < 0 or any(bool(block.any()) for block in self._alpha_blocks())

    @cached_property
    def has_smooth_alpha(self) -> bool:
        """Whether alpha has more than two levels in the whole raster; reads as far as a third."""
        levels: set[float] = set()
        for block in self._alpha_blocks():
            levels.update(np.unique(block).tolist())
            if len(levels) > 2:
                return True
        return False

    def _alpha_blocks(self) -> Iterator[npt.NDArray[Any]]:
        if self.alpha < 0:
            return
        for _, block in self.dataset.block_windows(1):
            with self._guarded():
                stored = self._stored(block)
                mask = self.dataset.read_masks(1, window=block) if self._adds_alpha else None
            yield self._converted(stored, None if mask is None else mask != 0)[0][self.alpha]

    def _inspect(self, kind: str) -> None:
        dataset = self.dataset
        check_single(self.path, dataset)
        self.dtype = np.result_type(*dataset.dtypes)
        flags = [set(found) for found in dataset.mask_flag_enums]
        self.has_mask = MaskFlags.per_dataset in flags[0] and MaskFlags.alpha not in flags[0]
        # Both flags: one color is invalid, not the value of each band (transparency of PNG).
        has_color = self.has_mask and MaskFlags.nodata in flags[0]
        self._own_masks = [band for band, found in enumerate(flags) if not found]
        colors = stored_colors(dataset)
        count = len(colors)
        self._indexes = None if count == dataset.count else dataset.indexes[:count]
        values = (None,) * count if has_color else stored_nodata(self.path, dataset)[:count]
        self._nodata = Nodata.of(values, self.dtype, bool(self._own_masks))
        self.bits = stored_bits(dataset, self.dtype)
        self._table: npt.NDArray[np.uint8] | None = None
        self._adds_alpha = False
        found = raster_meaning(self.path, dataset) if kind == AUTO else None
        is_palette = colors[0] == ColorInterp.palette and set(colors[1:]) <= {ColorInterp.alpha}
        self.meaning = decided(kind, found, self.path, is_palette or colors[:3] == list(RGBA[:3]))
        is_phase = self.meaning.kind == PHASE
        self.turn = (self.meaning.turn or raster_turn(dataset)) if is_phase else None
        if is_palette and self.meaning.kind not in CODES:
            self._table = color_table(self.path, dataset, self._nodata.common)
            self._nodata = Nodata()
            self.dtype, self.bits, count = np.dtype(np.uint8), 8, self._table.shape[1]
            colors = list(RGBA[:count]) if count > 1 else [ColorInterp.gray]
        elif colors[0] == ColorInterp.palette:
            colors[0] = ColorInterp.gray
        elif has_color and dataset.driver == "PNG" and colors == list(RGBA[:3]):
            self._adds_alpha, self.has_mask, count = True, False, 4
            colors = list(RGBA)
        is_code = self.meaning.kind in CODES
        self._white = None if is_code else white_of(self.path, dataset)
        self.nodata, self.fill = self._nodata.common, self._nodata.fill
        are_codes = is_code or bool(self.meaning.bands)
        is_stored = count == dataset.count and self._table is None and not are_codes
        self._hidden = hidden_codes(dataset, middle, self.nodata) if is_stored else None
        self.is_rgb = colors[:3] == list(RGBA[:3])
        self.alpha = colors.index(ColorInterp.alpha) if ColorInterp.alpha in colors else -1
        self.is_premultiplied = premultiplied_alpha(dataset) >= 0
        may_be_data = self.alpha >= 0 and not self.is_premultiplied and count == dataset.count
        self._false_alpha = self.alpha
        if may_be_data and alpha_is_data(dataset, self.alpha):
            self.alpha = -1
        self._fields = band_groups(dataset, count, self.alpha), natural_bounds(dataset, count)
        self.unit = unit_name(dataset)
        transform = source_transform(dataset)
        self.affine = pixel_affine(transform)
        is_photo = not has_transform(transform)
        self.orientation = orientation_of(self.path, dataset) if is_photo else 1
        height, width = dataset.shape if self.orientation < 5 else dataset.shape[::-1]
        self.shape = (count, height, width)

    def _read(self, window: Window | None) -> RasterImage:
        stored = self._stored(window)
        reads_mask = self.has_mask or self._adds_alpha
        mask = self.dataset.read_masks(1, window=window) != 0 if reads_mask else None
        stored = self._nodata.settled(stored)
        own = self._nodata.own(stored)
        for band in self._own_masks:
            own = np.ones(stored.shape, dtype=bool) if own is None else own
            own[band] &= self.dataset.read_masks(band + 1, window=window) != 0
        if self._hidden is not None:
            own = self._hidden.valid(stored) & (True if own is None else own)
        pixels, mask = self._converted(stored, mask)
        finite = holes_of_infinity(self.path, pixels, self.nodata, is_said=self._has_said_infinite)
        self._has_said_infinite |= finite is not pixels
        pixels = finite
        if own is not None and pixels.dtype.kind == "f":
            pixels, own = np.where(own, pixels, pixels.dtype.type(np.nan)), None
        elif own is not None and self.meaning.kind in CODES:
            pixels = self._filled(pixels, own)
        self._check(pixels, mask, own, window is None)
        affine = self.affine.copy()
        if window is not None:
            affine[:, 3] = affine @ [window.col_off, window.row_off, 0, 1]
        elif not self.is_upright:
            pixels = upright(pixels, self.orientation)
            mask = None if mask is None else upright(mask[None], self.orientation)[0]
            own = None if own is None else upright(own, self.orientation)
        return RasterImage(
            path=self.path,
            pixels=pixels,
            affine=affine,
            nodata=self.nodata,
            bits=self.bits,
            is_rgb=self.is_rgb,
            alpha=self.alpha,
            mask=mask,
            fill=self.fill,
            alpha_hides=bool(pixels[self.alpha].any()) if window is None else self.alpha_hides,
            own=own,
            unit=self.unit,
            groups=self._fields[0],
            natural=self._fields[1],
            false_alpha=-1 if self._false_alpha == self.alpha else self._false_alpha,
            meaning=self.meaning,
            turn=self.turn,
        )

    def _stored(self, window: Window | None) -> npt.NDArray[Any]:
        """Read all bands; those of several types become the one that holds every value."""
        if len(set(self.dataset.dtypes)) == 1:
            stored: npt.NDArray[Any] = self.dataset.read(self._indexes, window=window)
            return stored
        bands = [self.dataset.read(band, window=window) for band in self.dataset.indexes]
        for band in bands:
            extreme = max(-int(band.min()), int(band.max())) if band.dtype.kind in "iu" else 0
            if self.dtype.kind == "f" and extreme > 2**53:
                raise BadImageError(
                    f"{self.path}: integers beside floats must lie within +-2^53, got "
                    f"{extreme:g}; convert to int32."
                )
        return np.stack([band.astype(self.dtype) for band in bands])

    def _filled(self, codes: npt.NDArray[Any], own: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Give what its own band alone hides the one value that hides it in the result."""
        if (own & (codes == self.fill)).any():
            raise BadImageError(
                f"{self.path}: bands of codes must hide pixels alike, or not have {self.fill:g}, "
                "the result's one nodata, as a code; enlarge each band alone (gdal_translate -b)."
            )
        return np.where(own, codes, codes.dtype.type(self.fill))

    def _converted(
        self, stored: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """Expand the palette, make the transparent color alpha, divide colors by alpha."""
        if self._table is not None:
            return looked_up(self.path, stored, self._table), mask
        if self._adds_alpha and mask is not None:
            opaque = np.where(mask, 2**self.bits - 1, 0)[None].astype(stored.dtype)
            return np.concatenate([stored, opaque]), None
        if self._white is not None:
            return whitened(stored, self._white), mask
        if self.is_premultiplied:
            return straight(stored, self.alpha, self.bits), mask
        return stored, mask

    def _check(
        self,
        pixels: npt.NDArray[Any],
        mask: npt.NDArray[np.bool_] | None,
        own: npt.NDArray[np.bool_] | None,
        is_whole: bool,
    ) -> None:
        hidden = [found for found in (mask, own) if found is not None]
        valid = np.logical_and(*hidden) if len(hidden) > 1 else next(iter(hidden), None)
        # NaN of floats needs no declaration: no sensor measures it.
        nodata = np.nan if self.nodata is None and pixels.dtype.kind == "f" else self.nodata
        remedy = "declare them (gdal_edit -a_nodata) or fill them"
        check_pixels(self.path, pixels, nodata, remedy, valid, is_whole=is_whole)
        if is_whole and valid is not None and not valid.any():
            raise BadImageError(
                f"{self.path}: must hold valid pixels, got only masked ones; leave it out or drop "
                "the mask."
            )

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Decode strictly, and turn what GDAL says into one line."""
        try:
            with (
                ignored_warnings(NotGeoreferencedWarning),
                rasterio.Env(**_STRICT, **gdal_options(self.path)),
            ):
                yield
        except (RasterioError, CPLE_BaseError) as error:
            raise_if_far(self.path, error)
            raise BadImageError(
                f"{self.path}: must be a complete raster image, got damaged or truncated data "
                f"({_reason(error)}); copy or download it again."
            ) from error
        except MemoryError as error:
            raise BadImageError(
                f"{self.path}: must fit into memory, got more pixels than that; "
                "cut it into parts (gdal_translate -srcwin)."
            ) from error


def _reason(error: BaseException) -> str:
    """Return GDAL's own words, on one line, without file names."""
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    return text.rsplit(": ", 1)[-1].rstrip(".")[:100]

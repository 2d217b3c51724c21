"""A raster, or a window of one, in memory, with what hides its pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.formats.meaning import AS_IT_IS, Meaning


@dataclass(frozen=True)
class RasterImage:
    """A raster, or a window of one, in memory.

    Shape: pixels (C, H, W), stored dtype; mask (H, W) and own (C, H, W), True where pixels are
    valid, None where all are. All upright. Colors are never premultiplied by alpha.

    Attributes:
        nodata: value that marks invalid pixels in every band, None for none.
        fill: value that invalid pixels get in the result and that it declares as nodata.
        alpha: index of the alpha channel, -1 for none.
        alpha_hides: False where alpha is 0 in the whole raster: then it hides nothing, for
            somebody meant the color to be seen.
        false_alpha: index of a band that is tagged so and is data, -1 for none.
        mask: of all bands.
        own: what each band declares for itself, by another nodata value or a mask of its own.
        unit: of the affine, see :func:`monai_sr.geometry.geotransform.unit_name`.
        groups, natural: see :mod:`monai_sr.formats.raster.meaning`.
        meaning: what the values of the whole raster are.
        turn: stored values where a turn of phase begins and ends, None where nobody knows.
    """

    path: Path
    pixels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    nodata: float | None
    bits: int
    is_rgb: bool
    alpha: int = -1
    mask: npt.NDArray[np.bool_] | None = None
    fill: float | None = None
    alpha_hides: bool = True
    own: npt.NDArray[np.bool_] | None = None
    unit: str = ""
    groups: tuple[int, ...] = ()
    natural: npt.NDArray[np.float64] | None = None
    meaning: Meaning = AS_IT_IS
    turn: tuple[float, float] | None = None
    false_alpha: int = -1

    def valid(self) -> npt.NDArray[np.bool_] | None:
        """Tell which pixels alpha and masks declare valid: color does not count under alpha 0.

        Returns:
            (C, H, W), or None where all are valid; ``nodata`` is not looked at.
        """
        result = np.ones(self.pixels.shape, dtype=bool)
        if self.alpha >= 0 and self.alpha_hides:
            result[:] = self.pixels[self.alpha] != 0
        if self.mask is not None:
            result &= self.mask
        if self.own is not None:
            result &= self.own
        if self.alpha >= 0:
            result[self.alpha] = True
        return None if result.all() else result

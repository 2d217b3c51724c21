"""Says of a raster what is asked before it is read."""

from dataclasses import dataclass
from pathlib import Path

from monai_sr.core import PathLike, once_in_folder
from monai_sr.formats.raster.meaning import is_on_map
from monai_sr.formats.raster.source import RasterSource


@dataclass(frozen=True)
class RasterFacts:
    """What is asked before a raster is read, see ``RasterSource``.

    Attributes:
        shape: (C, H, W) as it is read.
        is_upright: whether windows can be read.
        has_place: whether it says where on the Earth it lies.
        count: number of bands as stored.
        nodata: as stored; None for none.
        dtype: of the first band as stored.
    """

    shape: tuple[int, int, int]
    is_upright: bool
    has_place: bool
    count: int
    nodata: float | None
    dtype: str


@once_in_folder
def raster_facts(path: PathLike) -> RasterFacts:
    """Open a raster for a look at its header.

    Raises:
        BadImageError: no image, several, or one that cannot be used.
    """
    with RasterSource(Path(path)) as raster:
        dataset = raster.dataset
        return RasterFacts(
            raster.shape, raster.is_upright, is_on_map(dataset),
            dataset.count, dataset.nodata, dataset.dtypes[0],
        )  # fmt: skip

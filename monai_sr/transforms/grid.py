"""Decide for each image which axes are enlarged and how many samples the result has."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from torch import Tensor

from monai_sr.core import OptionError, get_logger
from monai_sr.formats import Facts, format_of_meta
from monai_sr.geometry import scaled_sizes, sizes_for_spacing, spacing_of, target_spacing
from monai_sr.transforms.checks import with_history

Spacing = float | Sequence[float | None] | None

logger = get_logger(__name__)


def enlarged_axes(meta: Mapping[str, Any], rank: int, network_dims: int = 2) -> tuple[int, ...]:
    """Return the spatial axes (from 0) that a network enlarges.

    Args:
        meta: of the image; its fact ``slice_axis`` is the axis of a volume's slices, else the last.
        rank: spatial axes of the image.
        network_dims: those of the network: 2 takes a volume slice by slice.
    """
    if rank == network_dims:
        return tuple(range(rank))
    axis = Facts(meta).slice_axis
    return tuple(a for a in range(rank) if a != (axis if axis >= 0 else rank - 1))


def planned_sizes(meta: Mapping[str, Any] | None, rank: int) -> list[int] | None:
    """Return what :class:`PlanGrid` has decided for an image or batch, None where it has not.

    Raises:
        OptionError: if the images of a batch are to become unlike.
    """
    found = np.atleast_2d(Facts(meta).sizes)
    if (found != found[:1]).any():
        raise OptionError(
            f"batch: its images must share their sizes, got {found.tolist()}; use batch_size 1"
        )
    return [int(n) for n in found[0, :rank]] if found.size else None


class SlicesMaker(Protocol):
    """What makes the slices of volumes thinner."""

    def knows(self, factor: float) -> bool:
        """Tell whether a network does it at this factor; else splines do."""
        ...


class PlanGrid(Transform):
    """Write fact ``sizes``, the sizes of the result, and fact ``slice_axis`` into the metadata.

    Shape: image (C, X, Y[, Z]) -> the same values.

    Args:
        scale: enlargement where no spacing is asked for.
        spacing: see :func:`monai_sr.geometry.target_grid.target_spacing`; None: by the scale.
        slice_axis: axis of a volume's slices; "auto": the thickest.
        spatial_dims: 2: volumes grow within their slices; 3: along all axes.
        slices: what makes slices thinner, see :class:`monai_sr.inferers.SliceRestorer`; None:
            bicubic interpolation, which adds no detail.
        tune: minutes for which ``slices`` is to learn from each volume: where it cannot, a warning
            says so.

    Raises:
        OptionError: if ``slice_axis`` or ``spatial_dims`` is none of these.
    """

    def __init__(
        self,
        scale: float,
        *,
        spacing: Spacing = None,
        slice_axis: int | str = "auto",
        spatial_dims: int = 2,
        slices: SlicesMaker | None = None,
        tune: float = 0.0,
    ) -> None:
        if slice_axis not in ("auto", 0, 1, 2) or isinstance(slice_axis, bool):
            raise OptionError(f"slice_axis: must be auto, 0, 1 or 2, got {slice_axis}")
        if spatial_dims not in (2, 3):
            raise OptionError(f"spatial_dims: must be 2 or 3, got {spatial_dims}")
        if spacing is not None:
            target_spacing(spacing, 2, ())  # what is no spacing for any image shows at once
        self.scale = scale
        self.spacing = spacing
        self.slice_axis = slice_axis
        self.spatial_dims = spatial_dims
        self.slices = slices
        self.tune = tune

    def __call__(self, image: Tensor) -> Tensor:
        """Plan one image; a plain tensor passes unchanged, if it needs no metadata.

        Raises:
            OptionError: if an option does not fit this image.
        """
        if not isinstance(image, MetaTensor):
            if self.spacing is not None:
                raise OptionError(
                    "spacing: needs an image that knows its own, got an array; pass a MetaTensor "
                    "or a path, or leave --spacing out"
                )
            return image
        # The caller's own metadata stay as they are.
        meta, sizes = dict(image.meta), list(image.shape[1:])
        name = str(meta.get("filename_or_obj", "image"))
        self._check_dims(name, meta, len(sizes))
        if self.slice_axis != "auto":
            self._choose_slices(name, meta, len(sizes))
        axes = enlarged_axes(meta, len(sizes), self.spatial_dims)
        if self.spacing is None:
            planned = scaled_sizes(sizes, self.scale, axes) if _is_number(self.scale) else None
        else:
            factor, unit = _unit(name, meta)
            present = [factor * s for s in spacing_of(meta["affine"], len(sizes))]
            target = target_spacing(self.spacing, len(sizes), axes)
            knows = None if self.slices is None else self.slices.knows
            planned = sizes_for_spacing(name, sizes, present, target, axes, unit, knows)
            self._check_slices(name, meta, sizes, planned)
        if self.tune:
            self._check_tuned(name, meta, sizes, planned or sizes)
        if planned is not None:
            Facts(meta).sizes = np.array(planned)
        return with_history(MetaTensor(image.as_tensor(), meta=meta), image)

    def _check_dims(self, name: str, meta: Mapping[str, Any], rank: int) -> None:
        if self.spatial_dims == 2:
            return
        form = format_of_meta(meta)
        if not form.grows_in_depth or rank != 3:
            kind = f"a DICOM image of {rank} axes" if form.slices_are_files else "2D"
            raise OptionError(
                f"{name}: must be a NIfTI volume to grow along three axes, got {kind}; "
                "convert the series to NIfTI, or use --spatial_dims 2"
            )

    @staticmethod
    def _check_slices(
        name: str, meta: Mapping[str, Any], sizes: Sequence[int], planned: Sequence[int]
    ) -> None:
        own = Facts(meta).slice_axis
        if len(sizes) == 3 and planned[own] != sizes[own]:
            format_of_meta(meta).check_more_slices(name, meta)

    def _check_tuned(
        self, name: str, meta: Mapping[str, Any], sizes: Sequence[int], planned: Sequence[int]
    ) -> None:
        own = Facts(meta).slice_axis
        factor = planned[own] / sizes[own] if len(sizes) == 3 else 1.0
        if self.slices is None or not self.slices.knows(factor):
            logger.warning(
                "%s: --tune changes nothing, for no network makes its slices thinner; mri_sr "
                "and ct_sr do, where that axis is made finer, see docs/how-to/thick-slices.md",
                name,
            )  # fmt: skip

    def _choose_slices(self, name: str, meta: dict[str, Any], rank: int) -> None:
        form, own = format_of_meta(meta), Facts(meta).slice_axis
        if form.slices_are_files and rank == 3 and self.slice_axis != own:
            raise OptionError(
                f"{name}: slice_axis must be {own}, the axis of a DICOM series' files, "
                f"got {self.slice_axis}; leave --slice_axis out, or convert the series to NIfTI"
            )
        if form.has_flat_volumes and rank == 2 and self.slice_axis != 2:
            raise OptionError(
                f"{name}: is one slice across axis 2, got slice_axis {self.slice_axis}; "
                "leave --slice_axis out"
            )
        if rank == 3:
            Facts(meta).slice_axis = self.slice_axis


def _unit(name: str, meta: Mapping[str, Any]) -> tuple[float, str]:
    """Return the unit in which spacing is asked for, and how many make one of the affine's."""
    if not format_of_meta(meta).lengths_in_mm:
        unit = Facts(meta).unit
        if not unit:
            raise OptionError(
                f"{name}: spacing needs a file that has a geotransform, got a raster without; use "
                "--scale, or georeference it (gdalwarp, for control points)"
            )
        return 1.0, unit
    # MONAI's own readers give mm.
    unit_mm = Facts(meta).unit_mm
    if not unit_mm > 0:
        raise OptionError(
            f"{name}: spacing needs a file that states lengths in mm, got one that states "
            "none or none that can be trusted; use --scale, or mend its header"
        )
    return unit_mm, "mm"


def _is_number(value: object) -> bool:
    # What is none is refused by the inferer, once for all files.
    return isinstance(value, int | float) and value > 0


class PlanGridd(MapTransform):
    """Dictionary version of :class:`PlanGrid`."""

    def __init__(
        self, keys: KeysCollection, grid: PlanGrid, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.grid = grid

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Plan every key."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.grid(torch.as_tensor(d[key]) if _is_array(d[key]) else d[key])
        return d


def _is_array(image: object) -> bool:
    return isinstance(image, np.ndarray)

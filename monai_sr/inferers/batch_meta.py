"""What the metadata of one image, or of a batch of them, says to an inferer, and of its result."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.formats import CODES, PHASE, Facts, kind_of, with_facts
from monai_sr.geometry import scaled_affine
from monai_sr.transforms import circle_points, covering, joined, tiles_of, turns_of


def has_rgb(meta: dict[str, Any] | None, image: Tensor) -> bool:
    """Tell whether the first three bands are colors: as the file declares, else by their number."""
    declared = _of_all(meta, Facts.is_rgb.key)
    return image.shape[1] in (3, 4) if declared is None else bool(declared)


def slice_axis(meta: dict[str, Any] | None) -> int:
    """Return the spatial axis along which slices lie: as the file declares, else the last."""
    key = Facts.slice_axis.key
    axis = _alike(key, Facts.slice_axis.of_all(meta)) if meta and key in meta else -1
    return 2 if axis < 0 else axis


def mosaic_side(meta: dict[str, Any] | None) -> int:
    """Return how many images lie beside each other along both axes of a mosaic, 1 for none."""
    return _of_all(meta, Facts.mosaic.key) or 1


def limits(
    meta: dict[str, Any] | None, clip: tuple[float, float] | None, image: Tensor
) -> Tensor | None:
    """Return (N, C, 2): the smallest and largest value that each band can store.

    The metadata hold one pair, one for each band, or for each image one for each band.
    """
    facts = Facts(meta)
    found = facts.clip if facts.knows("clip") else clip
    return None if found is None else _of_images(found, image)


def natural_range(meta: dict[str, Any] | None, image: Tensor) -> Tensor | None:
    """Return (N, C, 2): what each band's values are by their nature; None where they are open."""
    facts = Facts(meta)
    found = facts.unit_natural
    return None if np.isinf(found).all() else _of_images(found, image)


def _of_images(found: Any, image: Tensor) -> Tensor:
    pairs = torch.as_tensor(np.asarray(found, dtype=np.float64))
    pairs = pairs.reshape(-1, *pairs.shape[-2:]) if pairs.ndim > 1 else pairs.reshape(1, 1, 2)
    return pairs.to(image.device, torch.float32).expand(*image.shape[:2], 2)


def enlarged_meta(meta: dict[str, Any], factors: list[float], scale: float) -> dict[str, Any]:
    """Return metadata for an image enlarged by ``factors`` along its spatial axes.

    ``affine`` and ``original_affine`` (one matrix or a batch of them) follow the rule of
    :func:`monai_sr.geometry.scaled_affine`, ``spatial_shape`` the sizes; the source's own affine
    stays as fact ``source_affine``. (With the old ``original_affine`` MONAI's ``SaveImage``
    would shrink the result again.)
    """
    meta = dict(meta)
    facts = Facts(meta)
    del facts.sizes  # they are reached
    if "original_affine" in meta and not facts.knows("source_affine"):
        facts.source_affine = meta["original_affine"]
    for key in ("affine", "original_affine"):
        if key in meta:
            matrices = np.asarray(meta[key], dtype=np.float64)
            flat = matrices.reshape(-1, *matrices.shape[-2:])
            scaled = np.stack([_scaled_any(m, factors) for m in flat])
            meta[key] = torch.as_tensor(scaled.reshape(matrices.shape))
    if "spatial_shape" in meta:
        shape = np.asarray(meta["spatial_shape"])
        # A slice taken from a volume still carries the shape of the volume.
        per_axis = np.ones(shape.shape[-1])
        per_axis[: len(factors)] = factors[: len(per_axis)]
        meta["spatial_shape"] = np.rint(shape * per_axis).astype(int)
    facts.scale = scale
    return meta


def with_meta(values: Tensor, like: Tensor, meta: dict[str, Any]) -> MetaTensor:
    """Return a MetaTensor of new values and metadata, a batch if ``like`` is one."""
    result = MetaTensor(values)
    # Afterwards: the constructor does not take the metadata of a batch.
    result.meta, result.is_batch = meta, getattr(like, "is_batch", False)
    return result


def _of_all(meta: dict[str, Any] | None, key: str) -> int | None:
    """Return what the images of a batch say alike; None where they say nothing."""
    return None if meta is None or key not in meta else _alike(key, meta[key])


def _alike(key: str, found: Any) -> int:
    values = np.unique(np.asarray(found))
    if values.size > 1:
        raise OptionError(
            f"batch: its images must share {key}, got {values.tolist()}; use batch_size 1"
        )
    return int(values[0])


def _scaled_any(affine: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Scale an affine of any rank that MONAI allows: (3, 3) for images in a plane, too."""
    rank = len(affine) - 1
    scaled = scaled_affine(to_affine_nd(3, affine), factors[:rank])
    return np.asarray(to_affine_nd(rank, scaled))


Grow = Callable[[Tensor, "dict[str, Any] | None", list[int]], Tensor]

_UNBOUNDED = np.array([-np.inf, np.inf])


def circle_meta(meta: dict[str, Any] | None) -> dict[str, Any]:
    """Return the metadata of phases as those of their cosines and sines."""
    return with_facts(meta, clip=_UNBOUNDED, unit_natural=_UNBOUNDED, is_rgb=False)


def enlarged_by_kind(
    image: Tensor, meta: dict[str, Any] | None, sizes: Sequence[int], grow: Grow
) -> Tensor:
    """Enlarge a batch.

    Shape: (N, C, X, Y[, Z]) -> (N, C, *sizes).

    Args:
        image: the batch; phases in turns.
        meta: what its images say alike.
        sizes: of the result.
        grow: enlarges a batch of measured values to some sizes.

    Raises:
        OptionError: a mosaic cannot have these sizes, or stands beside other images.
    """
    if kind_of(meta) in CODES:
        codes: Tensor = covering(image, sizes)
        return codes
    side = mosaic_side(meta)
    if side > 1:
        if any(n % side for n in sizes[:2]):
            raise OptionError(
                f"scale: a mosaic of {side} x {side} images needs sizes that these divide, got "
                f"{sizes[0]} x {sizes[1]}; choose --scale 2, 3 or 4, or convert it (dcm2niix)"
            )
        own = with_facts(meta, mosaic=1)
        for name in ("clip", "unit_natural"):
            pairs = getattr(Facts(own), name) if Facts(own).knows(name) else _UNBOUNDED
            if pairs.ndim == 3:  # of each image of a batch
                setattr(Facts(own), name, np.repeat(pairs, side**2, axis=0))
        each = [sizes[0] // side, sizes[1] // side, *sizes[2:]]
        return joined(enlarged_by_kind(tiles_of(image, side), own, each, grow), side)
    if kind_of(meta) == PHASE:
        return turns_of(grow(circle_points(image), circle_meta(meta), list(sizes)))
    return grow(image, meta, list(sizes))

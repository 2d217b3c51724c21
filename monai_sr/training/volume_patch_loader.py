"""Read volumes for training, and cut three-dimensional patches from them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_sr.core import BadImageError, PathLike
from monai_sr.formats import AUTO, Facts, check_asked
from monai_sr.functional import downsample
from monai_sr.training.measured_pairs import (
    MeasuredImages,
    TrainingPair,
    check_likeness,
    check_sizes,
    register,
)
from monai_sr.training.patch_loader import PatchLoader, _Pool
from monai_sr.training.training_arrays import load_amounts
from monai_sr.training.training_images import Source, shown_name
from monai_sr.transforms import ScaleToUnit, declared_range

_TURNS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


class ReadTrainingVolume:
    """Read a volume of one value a voxel as float32 in [0, 1], mapped as inference maps it.

    Args:
        smallest_side: axes with fewer slices, as those of thick-slice scans, are continued by
            mirroring, so that cubes of this side can be cut.
        lr_dir: folder of measured small volumes, as of
            :class:`monai_sr.training.ReadTrainingImage`; these are not continued. Along axes in
            which they are as fine as the large ones (thick slices) they are shrunk by bicubic.
        scales: with ``lr_dir``, the one factor between both, along every axis.
        kind: what values mean: by each file, or "intensity", see
            :func:`monai_sr.training.training_arrays.load_amounts`.
    """

    def __init__(
        self,
        smallest_side: int = 1,
        lr_dir: PathLike | None = None,
        scales: Sequence[int] = (),
        kind: str = AUTO,
    ) -> None:
        check_asked(kind)
        self.smallest_side = smallest_side
        self.kind = kind
        self.measured = None if lr_dir is None else MeasuredImages(lr_dir, scales)

    def __call__(self, file: Source | PathLike) -> np.ndarray | TrainingPair:
        """Return (1, X, Y, Z) float32.

        Raises:
            BadImageError: if the file is no volume, has several values a voxel, or is not in line
                with its small volume.
        """
        image = self._load(file)
        if self.measured is not None:
            name, scale = shown_name(file), self.measured.scale
            low, _ = ScaleToUnit()(self._load(self.measured.partner(file)))
            shared = None if declared_range(image.meta) else Facts(low.meta).range.tolist()
            hr, lr = _halved(ScaleToUnit(shared)(image)[0].numpy(), low.numpy(), scale)
            check_sizes(hr.shape[1:], lr.shape[1:], scale, name)
            hr, lr = register(hr, lr, scale, name)
            check_likeness(hr, lr, scale, name)
            return TrainingPair(hr, lr)
        values = ScaleToUnit()(image)[0].numpy()
        missing = [max(0, self.smallest_side - side) for side in values.shape[1:]]
        pad = [(0, 0), *((each // 2, each - each // 2) for each in missing)]
        return np.pad(values, pad, mode="symmetric").astype(np.float32)

    shown = __call__

    def _load(self, file: Source | PathLike) -> MetaTensor:
        image = load_amounts(file, self.kind)
        if image.ndim != 4 or image.shape[0] != 1:
            raise BadImageError(
                f"{shown_name(file)}: must be a volume of one value a voxel to train on, "
                f"got shape {tuple(image.shape)}; remove it from the folder"
            )
        return image


def _halved(
    hr: npt.NDArray[Any], lr: npt.NDArray[Any], scale: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Shrink a small volume by bicubic along the axes in which it is as fine as the large one.

    Thick slices have the rows and columns of thin ones, and the network enlarges every axis.
    """
    shared = [axis for axis in (1, 2, 3) if hr.shape[axis] == lr.shape[axis]]
    if len(shared) == 3:
        return hr, lr  # nothing is finer: refused by its size
    for axis in shared:
        kept = hr.shape[axis] // scale * scale
        hr, lr = hr.take(range(kept), axis), lr.take(range(kept), axis)
    return hr, downsample(torch.from_numpy(lr), scale, shared).numpy() if shared else lr


class VolumePatchLoader(PatchLoader):
    """Endless stream of aligned LR/HR cubes out of volumes; see :class:`PatchLoader`.

    Each batch is {"image": (N, C, P, P, P), "label": (N, C, s * P, s * P, s * P)}, float32 in
    [0, 1]. Volumes are shrunk along all three axes, drawn by their number of voxels, and every
    patch is turned by one of the 48 symmetries of the cube, whatever the spacing: the network
    learns to double any axis.

    Args:
        files: volumes.
        load: reads one file as (C, X, Y, Z), floating point in [0, 1].
    """

    symmetries = len(_TURNS)

    def _cut(
        self, pool: _Pool, shrink: int, which: Tensor, corner: Tensor, turn: Tensor, size: int
    ) -> Tensor:
        """Slice turned cubes (N, C, size, size, size) from the volumes shrunk by ``shrink``."""
        patches = []
        for index, place, number in zip(
            which.tolist(), corner.tolist(), turn.tolist(), strict=True
        ):
            sizes = (pool.sizes[index] // max(shrink, 1)).tolist()
            start = int(pool.starts[shrink][index])
            length = self.channels * int(np.prod(sizes))
            volume = pool.buffers[shrink][start : start + length].view(self.channels, *sizes)
            window = (slice(None), *(slice(first, first + size) for first in place))
            order, flips = _TURNS[number]
            cube = volume[window].flip([axis for axis, flip in enumerate(flips, 1) if flip])
            patches.append(cube.permute(0, *(axis + 1 for axis in order)))
        return torch.stack(patches)

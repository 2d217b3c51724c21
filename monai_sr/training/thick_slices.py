"""Train on planes across slices: thin slices of volumes are read, and thick ones made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor

from monai_sr.core import BadImageError, OptionError, PathLike
from monai_sr.functional import (
    SliceProfile,
    reduce_slices,
    restore_slices,
    slice_conditions,
)
from monai_sr.geometry import spacing_of
from monai_sr.training.degradations import Degradation
from monai_sr.training.training_images import Source, shown_name, try_read
from monai_sr.training.volume_patch_loader import ReadTrainingVolume

_ALIKE = 1.25  # spacings of a plane's axes that count as equal
_SHOWN = 0.2  # least share of a plane that is not its darkest value


class ReadTrainingPlanes(ReadTrainingVolume):
    """Read the planes of a volume, along all axes whose samples lie equally far apart.

    Of a volume of thin slices these are planes of three orientations, of one of thick slices its
    slices. Planes that are nearly empty are left out.
    """

    def __call__(self, file: Source | PathLike) -> list[np.ndarray]:  # type: ignore[override]
        """Return planes (1, H, W), float32 in [0, 1].

        Raises:
            BadImageError: if the file is no volume, has several values a voxel, or shows nothing.
        """
        return [plane for planes in self.by_axis(file) for plane in planes]

    def by_axis(self, file: Source | PathLike) -> list[list[np.ndarray]]:
        """Return the planes across each axis that has some, in order."""
        spacing = spacing_of(self._load(file).meta["affine"], 3)
        volume = super().__call__(file)
        assert isinstance(volume, np.ndarray)
        found = []
        for axis in range(3):
            sides = [spacing[a] for a in range(3) if a != axis]
            if max(sides) > _ALIKE * min(sides):
                continue
            planes = np.moveaxis(volume, axis + 1, 0)
            shown = [plane for plane in planes if (plane > plane.min()).mean() >= _SHOWN]
            found += [[np.ascontiguousarray(plane) for plane in shown]] if shown else []
        if not found:
            raise BadImageError(f"{shown_name(file)}: must show something, got none; remove it")
        return found


class ThickSlices(Degradation):
    """Make thick slices of the lines of a plane, and fill in thin ones by splines.

    Each patch counts as a whole: its lines are covered by a whole number of thick slices, so that
    most factors are none. Images and patches keep their size, at scale 1.

    Args:
        factors: least and largest number of thin slices in a thick one.
        profiles: of the slices, drawn for each patch.
        assumed: profile that splines go by, as inference does where none is known.
        known_share: of patches whose own profile they go by.

    Raises:
        OptionError: if an option does not fit.
    """

    def __init__(
        self,
        factors: Sequence[float] = (2, 6),
        profiles: Sequence[SliceProfile] = (SliceProfile(),),
        *,
        assumed: SliceProfile | None = None,
        known_share: float = 0.5,
    ) -> None:
        if len(factors) != 2 or not 1 < factors[0] <= factors[1]:
            raise OptionError(f"factors: needs [least, largest], both above 1, got {list(factors)}")
        if not profiles:
            raise OptionError("profiles: needs at least one, got none; add one")
        if not 0 <= known_share <= 1:
            raise OptionError(f"known_share: must be in [0, 1], got {known_share}")
        self.factors = (float(factors[0]), float(factors[1]))
        self.profiles = list(profiles)
        self.assumed = assumed or SliceProfile()
        self.known_share = known_share

    def shrink(self, hr: Tensor, scale: int) -> Tensor:
        """Leave whole images as they are: patches are reduced."""
        if scale != 1:
            raise OptionError(f"scales: must be [1] for thick slices, got {scale}; set that")
        return hr

    def corrupt(self, lr: Tensor, seeds: Tensor) -> Tensor:
        """Return what the network is given of each plane.

        Shape: lr (N, 1, P, P) float32 in [0, 1]; seeds (N,) int64 -> (N, 3, P, P).
        """
        return torch.cat([
            self._corrupt(plane[None], int(seed)) for plane, seed in zip(lr, seeds, strict=True)
        ])  # fmt: skip

    def _corrupt(self, plane: Tensor, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        draws = torch.rand(3, generator=random, dtype=torch.float64).tolist()
        height = plane.shape[2]
        least = max(1, math.ceil(height / self.factors[1]))
        most = max(least, math.floor(height / self.factors[0]))
        slices = least + int(draws[0] * (most - least + 1))
        profile = self.profiles[int(draws[1] * len(self.profiles))]
        assumed = profile if draws[2] < self.known_share else self.assumed
        return given_planes(plane, slices, profile, assumed)


def given_planes(
    planes: Tensor, slices: int, profile: SliceProfile, assumed: SliceProfile
) -> Tensor:
    """Reduce planes to thick slices, and return what the network is given in their place.

    Shape: planes (N, 1, H, W), the slice axis along H -> (N, 3, H, W).
    """
    thick = reduce_slices(planes, slices, 2, profile)
    return slice_conditions(restore_slices(thick, planes.shape[2], 2, assumed), slices)


class ThickSliceImages(Dataset):
    """Planes for validation: of each orientation of a volume the one in the middle, every factor.

    An item is {"image": (3, H, W), "label": (1, H, W)}, float32 in [0, 1].

    Args:
        data: volumes.
        load: reads the planes of one.
        factors: whole numbers of thin slices in a thick one.
        profile: of the slices; known to the splines.

    Raises:
        BadImageError: if there are volumes, and none can be used; others are named and left out.
    """

    def __init__(
        self,
        data: Sequence[Source],
        load: ReadTrainingPlanes,
        *,
        factors: Sequence[int] = (2, 3, 4, 6),
        profile: SliceProfile | None = None,
    ) -> None:
        read = [try_read(partial(load.by_axis, file)) or [] for file in data]
        planes = [each[len(each) // 2] for axes in read for each in axes]
        if data and not planes:
            raise BadImageError(
                f"{shown_name(data[0])}: none of {len(data)} validation volumes can be used, each "
                "is named above; name another --validation_dir"
            )
        super().__init__([(plane, factor) for plane in planes for factor in factors], None)
        self.profile = profile or SliceProfile()

    def _transform(self, index: int) -> dict[str, Tensor]:
        plane, factor = self.data[index]
        slices = plane.shape[1] // factor
        label = torch.from_numpy(plane[:, : slices * factor])
        return {
            "image": given_planes(label[None], slices, self.profile, self.profile)[0],
            "label": label,
        }

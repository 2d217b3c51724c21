"""Which images a training run uses, and how each becomes an array."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.types import PathLike
from monai_sr.engines.degradations import Degradation
from monai_sr.transforms import ScaleToUnit, load_image

logger = logging.getLogger(__name__)

_NO_IMAGES = (".csv", ".json", ".md", ".txt", ".xml", ".yaml")
# BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def list_images(folders: PathLike | Sequence[PathLike] | None) -> list[Path]:
    """List the image files of folders and their subfolders, sorted; tables and texts are left out.

    Raises:
        OptionError: if none is given, one does not exist, or there is no image.
    """
    if not folders:
        raise OptionError("dataset_dir: no folder of training images given; add --dataset_dir DIR")
    found: list[Path] = []
    for folder in [folders] if isinstance(folders, str | Path) else list(folders):  # type: ignore[arg-type]
        root = Path(folder)
        if not root.is_dir():
            raise OptionError(f"{folder}: is no folder of images; check --dataset_dir")
        files = (f for f in sorted(root.rglob("*")) if f.is_file() and f.name[0] != ".")
        found += [f for f in files if f.suffix.lower() not in _NO_IMAGES]
    if not found:
        raise OptionError(f"{folders}: holds no image; check --dataset_dir")
    return found


def split_images(files: Sequence[Path], share: float) -> tuple[list[Path], list[Path]]:
    """Hold out a share of the images for validation, never parts of one subject in both.

    A subject is what precedes the first "_" of a file's name: the patient of an NIH X-ray, the
    photo of a tile. The choice depends on that name alone.

    Returns:
        Files to train on and files to validate on.

    Raises:
        OptionError: if ``share`` is not in [0, 1), or leaves one of the parts empty.
    """
    if not 0 <= share < 1:
        raise OptionError(f"validation_share: must be in [0, 1), got {share}")

    def position(file: Path) -> float:
        digest = hashlib.sha256(file.stem.split("_")[0].encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    train = [f for f in files if position(f) >= share]
    held = [f for f in files if position(f) < share]
    if not train or (share and not held):
        raise OptionError(
            f"validation_share: {share} of {len(files)} images leaves nothing to "
            f"{'validate' if train else 'train'} on; name a --validation_dir"
        )
    return train, held


def training_split(
    dataset_dir: PathLike | Sequence[PathLike] | None,
    validation_dir: PathLike | Sequence[PathLike] | None,
    validation_share: float,
) -> tuple[list[Path], list[Path]]:
    """Return the files to train on and those to validate on.

    Validation images come from ``validation_dir``, or where that is None from a share of the
    training folder, see :func:`split_images`.
    """
    files = list_images(dataset_dir)
    if validation_dir is not None:
        return files, list_images(validation_dir)
    return split_images(files, validation_share)


class ReadTrainingImage:
    """Read a file for training: 8-bit images stay 8-bit, others become float32 in [0, 1].

    Args:
        channels: 1 (colors become BT.601 luma) or 3 (grey is repeated, a fourth band dropped).
    """

    def __init__(self, channels: int) -> None:
        if channels not in (1, 3):
            raise OptionError(f"channels: must be 1 or 3, got {channels}")
        self.channels = channels
        self.scale = ScaleToUnit()

    def __call__(self, file: PathLike) -> np.ndarray:
        """Return (C, H, W), uint8 or float32: rows first, as benchmarks shrink images.

        Raises:
            BadImageError: if the file is no two-dimensional image of 1, 3 or 4 bands.
        """
        image = load_image(file)
        if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
            raise BadImageError(
                f"{file}: must be a 2D image of 1, 3 or 4 bands to train on, "
                f"got shape {tuple(image.shape)}; remove it from the folder"
            )
        facts = image.meta
        whole = np.array_equal(np.asarray(facts["sr_declared_range"]), [0, 255])
        is_8bit = str(facts["sr_dtype"]) == "uint8" and whole and not facts["sr_inverted"]
        values = image.numpy() if is_8bit else self.scale(image)[0].numpy()
        values = values[:3].swapaxes(1, 2)
        if self.channels == 1 and values.shape[0] == 3:
            values = np.tensordot(_LUMA, values, axes=1)[None]
        if self.channels == 3 and values.shape[0] == 1:
            values = np.repeat(values, 3, axis=0)
        return np.rint(values).astype(np.uint8) if is_8bit else values.astype(np.float32)


class ValidationImages(Dataset):
    """Whole images with their low-resolution versions, for validation while training.

    An item is {"image": (C, H / s, W / s), "label": (C, H, W)}, float32 in [0, 1].

    Args:
        data: files.
        load: see :class:`ReadTrainingImage`.
        scale: factor s.
        degradation: how small images are made, see :mod:`monai_sr.engines.degradations`; bicubic
            where None. What it draws at random is the same for an image at every validation.
        largest_side: larger images are cropped to their center, to bound the time.
    """

    def __init__(
        self,
        data: Sequence[Path],
        load: ReadTrainingImage,
        scale: int,
        *,
        degradation: Degradation | None = None,
        largest_side: int = 768,
    ) -> None:
        super().__init__(list(data), None)
        self.load = load
        self.scale = scale
        self.degradation = degradation or Degradation()
        self.largest_side = largest_side

    def _transform(self, index: int) -> dict[str, Tensor]:
        hr = torch.from_numpy(self.load(self.data[index]))
        sides = [min(side, self.largest_side) // self.scale * self.scale for side in hr.shape[1:]]
        starts = [(side - kept) // 2 for side, kept in zip(hr.shape[1:], sides, strict=True)]
        for axis, (start, kept) in enumerate(zip(starts, sides, strict=True), start=1):
            hr = hr.narrow(axis, start, kept)
        lr = self.degradation.shrink(hr, self.scale)
        if hr.dtype == torch.uint8:
            lr, hr = lr.float() / 255, hr.float() / 255
        return {"image": self.degradation.corrupt(lr[None], torch.tensor([index]))[0], "label": hr}

"""Which images a training run uses, and how each becomes an array."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.types import PathLike
from monai_sr.engines.degradations import Degradation
from monai_sr.engines.split_table import read_split_table
from monai_sr.readers.dicom_files import find_series, is_dicom
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.grid import enlarged_axes

logger = logging.getLogger(__name__)

Source = Path | tuple[Path, ...]
"""A file, or the files of a DICOM series."""

_NO_IMAGES = (".csv", ".json", ".md", ".txt", ".xml", ".yaml")
# Told from DICOM without being opened: folders of photos are large.
_NO_DICOM = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".nii", ".gz")
# BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def list_images(folders: PathLike | Sequence[PathLike] | None) -> list[Source]:
    """List the images of folders and their subfolders, sorted; tables and texts are left out.

    The DICOM files of a series of parallel slices are one entry, the tuple of their paths.

    Raises:
        OptionError: if none is given, one does not exist, or there is no image.
    """
    if not folders:
        raise OptionError("dataset_dir: no folder of training images given; add --dataset_dir DIR")
    found: list[Source] = []
    for folder in [folders] if isinstance(folders, str | Path) else list(folders):  # type: ignore[arg-type]
        root = Path(folder)
        if not root.is_dir():
            raise OptionError(f"{folder}: is no folder of images; check --dataset_dir")
        files = [f for f in sorted(root.rglob("*")) if f.is_file() and f.name[0] != "."]
        found += _grouped([f for f in files if f.suffix.lower() not in _NO_IMAGES])
    if not found:
        raise OptionError(f"{folders}: holds no image; check --dataset_dir")
    return found


def _grouped(files: Sequence[Path]) -> list[Source]:
    """Put the files of each DICOM series together, at the place of its first file."""
    dicom = {f for f in files if f.suffix.lower() not in _NO_DICOM and is_dicom(f)}
    series: dict[Path, tuple[Path, ...]] = {}
    for folder in sorted({f.parent for f in dicom}):
        for group in find_series(folder):
            if len(group) > 1:
                series |= dict.fromkeys(group, tuple(group))
    first = {group: min(group) for group in series.values()}
    return [series.get(f, f) for f in files if f not in series or f == first[series[f]]]


def first_file(source: Source) -> Path:
    """Return the file of an image, the first file of a series."""
    return source[0] if isinstance(source, tuple) else source


def split_images(
    images: Sequence[Source], share: float, subjects: Mapping[Source, str] | None = None
) -> tuple[list[Source], list[Source]]:
    """Hold out a share of the images for validation, never parts of one subject in both.

    A subject is what ``subjects`` says; without it, what precedes the first "_" of a file's name
    (the patient of an NIH X-ray, the photo of a tile), or the folder of a series. The choice
    depends on that name alone.

    Returns:
        Images to train on and images to validate on.

    Raises:
        OptionError: if ``share`` is not in [0, 1), or leaves one of the parts empty.
    """
    if not 0 <= share < 1:
        raise OptionError(f"validation_share: must be in [0, 1), got {share}")

    def position(image: Source) -> float:
        subject = _subject(image) if subjects is None else subjects[image]
        return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") / 2**64

    train = [f for f in images if position(f) >= share]
    held = [f for f in images if position(f) < share]
    if not train or (share and not held):
        raise OptionError(
            f"validation_share: {share} of {len(images)} images leaves nothing to "
            f"{'validate' if train else 'train'} on; name a --validation_dir"
        )
    return train, held


def _subject(image: Source) -> str:
    return image[0].parent.name if isinstance(image, tuple) else image.stem.split("_")[0]


def training_split(
    dataset_dir: PathLike | Sequence[PathLike] | None,
    validation_dir: PathLike | Sequence[PathLike] | None,
    validation_share: float,
    split_table: PathLike | None = None,
) -> tuple[list[Source], list[Source]]:
    """Return the images to train on and those to validate on.

    Validation images come from ``validation_dir``, or where that is None from a share of the
    training folder, see :func:`split_images`. A ``split_table`` says who is whom, see
    :func:`monai_sr.engines.split_table.read_split_table`: its patients are kept apart, and where it
    has a column ``split``, that decides.

    Raises:
        OptionError: if an option or the table does not fit.
    """
    images = list_images(dataset_dir)
    if split_table is None:
        if validation_dir is not None:
            return images, list_images(validation_dir)
        return split_images(images, validation_share)
    table = read_split_table(split_table)
    entries = {image: table.entry(_names(image)) for image in images}
    kept = [image for image in images if entries[image].split != "test"]
    if validation_dir is not None:
        return kept, list_images(validation_dir)
    if not table.has_split:
        return split_images(kept, validation_share, {i: entries[i].patient for i in kept})
    parts = {
        part: [image for image in kept if entries[image].split == part]
        for part in ("train", "validation")
    }
    for part, members in parts.items():
        if not members:
            raise OptionError(
                f"{split_table}: gives no image of {dataset_dir} to {part!r}; add some to the table"
            )
    return parts["train"], parts["validation"]


def _names(image: Source) -> Iterator[str]:
    """Yield what a table may call an image: the ends of its path, longest first."""
    parts = (image[0].parent if isinstance(image, tuple) else image).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


class ReadTrainingImage:
    """Read an image for training: 8-bit images stay 8-bit, others become float32 in [0, 1].

    A volume is read as the list of its slices, which share the mapping of the whole volume to
    [0, 1]; slices of one value are left out.

    Args:
        channels: 1 (colors become BT.601 luma) or 3 (grey is repeated, a fourth band dropped).
    """

    def __init__(self, channels: int) -> None:
        if channels not in (1, 3):
            raise OptionError(f"channels: must be 1 or 3, got {channels}")
        self.channels = channels
        self.scale = ScaleToUnit()

    def __call__(self, source: Source | PathLike) -> np.ndarray | list[np.ndarray]:
        """Return (C, H, W), or a list of them: rows first, as benchmarks shrink images.

        Values are uint8 or float32.

        Raises:
            BadImageError: if it is no image or volume of 1, 3 or 4 bands.
        """
        image = load_image(source)
        if image.ndim not in (3, 4) or image.shape[0] not in (1, 3, 4):
            raise BadImageError(
                f"{_shown(source)}: must be an image or volume of 1, 3 or 4 bands to train on, "
                f"got shape {tuple(image.shape)}; remove it from the folder"
            )
        facts = image.meta
        whole = np.array_equal(np.asarray(facts["sr_declared_range"]), [0, 255])
        is_8bit = str(facts["sr_dtype"]) == "uint8" and whole and not facts["sr_inverted"]
        values = image.numpy() if is_8bit else self.scale(image)[0].numpy()
        if values.ndim == 3:
            return self._bands(values, is_8bit=is_8bit)
        (slice_axis,) = set(range(3)) - set(enlarged_axes(facts, 3))
        slices = [
            self._bands(plane, is_8bit=is_8bit)
            for plane in np.moveaxis(values, slice_axis + 1, 0)
            if plane.min() < plane.max()
        ]
        if not slices:
            raise BadImageError(
                f"{_shown(source)}: must hold more than one value to train on; "
                "remove it from the folder"
            )
        return slices

    def _bands(self, values: np.ndarray, *, is_8bit: bool) -> np.ndarray:
        """Bring (C, X, Y) to rows first and to the number of bands."""
        values = values[:3].swapaxes(1, 2)
        if self.channels == 1 and values.shape[0] == 3:
            values = np.tensordot(_LUMA, values, axes=1)[None]
        if self.channels == 3 and values.shape[0] == 1:
            values = np.repeat(values, 3, axis=0)
        return np.rint(values).astype(np.uint8) if is_8bit else values.astype(np.float32)


def _shown(source: Source | PathLike) -> str:
    return str(source[0].parent if isinstance(source, tuple) else source)


class ValidationImages(Dataset):
    """Whole images with their low-resolution versions, for validation while training.

    An item is {"image": (C, H / s, W / s), "label": (C, H, W)}, float32 in [0, 1]. Of a volume it
    is the slice in the middle.

    Args:
        data: images, see :func:`list_images`.
        load: see :class:`ReadTrainingImage`.
        scale: factor s.
        degradation: how small images are made, see :mod:`monai_sr.engines.degradations`; bicubic
            where None. What it draws at random is the same for an image at every validation.
        largest_side: larger images are cropped to their center, to bound the time.
    """

    def __init__(
        self,
        data: Sequence[Source],
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
        image = self.load(self.data[index])
        hr = torch.from_numpy(image[len(image) // 2] if isinstance(image, list) else image)
        sides = [min(side, self.largest_side) // self.scale * self.scale for side in hr.shape[1:]]
        starts = [(side - kept) // 2 for side, kept in zip(hr.shape[1:], sides, strict=True)]
        for axis, (start, kept) in enumerate(zip(starts, sides, strict=True), start=1):
            hr = hr.narrow(axis, start, kept)
        lr = self.degradation.shrink(hr, self.scale)
        if hr.dtype == torch.uint8:
            lr, hr = lr.float() / 255, hr.float() / 255
        return {"image": self.degradation.corrupt(lr[None], torch.tensor([index]))[0], "label": hr}

"""Find the images of a benchmark: one that a YAML file describes, or any folder."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn.functional import interpolate

from monai_sr.core import (
    BadImageError,
    OptionError,
    PathLike,
    find_config,
    get_logger,
    list_configs,
)
from monai_sr.evaluation.images import (
    BenchmarkImage,
    Ends,
    Files,
    dicom_patient,
    download,
    every_image,
    is_volume,
    match_pairs,
    photo_pixels,
    read_image,
    read_raster,
    read_volume,
)
from monai_sr.evaluation.places import check_same_place, warn_of_shift
from monai_sr.metrics import Protocol, get_protocol, make_lr, modcrop
from monai_sr.training import Box
from monai_sr.training.measured_pairs import measured_shift

_logger = get_logger(__name__)
_REQUIRED = {"title", "folders", "pattern", "protocol"}
_KNOWN = _REQUIRED | {
    "count", "classes", "data_range", "channels", "citation", "slice_step", "area", "patient",
    "lr_folders", "pixels", "download", "left_out", "grey", "square",
}  # fmt: skip
_CONTENT = 0.1
"""Share of a slice that must differ from the volume's darkest value, for it to be judged."""
_OTHER_UNITS = 2.0
"""How much worse a given image fits on its reference's range than on its own, of other units."""


@dataclass(frozen=True)
class Benchmark:
    """Describe a set of reference images and how results on it are judged.

    Args:
        name: file name of tables, such as ``set5``.
        title: name in headings.
        folders: places below the root; the first that exists is used.
        pattern: shell pattern of image files; empty for every image with those of subfolders, whose
            names are the classes.
        protocol: how pairs are compared.
        count: expected number of images, None where it is open.
        classes: sub-folder -> expected number of images; empty where the set has no classes.
        channels: 1 for a grey set, 3 where color images stay color; other numbers are rasters of
            so many bands.
        citation: who made the images.
        left_out: names of images (without suffix) that lie there and are not judged.
        grey: names of images of one channel in a set of color images, which published figures take
            for color images.
        slice_step: 0 for a set of images; of volumes, every how many slices one is judged. Slices
            that are nearly empty are left out.
        area: of georeferenced rasters, the west, south, east and north of what is judged, in the
            units of their reference system; all of them if None.
        square: of images of measured values, from which row and column and before which they are
            judged, on the range of that part: CT holds no measurement outside of a circle.
        patient: regular expression whose first group, at the start of a file's name, says whose
            image it is; empty where that is unknown (DICOM files say it themselves).
        lr_folders: places of given low-resolution images below the root, with ``{scale}``; empty
            where they are made from the references.
        pixels: accepted numbers of pixels of all images together; empty where it is open.
        download: archives, see :func:`monai_sr.evaluation.images.download`.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    pattern: str
    protocol: Protocol
    count: int | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    channels: int = 3
    citation: str = ""
    left_out: frozenset[str] = frozenset()
    grey: frozenset[str] = frozenset()
    slice_step: int = 0
    area: Box | None = None
    square: tuple[int, int] | None = None
    patient: str = ""
    lr_folders: tuple[str, ...] = ()
    pixels: tuple[int, ...] = ()
    download: Sequence[Mapping[str, Any]] = ()

    def images(self, root: PathLike, scale: int | None = None) -> list[BenchmarkImage]:
        """List the images below a root, in name order; a wrong number is logged as a warning.

        Args:
            root: folder that holds the images.
            scale: the enlargement; needed where low-resolution images are given.

        Raises:
            BadImageError: if no folder exists or none holds an image, or partners are missing.
        """
        base = self._base(root, self.folders)
        found: list[BenchmarkImage] = []
        for label in self.classes or ("",):
            if self.pattern:
                files = sorted(p for p in (base / label).glob(self.pattern) if p.is_file())
                images = [BenchmarkImage(path, path.stem, label) for path in files]
            else:
                images = every_image(base)
            images = [image for image in images if image.path.stem not in self.left_out]
            found += [part for image in images for part in self._parts(image)]
        if not found:
            raise BadImageError(
                f"{base}: must hold images {self.pattern!r} for benchmark {self.name!r}, got none; "
                "copy the reference images there"
            )
        for complaint in self.complaints(found):
            _logger.warning("%s: %s", base, complaint)
        return self._paired(root, found, scale) if self.lr_folders and scale else found

    def fetch(self, root: PathLike, scale: int) -> None:
        """Download the images into a root; see :func:`monai_sr.evaluation.images.download`."""
        download(self.name, self.download, root, scale)

    def load(self, image: BenchmarkImage) -> Tensor:
        """Decode a reference image.

        Returns:
            (1, C, H, W) float64 in [0, 1]; C is 1 for grey and 3 for color images. Slices are
            mapped by the range of their volume.

        Raises:
            BadImageError: if the file is unreadable, has transparency or another depth than the
                protocol's range, or is a color image in a grey set.
        """
        if image.slice_index is not None:
            return torch.from_numpy(read_volume(image.files)[image.slice_index])[None, None]
        return self._decode(image.files)[0]

    def load_pair(self, image: BenchmarkImage, scale: int) -> tuple[Tensor, Tensor]:
        """Decode a reference, and take or make its low-resolution image.

        Returns:
            Reference (1, C, H, W), cut to multiples of the scale, and input (1, C, H / scale,
            W / scale), float64; the reference in [0, 1], the input on the range of the reference.

        Raises:
            BadImageError: as :meth:`load`, or if the two do not belong together, or their values
                are in different units.
        """
        if image.lr_path is None:
            hr = modcrop(self.load(image), scale)
            return hr, make_lr(hr, scale, self.protocol)
        whole, ends = self._decode(image.files)
        hr = modcrop(whole, scale)
        lr, own = self._decode((image.lr_path,))
        height, width = (side // scale for side in hr.shape[-2:])
        # MATLAB makes one pixel more where a side is no multiple; it lies outside the cut one.
        extra = [got - side for got, side in zip(lr.shape[-2:], (height, width), strict=True)]
        uneven = [int(side % scale > 0) for side in whole.shape[-2:]]
        fits = all(0 <= e <= u for e, u in zip(extra, uneven, strict=True))
        if lr.shape[1] != hr.shape[1] or not fits:
            raise BadImageError(
                f"{image.lr_path}: must have {hr.shape[1]} channels of {width} x {height} pixels "
                f"to go with {image.path} at x{scale}, got {lr.shape[1]} of {lr.shape[-1]} x "
                f"{lr.shape[-2]}; replace one of them"
            )
        check_same_place(image.path, image.lr_path, scale)
        lr = lr[..., :height, :width]
        on_range, small = _on_range(lr, own, ends), interpolate(hr, (height, width), mode="area")
        if _difference(on_range, small) > _OTHER_UNITS * _difference(lr, small):
            raise BadImageError(
                f"{image.lr_path}: must hold values in the units of {image.path}, got "
                f"{own[0, 0]:g}…{own[0, 1]:g} beside {ends[0, 0]:g}…{ends[0, 1]:g}; convert one of "
                "them"
            )
        shift = measured_shift(hr[0].numpy(), on_range[0].numpy(), scale)
        warn_of_shift(image.lr_path, shift)
        return hr, on_range

    @property
    def expected(self) -> int | None:
        """How many images the whole set has, None where it is open."""
        return sum(self.classes.values()) if self.classes else self.count

    def _base(self, root: PathLike, folders: Sequence[str]) -> Path:
        base = next((Path(root, f) for f in folders if Path(root, f).is_dir()), None)
        if base is None:
            raise BadImageError(
                f"{root}: must hold one of the folders {', '.join(folders)} for benchmark "
                f"{self.name!r}, got none; pass the folder that holds them as root"
            )
        return base

    def complaints(self, images: Sequence[BenchmarkImage]) -> list[str]:
        """Say how images differ from what the set should have, in number and size."""
        found = []
        for label in self.classes or ("",):
            got = sum(image.label == label for image in images) if self.classes else len(images)
            expected = self.classes.get(label, self.count)
            if expected not in (None, got):
                where = f"{label}: " if label else ""
                found.append(
                    f"{where}benchmark {self.name!r} must have {expected} images, got {got}"
                )
        if not found and self.pixels:
            total = sum(photo_pixels(image.path) for image in images)
            if total not in self.pixels:
                wanted = " or ".join(f"{pixels:,}" for pixels in self.pixels)
                found.append(
                    f"benchmark {self.name!r} must have {wanted} pixels in all, got {total:,}"
                )
        return [f"{text}; its means do not compare with published ones" for text in found]

    def _parts(self, image: BenchmarkImage) -> list[BenchmarkImage]:
        """Name the patient, and list the slices of a volume that are judged."""
        match = re.match(self.patient, image.path.name) if self.patient else None
        patient = match[1] if match else "" if self.patient else dicom_patient(image.files)
        image = dataclasses.replace(image, patient=patient)
        if not self.slice_step or (not self.pattern and not is_volume(image.files)):
            return [image]
        volume = read_volume(image.files)
        stem = image.name.split(".")[0]
        return [
            dataclasses.replace(image, name=f"{stem}_{index:03d}", slice_index=index)
            for index in range(0, len(volume), self.slice_step)
            if (volume[index] > volume.min()).mean() >= _CONTENT
        ]

    def _paired(
        self, root: PathLike, images: list[BenchmarkImage], scale: int
    ) -> list[BenchmarkImage]:
        for image in images:
            if image.slice_index is not None:
                raise BadImageError(
                    f"{image.path}: must be an image of one slice to have a given small one, got a "
                    "volume; leave --lr_root out, or extract its slices"
                )
        places = [folder.format(scale=scale) for folder in self.lr_folders]
        folder = self._base(root, places)
        partners = match_pairs([image.path for image in images], folder, scale)
        return [
            dataclasses.replace(image, lr_path=partner)
            for image, partner in zip(images, partners, strict=True)
        ]

    def _decode(self, files: Files) -> tuple[Tensor, Ends]:
        if self.area is not None or self.channels not in (1, 3):
            values, levels, ends = read_raster(files[0], self.channels, self.area)
        else:
            values, levels, ends = read_image(files, self.square)
        if self.protocol.data_range not in (1, levels):
            raise BadImageError(
                f"{files[0]}: must hold values 0…{self.protocol.data_range:g} for benchmark "
                f"{self.name!r}, got a range of {levels}; set data_range in its YAML file, or use "
                "--protocol native"
            )
        if self.channels == 1 and len(values) == 3:
            if not (values == values[:1]).all():
                raise BadImageError(
                    f"{files[0]}: must be grey for benchmark {self.name!r}, got a color image; "
                    "convert or remove it"
                )
            values = values[:1]
        return torch.from_numpy(values)[None].contiguous(), ends


def _on_range(unit: Tensor, own: Ends, ends: Ends) -> Tensor:
    """Map an image from its own ranges to those of another one: equal stored values become equal.

    Shape: (1, C, H, W) -> the same.
    """
    if np.array_equal(own, ends):
        return unit
    (low, high), (first, last) = (
        torch.from_numpy(each.T.copy())[..., None, None] for each in (own, ends)
    )
    mapped: Tensor = (unit * (high - low) + low - first) / (last - first)
    return mapped


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def load_benchmark(name: PathLike) -> Benchmark:
    """Read the description of a benchmark.

    Args:
        name: path of a YAML file, or the name of one that comes with the package (``set5``).

    Raises:
        OptionError: if there is no such benchmark or its file lacks or misspells a key.
    """
    # Papers write Set14, files are called set14.
    lower = str(name).lower()
    path = find_config("benchmarks", lower if lower in list_configs("benchmarks") else name)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = set(content) if isinstance(content, dict) else set()
    if not _REQUIRED <= keys <= _KNOWN:
        raise OptionError(
            f"{path}: must have the keys {', '.join(sorted(_REQUIRED))} and may have "
            f"{', '.join(sorted(_KNOWN - _REQUIRED))}, got {', '.join(sorted(keys)) or 'none'}; "
            "correct it"
        )
    options = {key: content[key] for key in content if key not in ("protocol", "data_range")}
    for key in ("folders", "lr_folders", "pixels", "download"):
        options[key] = tuple(content.get(key, ()))
    for key in ("left_out", "grey"):
        names = content.get(key, [])
        if not all(isinstance(each, str) for each in names):
            # YAML reads 00010012_024 as a number.
            raise OptionError(
                f"{path.stem}: {key} must hold texts, got {names}; put them in quotes"
            )
        options[key] = frozenset(names)
    for key in {"area", "square"} & keys:
        options[key] = tuple(content[key])
    protocol = get_protocol(content["protocol"], content.get("data_range"))
    return Benchmark(name=path.stem, protocol=protocol, **options)


def folder_benchmark(
    root: PathLike,
    *,
    protocol: str = "natural",
    lr_root: PathLike | None = None,
    slice_step: int = 1,
    patient: str = "",
) -> Benchmark:
    """Describe all images of a folder and its subfolders, whose names are classes.

    Args:
        root: holds photos, GeoTIFF, NIfTI or DICOM files, maybe in subfolders.
        protocol: "natural" or "natural_opencv"; or "native": 8-bit images and PNG of 16 bits on
            their own range with rounding, others unrounded on the range of the file.
        lr_root: folder of their low-resolution images; None makes them.
        slice_step: of volumes, every how many slices one is judged.
        patient: see :class:`Benchmark`.

    Raises:
        BadImageError: if there is no image.
    """
    folder = Path(root)
    first = every_image(folder)[0]
    levels = 1 if is_volume(first.files) else read_image(first.files)[1]
    return Benchmark(
        name=folder.resolve().name,
        title=folder.resolve().name,
        folders=(str(folder.resolve()),),
        pattern="",
        protocol=get_protocol(protocol, levels if protocol == "native" else None),
        slice_step=slice_step,
        patient=patient,
        lr_folders=() if lr_root is None else (str(Path(lr_root).resolve()),),
    )

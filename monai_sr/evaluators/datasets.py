"""Find the reference images of a benchmark that a YAML file describes, and decode them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from monai_sr.core.configs import find_config
from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.core.types import PathLike
from monai_sr.engines.split_table import Box
from monai_sr.engines.training_rasters import Area, window_of
from monai_sr.metrics.protocol import Protocol, get_protocol
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.grid import enlarged_axes

_logger = logging.getLogger(__name__)
_REQUIRED = {"title", "folders", "pattern", "protocol"}
_KNOWN = _REQUIRED | {
    "count", "classes", "data_range", "channels", "citation", "left_out",
    "slice_step", "area",
}  # fmt: skip
_CONTENT = 0.1
"""Share of a slice that must differ from the volume's darkest value, for it to be judged."""


@dataclass(frozen=True)
class BenchmarkImage:
    """Name one reference image: its file, its name in tables and its class.

    Args:
        path: the file.
        name: what tables call it.
        label: its class.
        slice_index: of a volume, which slice along its slice axis.
    """

    path: Path
    name: str
    label: str = ""
    slice_index: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """Describe a set of reference images and how results on it are judged.

    Args:
        name: file name of tables, such as ``set5``.
        title: name in headings.
        folders: places below the root; the first that exists is used.
        pattern: shell pattern of image files.
        protocol: how pairs are compared.
        count: expected number of images, None where it is open.
        classes: sub-folder -> expected number of images; empty where the set has no classes.
        channels: 1 for a grey set, 3 where color images stay color; other numbers are rasters of
            so many bands.
        citation: who made the images.
        left_out: names of images (without suffix) that lie there and are not judged.
        slice_step: 0 for a set of images; of volumes, every how many slices one is judged. Slices
            that are nearly empty are left out.
        area: of georeferenced rasters, the west, south, east and north of what is judged, in the
            units of their reference system; all of them if None.
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
    slice_step: int = 0
    area: Box | None = None

    def images(self, root: PathLike) -> list[BenchmarkImage]:
        """List the images below a root, in name order; a wrong number is logged as a warning.

        Raises:
            BadImageError: if no folder exists or none holds an image.
        """
        base = next((Path(root, f) for f in self.folders if Path(root, f).is_dir()), None)
        if base is None:
            raise BadImageError(
                f"{root}: must hold one of the folders {', '.join(self.folders)} for benchmark "
                f"{self.name!r}, got none; pass the folder that holds them as root"
            )
        found: list[BenchmarkImage] = []
        for label in self.classes or ("",):
            files = sorted(
                path
                for path in (base / label).glob(self.pattern)
                if path.is_file() and path.stem not in self.left_out
            )
            images = [BenchmarkImage(path, path.stem, label) for path in files]
            if self.slice_step:
                images = [part for path in files for part in self._slices(path, label)]
            self._report(base / label, len(images), self.classes.get(label, self.count))
            found += images
        if not found:
            raise BadImageError(
                f"{base}: must hold images {self.pattern!r} for benchmark {self.name!r}, got none; "
                "copy the reference images there"
            )
        return found

    @property
    def expected(self) -> int | None:
        """How many images the whole set has, None where it is open."""
        return sum(self.classes.values()) if self.classes else self.count

    def _report(self, folder: Path, got: int, expected: int | None) -> None:
        if expected is not None and got != expected:
            _logger.warning(
                "%s: benchmark %r must have %d images, got %d; its means do not compare with "
                "published ones",
                folder,
                self.name,
                expected,
                got,
            )

    def _slices(self, path: Path, label: str) -> list[BenchmarkImage]:
        """List the slices of a volume that are judged."""
        volume = _volume(path)
        stem = path.name.split(".")[0]
        return [
            BenchmarkImage(path, f"{stem}_{index:03d}", label, index)
            for index in range(0, len(volume), self.slice_step)
            if (volume[index] > volume.min()).mean() >= _CONTENT
        ]

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
            return torch.from_numpy(_volume(image.path)[image.slice_index])[None, None]
        if self.area is not None or self.channels not in (1, 3):
            array = self._raster(image.path)
        else:
            array = _decode(image.path)
        stored_range = np.iinfo(array.dtype).max
        if self.protocol.data_range not in (1, stored_range):
            raise BadImageError(
                f"{image.path}: must hold values 0…{self.protocol.data_range:g} for benchmark "
                f"{self.name!r}, got {array.dtype}; set data_range in its YAML file"
            )
        if array.ndim == 2:
            array = array[..., None]
        if self.channels == 1 and array.shape[-1] == 3:
            if not (array == array[..., :1]).all():
                raise BadImageError(
                    f"{image.path}: must be grey for benchmark {self.name!r}, got a color image; "
                    "convert or remove it"
                )
            array = array[..., :1]
        values = torch.from_numpy(array.astype(np.float64)) / stored_range
        return values.permute(2, 0, 1)[None].contiguous()

    def _raster(self, path: Path) -> np.ndarray[Any, Any]:
        """Read the stored integers of a raster as (rows, columns, bands), nodata like any other."""
        image = load_image(path)
        dtype = np.dtype(str(image.meta["sr_dtype"]))
        if image.ndim != 3 or image.shape[0] != self.channels or dtype.kind != "u":
            raise BadImageError(
                f"{path}: must be a raster of {self.channels} bands of unsigned integers for "
                f"benchmark {self.name!r}, got {dtype} of shape {tuple(image.shape)}; remove it"
            )
        stored = image.numpy()
        if self.area is not None:
            place = Area(path, self.area)
            columns, rows = window_of(place, image.meta["affine"], stored.shape[1:])
            stored = stored[:, columns, rows]
        return np.ascontiguousarray(stored.transpose(2, 1, 0)).astype(dtype)


def load_benchmark(name: PathLike) -> Benchmark:
    """Read the description of a benchmark.

    Args:
        name: path of a YAML file, or the name of one that comes with the package (``set5``).

    Raises:
        OptionError: if there is no such benchmark or its file lacks or misspells a key.
    """
    path = find_config("benchmarks", name)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = set(content) if isinstance(content, dict) else set()
    if not _REQUIRED <= keys <= _KNOWN:
        raise OptionError(
            f"{path}: must have the keys {', '.join(sorted(_REQUIRED))} and may have "
            f"{', '.join(sorted(_KNOWN - _REQUIRED))}, got {', '.join(sorted(keys)) or 'none'}; "
            "correct it"
        )
    return _benchmark(path.stem, content)


def _benchmark(name: str, content: dict[str, Any]) -> Benchmark:
    left_out = content.get("left_out", [])
    if not all(isinstance(each, str) for each in left_out):
        # YAML reads 00010012_024 as a number.
        raise OptionError(f"{name}: left_out must hold texts, got {left_out}; put them in quotes")
    return Benchmark(
        name=name,
        title=content["title"],
        folders=tuple(content["folders"]),
        pattern=content["pattern"],
        protocol=get_protocol(content["protocol"], content.get("data_range")),
        count=content.get("count"),
        classes=content.get("classes", {}),
        channels=content.get("channels", 3),
        citation=content.get("citation", ""),
        left_out=frozenset(left_out),
        slice_step=content.get("slice_step", 0),
        area=tuple(content["area"]) if "area" in content else None,
    )


@lru_cache(maxsize=1)
def _volume(path: Path) -> np.ndarray[Any, Any]:
    """Read a volume of one channel as (slices, rows, columns), float64 in [0, 1]."""
    image = load_image(path)
    if image.ndim != 4 or image.shape[0] != 1:
        raise BadImageError(
            f"{path}: must be a volume of one channel, got shape {tuple(image.shape)}; remove it"
        )
    (slice_axis,) = set(range(3)) - set(enlarged_axes(image.meta, 3))
    values: np.ndarray[Any, Any] = ScaleToUnit()(image)[0].numpy()[0].astype(np.float64)
    return np.ascontiguousarray(np.moveaxis(values, slice_axis, 0).swapaxes(1, 2))


def _decode(path: Path) -> np.ndarray[Any, Any]:
    try:
        with Image.open(path) as image:
            if image.mode == "P" and "transparency" not in image.info:
                image = image.convert("RGB")
            if image.mode not in ("L", "RGB", "I;16"):
                raise BadImageError(
                    f"{path}: must be a grey or RGB image, got mode {image.mode}; convert it"
                )
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise BadImageError(
            f"{path}: must be a readable image, got {type(error).__name__}; replace the file"
        ) from error

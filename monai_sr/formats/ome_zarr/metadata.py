"""Reads the metadata of OME-Zarr: axes, levels of resolution, and where their samples lie.

OME-NGFF 0.4, https://ngff.openmicroscopy.org/0.4 (multiscales in .zattrs), and 0.5 (in zarr.json
under "ome"). Coordinates are those of the centers of samples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_sr.core.errors import BadImageError

VERSIONS = {2: "0.4", 3: "0.5"}
"""Version of Zarr -> that of OME-NGFF."""

_TYPES = {"x": "space", "y": "space", "z": "space", "c": "channel", "t": "time"}
_UNIT_MM = {
    "meter": 1e3, "decimeter": 1e2, "centimeter": 1e1, "millimeter": 1.0, "micrometer": 1e-3,
    "nanometer": 1e-6, "picometer": 1e-9, "angstrom": 1e-7, "kilometer": 1e6, "inch": 25.4,
    "foot": 304.8,
}  # fmt: skip
_RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")
_AGAIN = "copy or export it again"


@dataclass(frozen=True)
class OmeMetadata:
    """What the metadata of an image say.

    Attributes:
        path: the folder.
        zarr_format: 2 or 3.
        attributes: all of the folder, of 0.4 and 0.5 alike as 0.4 has them.
        multiscale: the first of its multiscales.
    """

    path: Path
    zarr_format: int
    attributes: dict[str, Any]
    multiscale: dict[str, Any]

    @property
    def axes(self) -> list[dict[str, Any]]:
        """The axes, the slowest first."""
        found: list[dict[str, Any]] = self.multiscale["axes"]
        return found

    @cached_property
    def space_axes(self) -> tuple[int, ...]:
        """Places of x, y and, where there is one, z."""
        names = [axis["name"] for axis in self.axes]
        return tuple(names.index(name) for name in "xyz" if name in names)

    @cached_property
    def other_axes(self) -> tuple[int, ...]:
        """Places of time and channels."""
        return tuple(a for a in range(len(self.axes)) if a not in self.space_axes)

    def scale_and_start(self, level: int = 0) -> tuple[list[float], list[float]]:
        """Return for each axis the step of a level, and where the center of its first sample is.

        Raises:
            BadImageError: they are not given by a scale and a translation.
        """
        dataset = self.multiscale["datasets"][level]
        scale, start = np.ones(len(self.axes)), np.zeros(len(self.axes))
        given = [each.get("coordinateTransformations") or () for each in (dataset, self.multiscale)]
        for step in (step for steps in given for step in steps):
            kind = str(step.get("type")) if isinstance(step, dict) else ""
            value = step.get(kind) if isinstance(step, dict) else None
            is_list = isinstance(value, list) and len(value) == len(self.axes)
            if kind == "identity":
                continue
            if kind not in ("scale", "translation") or not is_list:
                raise BadImageError(
                    f"{self.path}: coordinateTransformations must be scale and translation with a "
                    f"number for each axis, got {kind!r}; {_AGAIN}."
                )
            numbers = _numbers(self.path, value)
            if kind == "scale":
                scale, start = scale * numbers, start * numbers
            else:
                start = start + numbers
        if not (np.isfinite(start).all() and (scale > 0).all() and np.isfinite(scale).all()):
            raise BadImageError(
                f"{self.path}: scale must be above 0 and finite, got {scale.tolist()}; {_AGAIN}."
            )
        return scale.tolist(), start.tolist()

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """(4, 4), indices along x, y, z -> the image's own space, in its unit."""
        scale, start = self.scale_and_start()
        matrix = np.eye(4)
        for column, axis in enumerate(self.space_axes):
            matrix[column, column], matrix[column, 3] = scale[axis], start[axis]
        return matrix

    @property
    def unit_mm(self) -> float:
        """Millimeters of its unit of length; NaN where none is stated, or several are."""
        units = {str(self.axes[axis].get("unit", "")) for axis in self.space_axes}
        return _UNIT_MM.get(units.pop(), np.nan) if len(units) == 1 else np.nan

    @property
    def is_label(self) -> bool:
        """Whether values are numbers of objects."""
        return "image-label" in self.attributes

    def is_rgb(self, dtype: npt.DTypeLike) -> bool:
        """Tell whether channels are a photo's: bytes shown as red, green and blue, 0 to 255."""
        omero = self.attributes.get("omero")
        channels = omero.get("channels") if isinstance(omero, dict) else None
        if np.dtype(dtype) != np.uint8 or not isinstance(channels, list) or len(channels) != 3:
            return False
        colors = tuple(str(channel.get("color", "")).upper() for channel in channels)
        windows = [channel.get("window", {}) for channel in channels]
        ends = {(window.get("start"), window.get("end")) for window in windows}
        return colors == _RED_GREEN_BLUE and ends == {(0, 255)}


def read_metadata(path: Path) -> OmeMetadata:
    """Read and check the metadata of an image.

    Raises:
        BadImageError: they are missing, damaged, or of something else than an image.
    """
    zarr_format, attributes = _attributes(path)
    found = attributes.get("multiscales")
    if not found:
        raise BadImageError(f"{path}: must be an OME-Zarr image, got {_what(path, attributes)}.")
    multiscale = found[0] if isinstance(found, list) else None
    version = attributes.get("version") or (multiscale or {}).get("version", VERSIONS[zarr_format])
    if version != VERSIONS[zarr_format]:
        raise BadImageError(
            f"{path}: must be OME-Zarr 0.4 or 0.5, got {version!r} in Zarr {zarr_format}; "
            "convert it."
        )
    datasets = multiscale.get("datasets") if isinstance(multiscale, dict) else None
    if (
        not isinstance(datasets, list)
        or not all(isinstance(d, dict) for d in datasets)
        or not datasets
    ):
        raise BadImageError(f"{path}: multiscales must list datasets, got none; {_AGAIN}.")
    metadata = OmeMetadata(path, zarr_format, attributes, dict(multiscale or {}))
    _check_axes(metadata)
    inside = PurePosixPath(str(datasets[0].get("path", "..")))
    if inside.is_absolute() or ".." in inside.parts:
        raise BadImageError(f"{path}: datasets must lie in it, got another path; {_AGAIN}.")
    metadata.scale_and_start()
    return metadata


def _attributes(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the version of Zarr and the attributes of a folder, as 0.4 has them."""
    files = {3: path / "zarr.json", 2: path / ".zattrs"}
    zarr_format = next((version for version, file in files.items() if file.is_file()), 0)
    if not zarr_format:
        raise BadImageError(
            f"{path}: must be an OME-Zarr image, got a folder without .zattrs and zarr.json; "
            "copy it again with its hidden files, or name an image in it."
        )
    try:
        content = json.loads(files[zarr_format].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadImageError(
            f"{path}: its {files[zarr_format].name} must be JSON, got a damaged one; {_AGAIN}."
        ) from error
    content = content if isinstance(content, dict) else {}
    if zarr_format == 2:
        return 2, content
    attributes = content.get("attributes", {})
    ome = attributes.get("ome", {}) if isinstance(attributes, dict) else {}
    others = {key: value for key, value in dict(attributes).items() if key != "ome"}
    return 3, others | (ome if isinstance(ome, dict) else {})


def _what(path: Path, attributes: dict[str, Any]) -> str:
    """Say what a folder is in place of an image, and what to name instead."""
    if "plate" in attributes:
        return f"a plate of many; name an image in it, such as {path / 'A' / '1' / '0'}"
    if "well" in attributes or "bioformats2raw.layout" in attributes:
        return f"a collection; name an image in it, such as {path / '0'}"
    if "labels" in attributes:
        return "a list of labels; name one of them"
    return f"a folder without multiscales; name an image in it, or {_AGAIN}"


def _check_axes(metadata: OmeMetadata) -> None:
    axes = metadata.multiscale.get("axes")
    entries = axes if isinstance(axes, list) else []
    names = [str(axis.get("name", "")) if isinstance(axis, dict) else "" for axis in entries]
    is_known = all(
        name in _TYPES and axis.get("type", _TYPES[name]) == _TYPES[name]
        for name, axis in zip(names, entries, strict=True)
    )
    if not is_known or len(set(names)) < len(names) or not {"x", "y"} <= set(names):
        raise BadImageError(
            f"{metadata.path}: axes must be x and y, and none but t, c and z beside them, got "
            f"{', '.join(names) or 'none'}; extract an image from it."
        )


def _numbers(path: Path, value: Any) -> npt.NDArray[np.float64]:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadImageError(
            f"{path}: coordinateTransformations must hold numbers, got others; {_AGAIN}."
        ) from error

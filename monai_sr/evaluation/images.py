"""Name the images of a benchmark, decode them, match them with given small ones, download them.

Photos are decoded by Pillow, scenes, DICOM and NIfTI by our own readers.
"""

import dataclasses
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.apps.utils import download_url, extractall
from PIL import Image, ImageOps

from monai_sr.core import BadImageError, OptionError, PathLike, get_logger, sha256
from monai_sr.formats import (
    AUTO,
    COLOR,
    GRAY,
    Facts,
    dependencies,
    digest,
    format_of,
    image_folders,
    image_stem,
    is_plain_photo,
    kind_of,
)
from monai_sr.training import Area, Box, list_images, match_names, window_of
from monai_sr.transforms import ScaleToUnit, enlarged_axes, load_image

_logger = get_logger(__name__)
_SHOWN = 5  # names in a message
# Pillow gives the stored values; for some other formats it runs a PostScript interpreter.
_PILLOW = ("PNG", "JPEG", "BMP")
# Of damaged files, also in what EXIF says, and of more pixels than Pillow decodes.
_PILLOW_ERRORS = (
    OSError, SyntaxError, IndexError, KeyError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
_DEEP_COLORS = "RGB;16B"  # as Pillow calls those of a PNG, of which it reads the upper byte
_ID_DIGITS = 12

Array = np.ndarray[Any, Any]
Files = tuple[Path, ...]
"""One file, or the files of a DICOM series."""
Ends = Array
"""Stored values of 0 and 1 of each channel, or of all: (C or 1, 2)."""


@dataclass(frozen=True)
class BenchmarkImage:
    """Name one reference image: its file, its name in tables and its class.

    Args:
        path: the file, or the first of a DICOM series.
        name: what tables call it.
        label: its class.
        slice_index: of a volume, which slice along its slice axis.
        patient: whose image it is, empty where unknown.
        lr_path: file of its low-resolution image, None where that is made from the reference.
        series: the files of a DICOM series; empty for one file.
    """

    path: Path
    name: str
    label: str = ""
    slice_index: int | None = None
    patient: str = ""
    lr_path: Path | None = None
    series: Files = ()

    @property
    def files(self) -> Files:
        """The file, or those of the series."""
        return self.series or (self.path,)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides on its values: bytes of files and side-cars, the slice."""
        files = [*self.files, *([self.lr_path] if self.lr_path else [])]
        if not self.series:
            files = [part for file in files for part in dependencies(file)]
        parts = [digest([file]) for file in files]
        return sha256(f"{parts} {self.slice_index}")


def every_image(root: Path) -> list[BenchmarkImage]:
    """List all images of a folder and its subfolders, whose names are classes.

    Raises:
        BadImageError: if there is none.
    """
    if not root.is_dir():
        raise BadImageError(f"{root}: is no folder of images; check --root")
    try:
        sources = list_images(root)
    except OptionError as error:
        raise BadImageError(f"{root}: holds no image; check --root") from error
    found = []
    for source in sources:
        series = source if isinstance(source, tuple) else ()
        path = series[0] if series else source
        shown = (path.parent if series else path).relative_to(root)  # type: ignore[union-attr]
        name = image_stem(shown)
        label = "" if shown.parent == Path() else shown.parent.as_posix()
        found.append(BenchmarkImage(path, name or root.resolve().name, label, series=series))  # type: ignore[arg-type]
    names = [(image.label, image.name) for image in found]
    if len(set(names)) < len(names):  # a.png beside a.tif
        found = [dataclasses.replace(image, name=image.path.name) for image in found]
    return found


def match_pairs(references: Sequence[Path], folder: Path, scale: int) -> list[Path]:
    """Return the low-resolution file of every reference.

    Names are equal but for the suffix of the file and a mark of the scale, see
    :func:`monai_sr.training.training_images.match_names`.

    Raises:
        BadImageError: if files of one side lack a partner, have several or share one; they are
            named.
    """
    if not folder.is_dir():
        raise BadImageError(f"{folder}: must be the folder of the x{scale} images; check lr_root")
    shown = sorted(f for f in folder.iterdir() if f.name[0] != ".")
    own = image_folders(shown)
    files = [f for f in shown if f.is_file() or f in own]
    places = match_names([image_stem(r) for r in references], [image_stem(f) for f in files], scale)
    missing = [r.name for r, found in zip(references, places, strict=True) if not found]
    if missing:
        raise _mismatch(folder, f"a partner at x{scale} of every reference, none found of", missing)
    found = [files[several[0]] for several in places]
    shared = [r.name for r, file in zip(references, found, strict=True) if found.count(file) > 1]
    if shared:
        raise _mismatch(folder, "one partner for each reference, one found for several of", shared)
    left = [file.name for file in files if file not in found]
    if left:
        raise _mismatch(folder, "a reference for every file, none found for", left)
    return found


def _mismatch(folder: Path, what: str, names: Sequence[str]) -> BadImageError:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BadImageError(f"{folder}: must hold {what} {shown}{more}; add or remove files")


def download(name: str, archives: Sequence[Mapping[str, Any]], root: PathLike, scale: int) -> None:
    """Download and unpack what a benchmark needs at a scale.

    Args:
        name: of the benchmark, for messages.
        archives: each with ``url``, ``sha256`` of the file, ``folder`` that it holds, and ``scale``
            if it is for one alone. A folder that is there already is not fetched again.
        root: folder to unpack into.
        scale: the enlargement.

    Raises:
        OptionError: if the benchmark has no archives.
        BadImageError: if one cannot be had, or is not the one that was checked.
    """
    if not archives:
        raise OptionError(
            f"download: no address is known for {name!r} whose content could be checked; copy the "
            "images yourself and pass --root"
        )
    for archive in archives:
        is_there = Path(root, archive["folder"]).is_dir()
        if is_there or archive.get("scale", scale) != scale:
            continue
        _logger.info("%s: downloading %s", name, archive["url"])
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, archive["url"].rsplit("/", 1)[-1])
                download_url(
                    archive["url"], file, hash_val=archive["sha256"], hash_type="sha256",
                    progress=False,
                )  # fmt: skip
                extractall(file, Path(root))
        except (OSError, RuntimeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadImageError(
                f"{archive['url']}: cannot be had ({first}); download it yourself into {root}"
            ) from error


def read_image(files: Files, square: tuple[int, int] | None = None) -> tuple[Array, int, Ends]:
    """Read an image of one slice; a photo is turned upright by its EXIF orientation.

    Args:
        files: see :class:`BenchmarkImage`.
        square: of an image of measured values, from which row and column and before which it is
            taken; all of it if None.

    Returns:
        (C, H, W) float64 in [0, 1], the largest stored value where values are stored as whole
        numbers of a known range (255, 65535), else 1, and the stored values of 0 and 1.

    Raises:
        BadImageError: if it cannot be read, has transparency, holds pixels without data, or is a
            volume.
    """
    if is_plain_photo(files[0]):
        photo = _photo(files[0])
        levels = int(np.iinfo(photo.dtype).max)
        planes = photo[..., None] if photo.ndim == 2 else photo
        return planes.astype(np.float64).transpose(2, 0, 1) / levels, levels, _whole(levels)
    if format_of(files[0]).has_alpha(files[0]):
        raise BadImageError(f"{files[0]}: must have no transparency, got alpha; remove that band")
    values, meta = _scaled(files, square)
    if values.ndim != 3:
        raise BadImageError(
            f"{files[0]}: must be an image of one slice, got a volume; set slice_step to judge "
            "its slices"
        )
    ends = np.asarray(Facts(meta).range, dtype=np.float64).reshape(-1, 2)
    levels = 255 if (ends == _whole(255)).all() else 1
    ends = ends[:, ::-1] if Facts(meta).is_inverted else ends
    return np.ascontiguousarray(values.swapaxes(1, 2)), levels, ends


def read_raster(path: Path, channels: int, area: Box | None) -> tuple[Array, int, Ends]:
    """Read the stored integers of a raster, nodata like any other.

    Args:
        path: the file.
        channels: how many bands it must have.
        area: west, south, east and north of what is read; all of it if None.

    Returns:
        As :func:`read_image`; the largest value is that of the data type.

    Raises:
        BadImageError: if it has other bands, or other values than unsigned integers.
    """
    image = load_image(path)
    dtype = Facts(image.meta).dtype
    if image.ndim != 3 or image.shape[0] != channels or dtype.kind != "u":
        raise BadImageError(
            f"{path}: must be a raster of {channels} bands of unsigned integers, got {dtype} of "
            f"shape {tuple(image.shape)}; remove it from the benchmark"
        )
    stored = image.numpy()
    if area is not None:
        columns, rows = window_of(Area(path, area), image.meta["affine"], stored.shape[1:])
        stored = stored[:, columns, rows]
    levels = int(np.iinfo(dtype).max)
    values = stored.swapaxes(1, 2).astype(dtype).astype(np.float64) / levels
    return np.ascontiguousarray(values), levels, _whole(levels)


def _whole(levels: int) -> Ends:
    return np.array([[0.0, levels]])


def read_volume(files: Files) -> Array:
    """Read a volume of one channel as (slices, rows, columns), float64 in [0, 1].

    The last one is kept, as long as its files stay as they are.

    Raises:
        BadImageError: if it cannot be read or is something else.
    """
    times = (file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    return _volume(files, tuple(times))


@lru_cache(maxsize=1)
def _volume(files: Files, _times: tuple[int, ...]) -> Array:
    values, meta = _scaled(files)
    if values.ndim != 4 or values.shape[0] != 1:
        raise BadImageError(
            f"{files[0]}: must be a volume of one channel, got shape {values.shape}; remove it"
        )
    (slice_axis,) = set(range(3)) - set(enlarged_axes(meta, 3))
    return np.ascontiguousarray(np.moveaxis(values[0], slice_axis, 0).swapaxes(1, 2))


def is_volume(files: Files) -> bool:
    """Tell whether an image has slices.

    Raises:
        BadImageError: if it cannot be read.
    """
    if is_plain_photo(files[0]):
        return False
    return len(files) > 1 or load_image(files[0]).ndim == 4


def photo_pixels(path: Path) -> int:
    """Return how many pixels a photo has, from its header; 0 where it cannot be read."""
    try:
        with Image.open(path, formats=_PILLOW) as image:
            return int(image.width) * int(image.height)
    except _PILLOW_ERRORS:
        return 0


def dicom_patient(files: Files) -> str:
    """Return a name for the patient of a DICOM file that tells nothing; empty where unknown.

    It is the start of the SHA-256 of (0010,0020) Patient ID, PS3.3 C.7.1.1.
    """
    if not format_of(files[0]).has_series:
        return ""
    header = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=["PatientID"])
    identity = str(header.get("PatientID") or "")
    return sha256(identity)[:_ID_DIGITS] if identity else ""


def _scaled(files: Files, square: tuple[int, int] | None = None) -> tuple[Array, dict[str, Any]]:
    image = load_image(files if len(files) > 1 else files[0], AUTO)
    found, facts = kind_of(image.meta), Facts(image.meta)
    if found not in (GRAY, COLOR) or facts.code_bands.size:
        raise BadImageError(
            f"{files[0]}: must hold gray values or colors to be judged, got "
            f"{'codes' if facts.code_bands.size else found} ({facts.kind_reason}); leave it out"
        )
    if square is not None:
        image = image[:, slice(*square), slice(*square)]  # type: ignore[assignment]
    scaled, valid = ScaleToUnit(is_exact=True)(image)
    if valid.numel() and not bool(valid.all()):
        raise BadImageError(
            f"{files[0]}: must have data everywhere, got pixels without (nodata, padding or NaN); "
            "crop it to where there is some"
        )
    return scaled.numpy().astype(np.float64), dict(scaled.meta)


def _photo(path: Path) -> Array:
    try:
        with Image.open(path, formats=_PILLOW) as image:
            frames = getattr(image, "n_frames", 1) if image.format == "PNG" else 1
            if frames > 1:
                raise BadImageError(
                    f"{path}: must hold one image, got {frames} frames; save one frame as PNG"
                )
            is_deep = image.mode == "RGB" and _DEEP_COLORS in image.tile[0]
            upright = ImageOps.exif_transpose(image)
            if upright.mode not in ("L", "RGB", "I;16", "P") or upright.has_transparency_data:
                raise BadImageError(
                    f"{path}: must be a grey or RGB image without transparency, got mode "
                    f"{image.mode}; convert it"
                )
            if is_deep:
                deep: Array = load_image(path).numpy().astype(np.uint16).transpose(2, 1, 0)
                return deep
            return np.asarray(upright.convert("RGB") if upright.mode == "P" else upright)
    except _PILLOW_ERRORS as error:
        raise BadImageError(
            f"{path}: must be a readable image, got {type(error).__name__}; replace the file"
        ) from error

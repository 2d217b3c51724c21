"""Name the images of a benchmark, match them with given small ones, and download them."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.apps.utils import download_url, extractall

from monai_sr.core import BadImageError, OptionError, PathLike, file_sha256, get_logger, sha256
from monai_sr.evaluation.decoding import Files
from monai_sr.formats import dependencies, image_stem
from monai_sr.training import list_images, match_names

_logger = get_logger(__name__)
_SHOWN = 5  # names in a message


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
        parts = [file_sha256(file) for file in files]
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
        BadImageError: if files of one side lack a partner, or have several; they are named.
    """
    if not folder.is_dir():
        raise BadImageError(f"{folder}: must be the folder of the x{scale} images; check lr_root")
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name[0] != ".")
    places = match_names([image_stem(r) for r in references], [image_stem(f) for f in files], scale)
    missing = [r.name for r, found in zip(references, places, strict=True) if not found]
    if missing:
        raise _mismatch(folder, f"a partner at x{scale} of every reference, none found of", missing)
    found = [files[several[0]] for several in places]
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

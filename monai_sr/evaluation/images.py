"""Name the images of a benchmark, and list those of any folder."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core.errors import BadImageError, OptionError
from monai_sr.evaluation.decoding import Files
from monai_sr.formats.identity import dependencies
from monai_sr.training.training_images import list_images


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
        parts = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return hashlib.sha256(f"{parts} {self.slice_index}".encode()).hexdigest()


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
        name = shown.name.split(".")[0] if shown.name.endswith(".gz") else shown.stem
        label = "" if shown.parent == Path() else shown.parent.as_posix()
        found.append(BenchmarkImage(path, name or root.resolve().name, label, series=series))  # type: ignore[arg-type]
    names = [(image.label, image.name) for image in found]
    if len(set(names)) < len(names):  # a.png beside a.tif
        found = [dataclasses.replace(image, name=image.path.name) for image in found]
    return found

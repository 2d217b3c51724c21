"""The files of one run: what the input names, what each result is called, what is unreadable."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai.data import Dataset

from monai_sr.apps.manifest import Manifest
from monai_sr.core.errors import BadImageError, SRError, user_message
from monai_sr.core.types import PathLike
from monai_sr.readers import find_series, is_dicom
from monai_sr.writers import check_output_size, output_suffix, plan_outputs

logger = logging.getLogger(__name__)

# Files that belong to an image beside them; they are no inputs of their own.
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".tfw", ".pgw", ".jgw", ".wld", ".prj")
_NO_SUFFIX = ".unreadable"


class FileDataset(Dataset):
    """Everything that one input names, each with the path of its result.

    An item is {"image": path, or paths of a DICOM series, "output": path, "source": name}, passed
    through ``transform``. A file that cannot be used becomes {"error": message, "source": name},
    so that one bad file never ends a run.

    Args:
        data: a file, a folder of one DICOM series, or a folder of mixed files (searched with its
            subfolders; hidden files and what lies in ``output_dir`` are left out).
        transform: loads and prepares a sample.
        output_dir: where results go; subfolders of the input are repeated there.
        scale: factor, part of the results' names.

    Raises:
        BadImageError: if the input is missing or holds no file.
    """

    def __init__(
        self,
        data: PathLike | None,
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        output_dir: PathLike,
        scale: int,
    ) -> None:
        self.root = _existing(data)
        self.output_dir = Path(output_dir)
        self.scale = scale
        found = _find(self.root, self.output_dir)
        if not found:
            raise BadImageError(f"{data}: holds no file to enlarge; name a file or another folder")
        names = list(found)
        root = self.root if self.root.is_dir() else self.root.parent
        if names == [self.root]:
            root = self.root.parent
        planned = plan_outputs(names, root, self.output_dir, scale, self._suffix_of(found))
        items = []
        for name, output in zip(names, planned, strict=True):
            files = [str(f) for f in found[name]]
            image = files if len(files) > 1 else files[0]
            items.append({"image": image, "output": str(self._free(output, name)), "source": name})
        super().__init__(items, transform)

    @staticmethod
    def _suffix_of(found: dict[Path, list[Path]]) -> Callable[[Path], str]:
        def suffix(name: Path) -> str:
            if len(found[name]) > 1:
                return ""
            try:
                return output_suffix(found[name][0])
            except SRError:
                # Its reader will say what is wrong with it.
                return _NO_SUFFIX

        return suffix

    def _free(self, output: Path, source: Path) -> Path:
        """Keep a result that an earlier run made from another input."""
        origin = Manifest(self.output_dir).source_of(output)
        if not output.exists() or origin == str(source.resolve()):
            return output
        digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
        mark = f"_x{self.scale}"
        stem, _, rest = output.name.rpartition(mark)
        return output.with_name(f"{stem}_{digest}{mark}{rest}")

    def _transform(self, index: int) -> dict[str, Any]:
        item = self.data[index]
        source = str(item["source"])
        try:
            sample = dict(self.transform({k: v for k, v in item.items() if k != "source"}))
            image = sample["image"]
            axes = [s * self.scale for s in image.shape[1:3]]
            check_output_size(output_suffix(image.meta), [image.shape[0], *axes], source)
            sample["source"] = source
            return sample
        except (
            Exception
        ) as error:  # any failure of one file is reported with it, and the run goes on
            return {"error": failure(error, source), "source": source}


def failure(error: BaseException, source: str) -> str:
    """Return one line on a failed file: ours if there is one, else the kind and its first line."""
    message = user_message(error)
    if message is not None:
        return message
    logger.debug("unexpected failure", exc_info=error)
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error).splitlines() or [""])[0]
    kind = type(error).__name__
    return f"{source}: could not be enlarged ({kind}: {first}); see MONAI_SR_TRACEBACK=1"


def _existing(data: PathLike | None) -> Path:
    if data is None or str(data) == "":
        raise BadImageError("input: no file or folder given; add --input PATH")
    path = Path(data)
    if not path.exists():
        raise BadImageError(f"{data}: no such file or folder; check --input")
    return path


def _find(root: Path, output_dir: Path) -> dict[Path, list[Path]]:
    """Return name -> files: one entry for each plain file and each DICOM series."""
    if root.is_file():
        return {root: [root]}
    outputs = output_dir.resolve()
    files = [
        f
        for f in sorted(root.rglob("*"))
        if f.is_file()
        and not any(part.startswith(".") for part in f.relative_to(root).parts)
        and not f.name.lower().endswith(_SIDECARS)
        and f.name != "DICOMDIR"
        and (outputs == root.resolve() or outputs not in f.resolve().parents)
    ]
    found: dict[Path, list[Path]] = {}
    dicom = {f for f in files if is_dicom(f)}
    for folder in sorted({f.parent for f in dicom}):
        series = [s for s in find_series(folder) if set(s) <= dicom]
        volumes = [s for s in series if len(s) > 1]
        for number, volume in enumerate(volumes, start=1):
            alone = len(series) == 1
            found[folder if alone else folder / f"series_{number}"] = volume
        found.update({s[0]: s for s in series if len(s) == 1})
    grouped = {f for group in found.values() for f in group}
    found.update({f: [f] for f in files if f not in grouped})
    return dict(sorted(found.items()))

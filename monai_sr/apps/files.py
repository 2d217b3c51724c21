"""The files of one run: what the input names, what each result is called, what is unreadable."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset, MetaTensor

from monai_sr.apps.aliases import Aliases
from monai_sr.apps.manifest import Manifest
from monai_sr.core.errors import BadImageError, OutputError, SRError, user_message
from monai_sr.core.memory import check_memory
from monai_sr.core.types import PathLike
from monai_sr.geometry.target_grid import scaled_sizes
from monai_sr.readers import find_series, is_dicom
from monai_sr.reports import report_path
from monai_sr.transforms.grid import enlarged_axes, planned_sizes
from monai_sr.writers import check_output_size, output_suffix, plan_outputs
from monai_sr.writers.dicom_deidentify import require_dicom
from monai_sr.writers.dicom_map import check_map_size
from monai_sr.writers.dicom_pixel_module import check_dicom_size
from monai_sr.writers.naming import result_mark
from monai_sr.writers.uncertainty import uncertainty_path

logger = logging.getLogger(__name__)

# Files that belong to an image beside them; they are no inputs of their own.
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".tfw", ".pgw", ".jgw", ".wld", ".prj")
_NO_SUFFIX = ".unreadable"
# From the network's result to the file: measured 26 (uint8) to 32 (int32, float32), input included.
_BYTES_PER_VALUE = 24


class FileDataset(Dataset):
    """Everything that one input names, each with the path of its result.

    An item is {"image": path, or paths of a DICOM series, "output": path, "source": name,
    "origin": name for the record}, its first two passed through ``transform``. A file that cannot
    be used becomes {"error": message} with the last two, so that one bad file never ends a run.

    Args:
        data: a file, a folder of one DICOM series, or a folder of mixed files (searched with its
            subfolders; hidden files and what lies in ``output_dir`` are left out).
        transform: loads and prepares a sample.
        output_dir: where results go; subfolders of the input are repeated there.
        scale: factor, part of the results' names.
        spacing: spacing in mm in its place.
        deidentify: name inputs and results by a hash of their content, in one flat folder, and
            refuse formats other than DICOM.
        uncertainty: a map will be written beside each result: refuse at once where it cannot be.

    Raises:
        BadImageError: if the input is missing or holds no file.
    """

    def __init__(
        self,
        data: PathLike | None,
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        output_dir: PathLike,
        scale: float,
        spacing: float | Sequence[float | None] | None = None,
        deidentify: bool = False,
        uncertainty: bool = False,
    ) -> None:
        self.root = _existing(data)
        self.uncertainty = uncertainty
        self.output_dir = Path(str(output_dir))
        self.scale = scale
        self.mark = result_mark(scale, spacing)
        self._made_from = Manifest(self.output_dir).sources()
        found = _find(
            self.root,
            self.output_dir,
            _with_maps(self._made_from) | _recorded(self.root, not deidentify),
            not deidentify,
        )
        if not found:
            raise BadImageError(f"{data}: holds no file to enlarge; name a file or another folder")
        root = self.root if self.root.is_dir() else self.root.parent
        if list(found) == [self.root]:
            root = self.root.parent
        self._aliases = Aliases(found) if deidentify else None
        if self._aliases is not None:
            found, root = self._aliases.found, self._aliases.folder
        suffix_of = self._suffix_of(found)
        planned = plan_outputs(list(found), root, self.output_dir, scale, suffix_of, spacing)
        items = []
        for (name, files), output in zip(found.items(), planned, strict=True):
            origin = self._shown(name) if self._aliases else os.path.abspath(name)
            items.append(
                {
                    "image": [str(f) for f in files] if len(files) > 1 else str(files[0]),
                    "output": str(self._free(output, origin)),
                    "source": self._shown(name),
                    "origin": origin,
                }
            )
        super().__init__(items, transform)

    @staticmethod
    def _suffix_of(found: dict[Path, list[Path]]) -> Callable[[Path], str]:
        def suffix(name: Path) -> str:
            if len(found[name]) > 1:
                return ""
            try:
                return output_suffix(found[name][0])
            except (SRError, UnicodeError):
                # Its reader will say what is wrong with it, or with its name.
                return _NO_SUFFIX

        return suffix

    def _shown(self, text: object) -> str:
        return str(text) if self._aliases is None else self._aliases.shown(text)

    def _free(self, output: Path, origin: str) -> Path:
        """Keep a result that an earlier run made from another input."""
        if not output.exists() or self._made_from.get(output) == origin:
            return output
        digest = hashlib.sha256(os.fsencode(origin)).hexdigest()[:8]
        stem, _, rest = output.name.rpartition(self.mark)
        return output.with_name(f"{stem}_{digest}{self.mark}{rest}")

    def _transform(self, index: int) -> dict[str, Any]:
        item = self.data[index]
        source = item["source"]
        named = {"source": source, "origin": item["origin"]}
        try:
            sample = dict(self.transform({k: item[k] for k in ("image", "output")}))
            if self._aliases is not None:
                require_dicom(sample["image"].meta, source)
            _check_size(sample["image"], self.scale, source, self.uncertainty)
            return {**sample, **named}
        except Exception as error:  # a failed file is reported, and the run goes on
            return {"error": self._shown(failure(error, source)), **named}


def _check_size(image: MetaTensor, scale: float, source: str, has_map: bool) -> None:
    """Refuse before inference what the format of the result cannot hold."""
    sizes = planned_sizes(image.meta, image.ndim - 1)
    if sizes is None:
        axes = enlarged_axes(image.meta, image.ndim - 1)
        sizes = scaled_sizes(image.shape[1:], scale, axes)
    shape = [image.shape[0], *sizes]
    suffix = output_suffix(image.meta)
    check_output_size(suffix, shape, source)
    check_memory(source, shape, _BYTES_PER_VALUE, "choose a smaller scale")
    if suffix in (".dcm", ""):
        check_dicom_size(source, image.meta, shape)
        if has_map:
            check_map_size(source, shape)


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
    path = Path(str(data))  # a name such as 2021 arrives from MONAI's command as a number
    if not path.exists():
        raise BadImageError(f"{data}: no such file or folder; check --input")
    # "." and ".." give results no name.
    return path.resolve() if path.name in ("", "..") else path


def _with_maps(results: Iterable[Path]) -> set[Path]:
    """Add the maps of uncertainty and the reports that may lie beside results."""
    made = set(results)
    return made | {beside(result) for result in made for beside in (uncertainty_path, report_path)}


def _recorded(root: Path, is_named: bool) -> set[Path]:
    """Return the results that earlier runs left in subfolders of the input.

    Not those in the input folder itself: naming a folder of results means to enlarge them again.
    """
    results: set[Path] = set()
    for record in root.glob(f"*/**/{Manifest.name}"):
        try:
            results |= _with_maps(Manifest(record.parent).sources())
        except OutputError as error:
            logger.warning("%s", error if is_named else "the record of an earlier run is damaged")
    return results


def _find(
    root: Path, output_dir: Path, results: set[Path], is_named: bool
) -> dict[Path, list[Path]]:
    """Return name -> files: one entry for each plain file and each DICOM series.

    ``results`` of earlier runs are left out, and all of ``output_dir`` where it is not ``root``.
    Warnings show names only where ``is_named``.
    """
    if root.is_file():
        return {root: [root]}
    outputs = {path.resolve() for path in results}
    if output_dir.resolve() != root.resolve():
        outputs.add(output_dir.resolve())
    for link in root.rglob("*"):
        if link.is_symlink() and not link.is_file():
            name = link if is_named else "a link"
            logger.warning("%s: links to folders and broken links are not followed", name)
    files = [
        f
        for f in sorted(root.rglob("*"))
        if f.is_file()
        and not any(part.startswith(".") for part in f.relative_to(root).parts)
        and not f.name.lower().endswith(_SIDECARS)
        and f.name not in ("DICOMDIR", Manifest.name)
        and outputs.isdisjoint((f.resolve(), *f.resolve().parents))
    ]
    found: dict[Path, list[Path]] = {}
    dicom = {f for f in files if is_dicom(f)}
    for folder in sorted({f.parent for f in dicom}):
        series = [s for s in find_series(folder) if set(s) <= dicom]
        volumes = [s for s in series if len(s) > 1]
        for volume in volumes:
            # Several in one folder go by their first files: the names stay when others come.
            name = folder if len(series) == 1 else folder / f"{volume[0].stem}_series"
            while name.exists() and name != folder:
                name = name.with_name(f"{name.name}_series")
            found[name] = volume
        found.update({s[0]: s for s in series if len(s) == 1})
    grouped = {f for group in found.values() for f in group}
    found.update({f: [f] for f in files if f not in grouped})
    return dict(sorted(found.items()))

"""Enlarges the images of a BIDS data set into a BIDS derivatives data set.

BIDS 1.10, "Dataset description" (GeneratedBy, SourceDatasets, DatasetLinks), "BIDS URI" and
"Derivatives". Its schema (1.2) lets ``.bval`` and ``.bvec`` have neither ``res`` nor ``desc``: they
keep their names and hold for all results of an image by the inheritance principle.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from monai_sr.catalogs.bids_names import BidsName, applying, find_images, res_label
from monai_sr.catalogs.bids_sidecar import (
    MADE,
    RAW,
    Grids,
    as_text,
    inherited,
    provenance_in,
    read_json,
    record_of,
    side_car,
)
from monai_sr.core import (
    PART,
    BadImageError,
    OptionError,
    OutputError,
    PathLike,
    SRError,
    appear_together,
    atomic_file,
    file_sha256,
    get_logger,
    printable,
    sweep,
    unknown_name,
)
from monai_sr.core.version import __version__
from monai_sr.formats import input_digest, replacing
from monai_sr.upscaling import FileResult, FileUpscaler, RunLog

logger = get_logger(__name__)

_DESCRIPTION = "dataset_description.json"
_VERSION = "1.10.0"
# Folders of images that are enlarged unless told: those with rules for derived volumes.
_DATATYPES = ("anat", "func", "dwi")
_REFUSED = ("probseg",)  # shares of a class; what refuses them says why
# Files that belong to an image and stay true: suffix of the image -> suffix, extension.
_BESIDE = {"dwi": (("dwi", ".bval"), ("dwi", ".bvec")), "asl": (("aslcontext", ".tsv"),)}

_README = """# Enlarged images

Made by monai-sr of the data set that `dataset_description.json` names under `SourceDatasets`.

Each image `..._res-LABEL_..._desc-sr_SUFFIX` has the outer edges of its source and more, smaller
voxels. Its JSON file says how small (`Resolution`), of what it was made (`Sources`: `bids:raw:` is
the source data set), by which method, version and weights, and how well the result, shrunk again,
agrees with the source (`SuperResolution`, `Agreement`: PSNR in dB, share of voxels that are off by
more than one stored unit, and the largest difference). Entries of the source that hold for larger
voxels only are left out.

Detail beyond the measured resolution is estimated, not measured: these images serve display and
processing on a finer grid, and are not for primary diagnosis. Files `.bval` and `.bvec` keep their
names and hold for every result of their image.
"""


@dataclass(frozen=True)
class _Image:
    """An image of a data set: its place, the name, and its folder as a path within the data set."""

    file: Path
    name: BidsName
    folder: Path

    @property
    def path(self) -> str:
        return (self.folder / self.file.name).as_posix()


def upscale_bids(
    dataset: PathLike,
    output_dir: PathLike,
    upscaler: FileUpscaler,
    *,
    participants: Collection[str] = (),
    suffixes: Collection[str] = (),
) -> list[FileResult]:
    """Enlarge the images of a BIDS data set into a derivatives data set.

    Results are called ``<entities>_res-<scale>_desc-sr_<suffix>``. What is there already, made of
    the same input by the same means, is skipped, so that an interrupted run goes on; its JSON file
    is made anew where the input's have changed. Derivatives inside of the data set, its other files
    and ``participants.tsv`` are left alone.

    Args:
        dataset: folder with ``dataset_description.json``.
        output_dir: of the results: new, or of an earlier run on this data set.
        upscaler: enlarges an image.
        participants: labels, with or without "sub-"; none: all.
        suffixes: of images: "T1w", "bold"; none: all of the folders anat, func and dwi.

    Returns:
        One result for each image.

    Raises:
        BadImageError: if the data set is none, or holds nothing to enlarge.
        OptionError: if a participant or a suffix is not there.
        OutputError: if the results cannot be written, or the folder holds something else.
        RunFailedError: after the run, if some images failed.
    """
    root, output = Path(dataset), Path(output_dir)
    described = _described(root)
    images = _chosen(root, participants, suffixes)
    _check_place(root, output)
    _write_description(root, output, described)
    mark = upscaler.mark if upscaler.mark.startswith("_x") else f"{upscaler.mark}mm"
    run = _Run(root, output, upscaler, res_label(mark), _is_raw(described))
    log = RunLog(len(images))
    for image in images:
        log.add(run.enlarge(image))
    log.finish()
    return log.results


@dataclass(frozen=True)
class _Run:
    """What all images of a run share."""

    root: Path
    output: Path
    upscaler: FileUpscaler
    res: str
    is_raw: bool

    def enlarge(self, image: _Image) -> FileResult:
        """Make, or keep, the result of one image; failures are told in it."""
        folder = self.output / image.folder
        target = folder / str(image.name.enlarged(self.res))
        named = FileResult(str(image.file), os.path.abspath(image.file))
        try:
            entries = inherited(applying(self.root, image.file, image.name, ".json"))
            made = self._made_before(image, target)
            if made is not None:
                self._write_beside(image, folder, target, entries, made)
                self._remove_older(image, folder)
                return replace(named, output=str(target), is_skipped=True)
            sweep(folder, f".*{PART}")
            with replacing(target):
                result = self._make(image, folder, target.name, entries)
            self._remove_older(image, folder)
            return result
        except SRError as error:
            return replace(named, error=" ".join(str(error).splitlines()))

    def _make(self, image: _Image, folder: Path, name: str, entries: dict[str, Any]) -> FileResult:
        with appear_together(folder) as hidden:
            result = self.upscaler(image.file, hidden)
            made = Path(str(result.output)).rename(hidden / name)
            facts = record_of(
                provenance_in(made),
                Kind=result.kind,
                Factors=Grids.of(image.file, made).factors(),
                Agreement={
                    "LRPSNR": result.lr_psnr,
                    "OffByOneShare": result.off_share,
                    "WorstOff": result.worst_off,
                },
                InputSHA256=result.input_sha256,
                OutputSHA256=file_sha256(made),
                MadeBy=result.made_by,
            )
            self._write_beside(image, hidden, made, entries, facts)
        target = folder / name
        return replace(result, output=str(target), files=(str(target), str(_json_of(target))))

    def _made_before(self, image: _Image, target: Path) -> dict[str, Any] | None:
        """Return how the result was made that is there, if it would be made so again."""
        beside = _json_of(target)
        if not (target.is_file() and beside.is_file()):
            return None
        try:
            made = read_json(beside).get(MADE)
        except BadImageError:  # ours, damaged: it is made anew
            return None
        if not isinstance(made, dict):
            return None
        try:
            found = (input_digest(str(image.file)), file_sha256(target, anew=True))
        except OSError:
            return None  # the reader will say what is wrong with it
        wanted = (*found, self.upscaler.fingerprint(image.file))
        keys = ("InputSHA256", "OutputSHA256", "MadeBy")
        return made if tuple(made.get(key) for key in keys) == wanted else None

    def _write_beside(
        self,
        image: _Image,
        folder: Path,
        result: Path,
        entries: dict[str, Any],
        made: dict[str, Any],
    ) -> None:
        """Write the files beside a result into a folder, as far as they are not there."""
        grids = Grids.of(image.file, result)
        entries = side_car(entries, grids, made, [image.path], is_raw=self.is_raw)
        _write(folder / _json_of(result).name, as_text(entries).encode())
        for name, source in self._beside(image):
            if source is not None:
                _write(folder / name, source.read_bytes())

    def _remove_older(self, image: _Image, folder: Path) -> None:
        """Remove files of an earlier run that the input has no more."""
        for name, source in self._beside(image):
            if source is None:
                (folder / name).unlink(missing_ok=True)

    def _beside(self, image: _Image) -> Iterator[tuple[str, Path | None]]:
        """Yield the name of each file beside a result, and the file that it is a copy of."""
        for suffix, extension in _BESIDE.get(image.name.suffix, ()):
            found = applying(self.root, image.file, image.name, extension, suffix)
            name = replace(image.name, suffix=suffix, extension=extension)
            yield str(name), found[-1] if found else None


def _json_of(result: Path) -> Path:
    return result.with_name(f"{result.name.partition('.')[0]}.json")


def _write(file: Path, content: bytes) -> None:
    if not file.is_file() or file.read_bytes() != content:
        with atomic_file(file) as partial:
            partial.write_bytes(content)


def _described(root: Path) -> dict[str, Any]:
    """Return the description of a data set."""
    if not root.is_dir():
        raise BadImageError(f"{root}: must be the folder of a BIDS data set; check the input")
    if not (root / _DESCRIPTION).is_file():
        raise BadImageError(
            f"{root}: must be a BIDS data set, got a folder without {_DESCRIPTION}; name its "
            "root, or leave --bids out"
        )
    return read_json(root / _DESCRIPTION)


def _is_raw(described: dict[str, Any]) -> bool:
    return bool(described.get("DatasetType", "raw") == "raw")


def _chosen(root: Path, participants: Collection[str], suffixes: Collection[str]) -> list[_Image]:
    """Return the images that were asked for, and say which others there are."""
    found: list[_Image] = []
    for file, name in find_images(root):
        if name is None:
            logger.warning("%s: no name of BIDS at this place; left out", printable(file))
        else:
            found.append(_Image(file, name, file.parent.relative_to(root)))
    labels = {label.removeprefix("sub-") for label in participants}
    _check("participant_label", labels, {image.name.label("sub") for image in found})
    _check("bids_suffix", suffixes, {image.name.suffix for image in found})
    others: Counter[str] = Counter()
    chosen: list[_Image] = []
    for image in found:
        suffix = image.name.suffix
        if labels and image.name.label("sub") not in labels:
            continue
        is_usual = image.folder.name in _DATATYPES and suffix not in _REFUSED
        if suffix in suffixes if suffixes else is_usual:
            chosen.append(image)
        else:
            others[suffix] += 1
    if others and not suffixes:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        logger.info("left out unless --bids_suffix names them: %s", counts)
    if not chosen:
        raise BadImageError(
            f"{root}: holds no NIfTI image to enlarge in {', '.join(_DATATYPES)}; check "
            "--participant_label and --bids_suffix"
        )
    return chosen


def _check(option: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise unknown_name(option, name, sorted(known))


def _check_place(root: Path, output: Path) -> None:
    inside = output.resolve()
    home = root.resolve()
    if inside.is_relative_to(home) and not inside.is_relative_to(home / "derivatives"):
        raise OptionError(
            f"output_dir: must lie outside of the data set or in its derivatives folder, got "
            f"{output}; name {root / 'derivatives' / 'monai-sr'}"
        )
    if inside == home / "derivatives":
        raise OptionError(
            f"output_dir: must be a folder of its own, got {output}; name {output / 'monai-sr'}"
        )


def _write_description(root: Path, output: Path, described: dict[str, Any]) -> None:
    """Write what the derivatives data set is; refuse a folder of somebody else."""
    file = output / _DESCRIPTION
    generated = [{"Name": "monai-sr", "Version": __version__}]
    if file.is_file():
        earlier = read_json(file)
        _check_earlier(file, earlier, root)
        known = [each for each in earlier["GeneratedBy"] if each not in generated]
        generated = known + generated
    elif output.is_dir() and any(not entry.name.startswith(".") for entry in output.iterdir()):
        raise OutputError(
            f"{output}: must be empty or hold results of --bids, got other files; choose another "
            "output folder"
        )
    link = _link(root, output)
    source = {"URL": link}
    if described.get("DatasetDOI"):
        source["DOI"] = described["DatasetDOI"]
    name = described.get("Name") or root.resolve().name
    entries = {
        "Name": f"{name}: enlarged by monai-sr",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": generated,
        "SourceDatasets": [source],
        "DatasetLinks": {RAW: link},
    }
    if described.get("License"):
        entries["License"] = described["License"]
    _write(file, as_text(entries).encode())
    if not (output / "README.md").exists():
        _write(output / "README.md", _README.encode())


def _check_earlier(file: Path, earlier: dict[str, Any], root: Path) -> None:
    makers = earlier.get("GeneratedBy")
    is_ours = isinstance(makers, list) and any(
        isinstance(maker, dict) and maker.get("Name") == "monai-sr" for maker in makers
    )
    links = earlier.get("DatasetLinks")
    link = str(links.get(RAW)) if isinstance(links, dict) else ""
    home = Path(unquote(link.removeprefix("file://")))
    is_of_root = (file.parent.resolve() / home).resolve() == root.resolve()
    if not (is_ours and is_of_root):
        raise OutputError(
            f"{file.parent}: must be new or hold results of {root}, got those of another "
            "data set or program; choose another output folder"
        )


def _link(root: Path, output: Path) -> str:
    """Return where the input lies, seen from the results; moved together, both still agree."""
    try:
        return quote(Path(os.path.relpath(root.resolve(), output.resolve())).as_posix())
    except ValueError:  # another drive
        return root.resolve().as_uri()

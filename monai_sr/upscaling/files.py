"""The files of one run: what the input names, what each result is called, what is unreadable."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset, MetaTensor

from monai_sr.core import (
    PART,
    BadImageError,
    PathLike,
    check_memory,
    get_logger,
    sha256,
    sweep,
    user_message,
)
from monai_sr.core import shown as shown_name
from monai_sr.formats import (
    CLASSES,
    Facts,
    announce,
    check_output_size,
    format_of_meta,
    input_digest,
    input_record,
    output_suffix,
    plan_outputs,
    read_key,
    report_path,
    result_mark,
    spacing_unit,
    split_part,
)
from monai_sr.geometry import scaled_sizes
from monai_sr.transforms import enlarged_axes, planned_sizes
from monai_sr.upscaling.far_inputs import FarInputs
from monai_sr.upscaling.given import Given
from monai_sr.upscaling.inputs import Inputs, find_inputs, one_series
from monai_sr.upscaling.manifest import Manifest, is_done
from monai_sr.upscaling.scene import Scenes
from monai_sr.upscaling.temporary import Aliases, Archives, Products

logger = get_logger(__name__)

FACTS = ("source", "origin", "input_sha256", "made_by")
"""What a sample says about its input, whatever becomes of it."""

FOUND = "found"
"""Of a raster in windows: what was measured of it, see :class:`monai_sr.formats.Facts`."""

_NO_SUFFIX = ".unreadable"
# From the network's result to the file: measured 26 (uint8) to 32 (int32, float32), input included.
_BYTES_PER_VALUE = 24


class FileDataset(Dataset):
    """Everything that one input names, each with the path of its result.

    An item is {"image": path, or paths of a DICOM series, "output": path, "source": name,
    "origin": name for the record}, its first two passed through ``transform``, and with "classes"
    where a scene classification belongs beside the result. A file that cannot
    be used becomes {"error": message} with the last two, so that one bad file never ends a run.

    Args:
        data: what :func:`monai_sr.upscaling.inputs.find_inputs` takes: a file, a folder, a zip, a
            DICOMDIR, a Sentinel-2 product, a pattern or a list, or several of these.
        transform: loads and prepares a sample.
        output_dir: where results go; subfolders of the input are repeated there.
        scale: factor, part of the results' names.
        spacing: spacing in its place, in mm, of rasters in units of the reference system.
        deidentify: name inputs and results by a hash of their content, in one flat folder.
        deidentify_key: a file with a secret, which keys that hash and the checksums on record.
        uncertainty: a map will be written beside each result: refuse at once where it cannot be.
        scenes: decides which rasters are not held in memory; their items are {"scene": path,
            "output": path} with the last two. None: all are.
        made_by: fingerprint of the run's weights and options, for the record.
        skip_done: leave out what the manifest records as made of the same input by the same means,
            if it is still there.
        items: inputs that were planned elsewhere, in place of ``data``; none of them where
            :meth:`of_one` or :meth:`of_all` will name inputs.
        report: a page will be written beside each result.

    Attributes:
        no_images: how many files among the inputs do not claim to be images.
        failure: what made the last input that failed while it was read fail.

    Raises:
        BadImageError: if the input is missing or holds no file.
    """

    def __init__(
        self,
        data: Given,
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        output_dir: PathLike,
        scale: float,
        spacing: float | Sequence[float | None] | None = None,
        deidentify: bool = False,
        deidentify_key: PathLike | None = None,
        uncertainty: bool = False,
        scenes: Scenes | None = None,
        made_by: str = "",
        skip_done: bool = False,
        items: Sequence[dict[str, Any]] | None = None,
        report: bool = False,
    ) -> None:
        self._key = read_key(deidentify_key, deidentify)
        self.uncertainty, self.report = uncertainty, report
        self.scenes = scenes
        self.output_dir = Path(str(output_dir))
        self.scale = scale
        self.mark = result_mark(scale, spacing, "")
        self.made_by = made_by
        self.skip_done = skip_done
        self.no_images = 0
        self.failure: Exception | None = None
        self._ready: dict[str, Any] | None = None
        self._aliases: Aliases | None = None
        self._archives: Archives | None = None
        self._far: FarInputs | None = None
        self._spacing, self._deidentify = spacing, deidentify
        planned = self._planned(data) if items is None else list(items)
        super().__init__(planned, transform)
        self._sweep()
        self._products = _products_of(planned)

    def adopt(
        self,
        plan: FileDataset | None,
        items: Sequence[dict[str, Any]],
        ready: dict[str, Any] | None = None,
    ) -> None:
        """Take over some of the inputs that another dataset has found and named.

        Args:
            plan: the other, whose aliases and unpacked archives are shared; None: there are none.
            items: of ``plan.data``.
            ready: what another dataset has read of the one item: given once in place of reading it.
        """
        self._ready = ready
        self.data = list(items)
        self._aliases = None if plan is None else plan._aliases
        self._archives = None if plan is None else plan._archives
        self._far = None if plan is None else plan._far
        self._products = _products_of(items)

    def of_all(self, data: Given, output_dir: PathLike) -> FileDataset:
        """Return a dataset of everything that an input names by the options of this one.

        Raises:
            BadImageError: if the input is missing or holds no file.
        """
        other = copy.copy(self)
        other.output_dir = Path(str(output_dir))
        other.data = other._planned(data)
        other._sweep()
        other._products = _products_of(other.data)
        return other

    def of_one(
        self,
        source: PathLike | Sequence[PathLike],
        output_dir: PathLike,
        made: Mapping[Path, str] | None = None,
    ) -> FileDataset:
        """Return a dataset of one input by the options of this one, and without a record.

        Args:
            source: what holds one image: a file, or the folder of one DICOM series; or the files of
                one series.
            output_dir: where the result goes.
            made: absolute paths of results of earlier calls -> origins of their inputs. Of the same
                input they are replaced; whatever else has the result's name is kept.

        Raises:
            BadImageError: the input is missing, or holds none or several.
        """
        one = copy.copy(self)
        one.output_dir = Path(str(output_dir))
        one._recorded, one._begun = {}, dict(made or {})
        if isinstance(source, str | os.PathLike):
            inputs = find_inputs(source, one.output_dir, (), not self._deidentify)
        else:
            inputs = one_series([Path(file) for file in source])
        one.data = one._plan(inputs)
        if len(one.data) != 1:
            raise BadImageError(
                f"{source}: must be one image or one series, got {len(one.data)}; give them one by "
                "one, or use monai-sr upscale"
            )
        if "refused" in one.data[0]:
            raise BadImageError(one.data[0]["refused"])
        return one

    def _planned(self, data: Given) -> list[dict[str, Any]]:
        manifest = Manifest(self.output_dir)
        self._recorded, self._begun = manifest.results(), manifest.begun()
        made = [*self._recorded, *self._begun]
        return self._plan(find_inputs(data, self.output_dir, made, not self._deidentify))

    def _plan(self, inputs: Inputs) -> list[dict[str, Any]]:
        found, root, spacing = inputs.files, inputs.root, self._spacing
        self.no_images, self._archives, self._far = inputs.no_images, inputs.archives, inputs.far
        self._aliases = Aliases(found, self._key) if self._deidentify else None
        if self._aliases is not None:
            found, root = self._aliases.found, self._aliases.folder
        suffix_of = self._suffix_of(found)
        planned = plan_outputs(
            list(found), root, self.output_dir, self.scale, suffix_of, spacing,
            lambda name: spacing_unit(name if name.is_dir() else found[name][0]),
        )  # fmt: skip
        items: list[dict[str, Any]] = [
            {"image": "", "output": "", "refused": message, "source": str(path),
             "origin": os.path.abspath(path)}
            for path, message in inputs.refused.items()
        ]  # fmt: skip
        for (name, files), output in zip(found.items(), planned, strict=True):
            part = len(files) == 1 and split_part(files[0])
            shown = files[0] if part else name
            origin = shown_name(shown if self._aliases else os.path.abspath(shown))
            output = self._free(output, origin)
            items.append(
                {
                    "image": [str(f) for f in files] if len(files) > 1 else str(files[0]),
                    "output": str(output),
                    "source": shown_name(shown),
                    "origin": origin,
                }
            )
            if self.skip_done and output in self._recorded:
                items[-1]["record"] = self._recorded[output]
        return items

    def _sweep(self) -> None:
        """Remove what killed runs have left half-written."""
        outputs = {Path(item["output"]).parent for item in self.data if item.get("output")}
        for folder in {self.output_dir, *outputs} if self.data else ():
            sweep(folder, f".*{PART}")

    @staticmethod
    def _suffix_of(found: dict[Path, list[Path]]) -> Callable[[Path], str]:
        def suffix(name: Path) -> str:
            if len(found[name]) > 1:
                return ""
            if split_part(found[name][0]):
                return ".tif"
            try:
                return output_suffix(found[name][0])
            except Exception:
                # Its reader will say what is wrong with it, or with its name; others are enlarged.
                return _NO_SUFFIX

        return suffix

    @property
    def has_archives(self) -> bool:
        """Tell whether inputs lie in temporary folders of this machine."""
        return bool(self._archives) or bool(self._far)

    def _free(self, output: Path, origin: str) -> Path:
        """Keep a result that an earlier run made from another input."""
        record = self._recorded.get(output)
        source = record["source"] if record else self._begun.get(Path(os.path.abspath(output)))
        if not output.exists() or source == origin:
            return output
        return self.own_name(output, origin)

    def own_name(self, output: Path, origin: str) -> Path:
        """Return a name that the result of no other input has."""
        digest = sha256(origin)[:8]
        stem, _, rest = output.name.rpartition(self.mark)
        return output.with_name(f"{stem}_{digest}{self.mark}{rest}")

    def _transform(self, index: int) -> dict[str, Any]:
        if self._ready is not None:
            ready, self._ready = self._ready, None
            return ready
        item = self.data[index]
        source, image = item["source"], item["image"]
        named = {**{key: item[key] for key in ("source", "origin")}, "input_sha256": ""}
        named["made_by"] = self.made_by
        if "refused" in item:
            return {"error": item["refused"], "is_unexpected": False, **named}
        try:
            digest = _digest_or_nothing(image)
            named["input_sha256"] = self._keyed(digest)
            if self._is_done(item, named["input_sha256"]):
                return {"skipped": item["output"], **named}
            record = input_record(image, digest, source)
            if isinstance(image, str) and split_part(image):
                self._products = self._products or Products()
                image, classes = self._products.raster(image)
                named.update({} if classes is None else {CLASSES: classes})
            if self.scenes and self.scenes.takes(image):
                return {"scene": str(image), "output": item["output"], "input": record, **named}
            sample = dict(self.transform({"image": image, "output": item["output"]}))
            announce(source, sample["image"].meta)
            Facts(sample["image"].meta).input = record
            _check_size(sample["image"], self.scale, source, self.uncertainty)
            return {**sample, **named}
        except Exception as error:  # a failed file is reported, and the run goes on
            self.failure = error
            message = shown_name(failure(error, source).replace(str(image), source))
            return {"error": message, "is_unexpected": user_message(error) is None, **named}

    def _keyed(self, digest: str) -> str:
        """Return what the record keeps of a checksum: who has a file must not find its result."""
        if not self._key or not digest:
            return digest
        return sha256(digest, self._key)

    def _is_done(self, item: dict[str, Any], input_sha256: str) -> bool:
        if "record" not in item:
            return False
        output = Path(item["output"])
        if self.report and not report_path(output).exists():
            return False
        return is_done(item["record"], output, input_sha256, self.made_by, self.uncertainty)


def _products_of(items: Sequence[dict[str, Any]]) -> Products | None:
    """Return a place for parts of Sentinel-2 products, where there are any.

    Before a data loader copies the dataset: the folder is to outlive its workers.
    """
    has_parts = any(isinstance(i.get("image"), str) and split_part(i["image"]) for i in items)
    return Products() if has_parts else None


def _digest_or_nothing(image: str | list[str]) -> str:
    try:
        return input_digest(image)
    except OSError:
        return ""  # its reader will say that it cannot be read


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
    format_of_meta(image.meta).check_result(source, image.meta, shape, has_map=has_map)


def failure(error: BaseException, source: str) -> str:
    """Return one line on a failed file: ours if there is one, else the kind and its first line."""
    message = user_message(error)
    if message is not None:
        return f"{source}: {message}" if message.startswith("memory:") else message
    logger.debug("unexpected failure", exc_info=error)
    while error.__cause__ is not None:
        error = error.__cause__
    first = (str(error).splitlines() or [""])[0]
    kind = type(error).__name__
    return f"{source}: could not be enlarged ({kind}: {first}); see MONAI_SR_TRACEBACK=1"

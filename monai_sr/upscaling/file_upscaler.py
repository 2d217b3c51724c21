"""Enlarges files one by one, or all that an input names, with models that are loaded once."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom

from monai_sr.core import (
    DEFAULT,
    OptionError,
    PathLike,
    SRError,
    find_error,
    find_model,
    get_logger,
    listening,
    printable,
    undisturbed,
)
from monai_sr.formats import classes_path, files_of_gdal, format_of, report_path, uncertainty_path
from monai_sr.upscaling.auto_weights import AutoWeights
from monai_sr.upscaling.choice import choices, planned
from monai_sr.upscaling.degraded import AUTO
from monai_sr.upscaling.engines import Engines
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.given import Given
from monai_sr.upscaling.hint import Hints, may_hint
from monai_sr.upscaling.record import FileResult, RunFailedError, RunRecord

logger = get_logger(__name__)

_OF_A_CALL = ("input", "dataset_dir", "output_dir")
_REMEMBERED = 1000  # results of calls: who calls a million times keeps no million names
_UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


class FileUpscaler:
    """Enlarge one file or series after another; models are loaded once.

    Any number of threads may call one object: each gets what it would get alone, bit for bit. One
    tile at a time is computed, by all of torch's threads, while others read and write. The logging
    of the program stays as it is; what this package says goes to the loggers below "monai_sr".

    Args:
        model: name of a model or bundle ("xray_sr", "natural_sr:fast"; docs/how-to/models.md), or
            folder of a bundle; None: for each input the bundle that fits it by its header.
        progress: whether long computations show a bar on the terminal.
        **options: entries of the bundles' ``inference.yaml``: ``scale=2``, ``device="cpu"``,
            ``uncertainty=True``, ``deidentify=True``, ... ``robust="auto"`` measures each input
            and gives it faithful or robust weights, see :mod:`monai_sr.upscaling.degraded`.

    Raises:
        OptionError: if an option is unknown or does not fit, or there is no such model.

    Example:
        >>> import tempfile
        >>> from pydicom.data import get_testdata_file
        >>> upscaler = FileUpscaler("xray_sr", scale=2, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = upscaler(get_testdata_file("CT_small.dcm"), folder)
        >>> result.size_in, result.size_out, result.bundle, len(result.instance_uids)
        ('128 x 128', '256 x 256', 'xray_sr', 1)
    """

    def __init__(
        self, model: PathLike | None = None, *, progress: bool = False, **options: Any
    ) -> None:
        for name in _OF_A_CALL:
            if name in options:
                raise OptionError(f"{name}: must be given to each call, got it here; leave it out")
        self._given = model, dict(options)
        self._variants: dict[str, FileUpscaler] = {}
        named = None if model is None else find_model(model)
        self._model = None if named is None else named.bundle
        self._options = dict(options) if named is None else named.with_given(options)
        self._system = self._options.pop("system", None)
        self._progress = progress
        self._kind = AutoWeights if self._options.get("robust") == AUTO else Engines
        if may_hint({"system": self._system, **self._options}):
            self._kind = Hints
        self._engines: dict[Path | str, Engines] = {}
        self._made: dict[Path, str] = {}
        self._making: list[tuple[Path, str]] = []
        self._lock = threading.Lock()
        first = self._engines_of(self._model or DEFAULT)  # says what is wrong with an option
        # Where inputs choose, all bundles name and find alike.
        self._template = planned(self._options, []) if named is None else first.dataset

    def __call__(self, source: PathLike | Sequence[PathLike], output_dir: PathLike) -> FileResult:
        """Enlarge one input into a folder, which is made where it is absent.

        The result is called ``<name>_x<scale>``. One that this object has made of the same input is
        replaced, with what lies beside it; another file of that name is kept, and the result is
        called ``<name>_<hash of the input's path>_x<scale>``. It appears whole or not at all. No
        record is kept in the folder.

        Args:
            source: a file, the folder of one DICOM series, or the files of one series.
            output_dir: where the result goes.

        Raises:
            BadImageError: if the input cannot be used, or is not one image.
            OutputError: if the result cannot be written.
            OptionError, WeightsError: if the model does not fit the input or its weights are bad.
            RunFailedError: if it fails of what monai-sr does not foresee; it may pass.
        """
        with listening() as heard:
            with self._lock:
                made = dict(self._made)
            plan = self._template.of_one(source, output_dir, made)
            (item,), (bundle,) = plan.data, self._bundles(plan.data)
            result, failure = self._enlarge_named(plan, item, bundle)
        if result.error:
            raise _own(failure, result.error) from failure
        return replace(_described(result), warnings=tuple(heard))

    def _enlarge_named(
        self,
        plan: FileDataset,
        item: dict[str, Any],
        bundle: Path | str,
        record: RunRecord | None = None,
    ) -> tuple[FileResult, Exception | None]:
        """Enlarge one input while its result's name is kept for it; remember whose that is."""
        if not item["output"]:  # it is refused
            return self._enlarge(plan, item, bundle)
        with self._named(plan, item, record) as output:
            result, failure = self._enlarge(plan, item, bundle)
            if result.output:  # its page alone may have failed
                with self._lock:
                    self._made.pop(output, None)  # the last one made is the last forgotten
                    self._made[output] = item["origin"]
                    while len(self._made) > _REMEMBERED:
                        del self._made[next(iter(self._made))]
            return result, failure

    @contextmanager
    def _named(
        self, plan: FileDataset, item: dict[str, Any], record: RunRecord | None
    ) -> Iterator[Path]:
        """Yield the result's path; where another thread or run took that name, a name apart."""
        origin = item["origin"]
        is_taken = record is not None and not record.begin(origin, item["output"])
        with self._lock:
            output = Path(os.path.abspath(item["output"]))
            owners = {whose for path, whose in self._making if path == output}
            if os.path.exists(output):
                owners.add(self._made.get(output, origin))
            if is_taken := is_taken or bool(owners - {origin}):
                item["output"] = str(plan.own_name(Path(item["output"]), origin))
                output = Path(os.path.abspath(item["output"]))
            self._making.append((output, origin))
        try:
            if is_taken and record is not None:
                record.begin(origin, output)
            yield output
        finally:
            with self._lock:
                self._making.remove((output, origin))

    def upscale_all(self, source: Given, output_dir: PathLike) -> list[FileResult]:
        """Enlarge everything that an input names as one run, with a manifest beside the results.

        Args:
            source: one or several of what :func:`monai_sr.upscaling.inputs.find_inputs` takes.
            output_dir: where results go.

        Returns:
            One result for each input.

        Raises:
            BadImageError: if the input is missing or holds nothing to enlarge.
            OptionError, WeightsError: as :meth:`prepare`.
            OutputError: if the folder cannot be written.
            RunFailedError: after the run, if some inputs failed.
        """
        plan = self.plan(source, output_dir)
        todo = list(zip(plan.data, self._bundles(plan.data, is_said=True), strict=True))
        bundles = dict.fromkeys(bundle for _, bundle in todo)
        # All are built, and their options checked, before the first works for hours.
        for bundle in bundles:
            self._engines_of(bundle).prepare()
        record = RunRecord(plan.output_dir, len(todo), plan.no_images)
        order = list(bundles)
        try:
            for item, bundle in sorted(todo, key=lambda pair: order.index(pair[1])):
                record.add(self._enlarge_named(plan, item, bundle, record)[0])
        finally:
            record.end()
        record.finish()
        return record.results

    def plan(self, source: Given, output_dir: PathLike) -> FileDataset:
        """Find and name everything that an input names; each item is one of :meth:`enlarge`.

        Args:
            source: as for :meth:`upscale_all`.
            output_dir: likewise.

        Raises:
            BadImageError: if the input is missing or holds nothing to enlarge.
        """
        return self._template.of_all(source, output_dir)

    def prepare(self, *bundles: str) -> None:
        """Load models before the first input comes.

        Args:
            *bundles: names, where each input is to have its own; else nothing.

        Raises:
            OptionError: if an option does not fit a bundle, or there is none of that name.
            WeightsError: if weights are missing or do not fit.
        """
        for name in bundles or (self._model or DEFAULT,):
            self._engines_of(name).prepare()

    def made_by(self, bundle: str = "") -> str:
        """Return the fingerprint of code, options and weights; of one bundle, where inputs choose.

        Raises:
            OptionError, WeightsError: as :meth:`prepare`.
        """
        return self._engines_of(bundle or self._model or DEFAULT).dataset.made_by

    def fingerprint(self, source: PathLike | Sequence[PathLike]) -> str:
        """Return what ``made_by`` of the result of an input would be.

        Args:
            source: a file, or the files of one series.

        Raises:
            OptionError, WeightsError: as :meth:`prepare`.
        """
        (bundle,) = self._bundles([{"image": source}])
        return self._engines_of(bundle).dataset.made_by

    @property
    def mark(self) -> str:
        """What names of results end in before their suffix, without the unit of a spacing."""
        return self._template.mark

    def with_defaults(self, **options: Any) -> FileUpscaler:
        """Return an upscaler with more options, as far as this one was not given them.

        It has models of its own, which are loaded when it is first used, and lives as long as this.

        Args:
            **options: as of this class.

        Raises:
            OptionError: if one is unknown or does not fit.
        """
        model, given = self._given
        more = {name: value for name, value in options.items() if given.get(name) is None}
        if not more:
            return self
        key = repr(sorted(more.items()))
        with self._lock:
            if key not in self._variants:
                self._variants[key] = FileUpscaler(
                    model, progress=self._progress, **{**given, **more}
                )
            return self._variants[key]

    def enlarge(self, item: dict[str, Any]) -> FileResult:
        """Enlarge one input that was found and named elsewhere; the caller keeps the record.

        Args:
            item: of a :class:`.FileDataset`; what it names must lie there.

        Returns:
            The result, or what it failed of.
        """
        return self._enlarge(None, item, self._bundles([item])[0])[0]

    def _bundles(
        self, items: Sequence[Mapping[str, Any]], *, is_said: bool = False
    ) -> list[Path | str]:
        if self._model is not None:
            return [self._model] * len(items)
        found = choices(items, self._system, self._options)
        for choice, count in Counter(found).items() if is_said else ():
            what = items[0]["source"] if len(items) == 1 else f"{count} of {len(items)}"
            logger.info("%s: bundle %s, since %s", printable(what), choice.bundle, choice.reason)
        return [choice.bundle for choice in found]

    @undisturbed()
    def _enlarge(
        self, plan: FileDataset | None, item: dict[str, Any], bundle: Path | str
    ) -> tuple[FileResult, Exception | None]:
        result, failure = self._engines_of(bundle).enlarge(plan, item)
        return replace(result, bundle=Path(bundle).name), failure

    def _engines_of(self, bundle: Path | str) -> Engines:
        with self._lock:
            if bundle not in self._engines:
                options = {"system": self._system, **self._options}
                self._engines[bundle] = self._kind(bundle, options, self._progress)
            return self._engines[bundle]


def _own(failure: Exception | None, message: str) -> SRError:
    """Return the error to raise: of the kind that was raised inside."""
    link = find_error(failure, SRError)
    return RunFailedError(message) if link is None else type(link)(message)


def _described(result: FileResult) -> FileResult:
    """Add the files and, of DICOM, the UIDs that were written."""
    output = Path(str(result.output))
    map_path = uncertainty_path(output)
    beside = [map_path, classes_path(output), report_path(output)]
    beside += files_of_gdal(output) + files_of_gdal(map_path)
    written = _files_in(output)
    found = replace(result, files=tuple(map(str, [*written, *filter(os.path.exists, beside)])))
    if not format_of(written[0]).has_series:
        return found
    headers = [pydicom.dcmread(f, stop_before_pixels=True, specific_tags=_UIDS) for f in written]
    return replace(
        found,
        study_uid=str(headers[0].get("StudyInstanceUID") or ""),
        series_uid=str(headers[0].SeriesInstanceUID),
        instance_uids=tuple(str(header.SOPInstanceUID) for header in headers),
    )


def _files_in(output: Path) -> list[Path]:
    if not output.is_dir():
        return [output]
    return sorted(f for f in output.rglob("*") if f.is_file())


def upscale_each(model: PathLike | None = None, **options: Any) -> list[FileResult]:
    """Enlarge everything that an input names, see :meth:`FileUpscaler.upscale_all`.

    Args:
        model: as for :class:`FileUpscaler`.
        **options: entries of the bundles' ``inference.yaml``, ``input`` and ``output_dir`` among
            them.
    """
    source, output_dir = options.pop("input", None), options.pop("output_dir")
    return FileUpscaler(model, progress=True, **options).upscale_all(source, output_dir)

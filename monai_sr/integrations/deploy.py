"""An operator of MONAI Deploy: selected DICOM series in, derived series out.

Needs MONAI Deploy App SDK 4, in an environment of its own (docs/how-to/monai-deploy.md). The stock
bundle operator casts to 8 bits and keeps the input's spacing; this one writes what ``monai-sr
upscale`` writes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from monai_sr.core import BadImageError, PathLike, SRError, get_logger, import_extra
from monai_sr.formats import find_series
from monai_sr.upscaling import FileResult, FileUpscaler, RunFailedError

import_extra("monai.deploy.core", extra="deploy")

from monai.deploy.core import ConditionType, Fragment, Operator, OperatorSpec  # noqa: E402

if TYPE_CHECKING:
    from monai.deploy.core import ExecutionContext, InputContext, OutputContext
    from pydicom.dataset import Dataset

logger = get_logger(__name__)

INPUT, OUTPUT = "study_selected_series_list", "results"


class SuperResolutionOperator(Operator):  # type: ignore[misc]  # no types without the SDK
    """Enlarge DICOM series with the model that fits each, or with one.

    Input ``study_selected_series_list``: what ``DICOMSeriesSelectorOperator`` emits. Series without
    pixels (reports, presentation states) are passed by. Files are read from where the SDK's loader
    found them, all of a selected series: of several images at one position the loader keeps one,
    which would leave time points or directions of diffusion out.

    Output ``results``, which nothing needs to receive: a list of
    :class:`monai_sr.upscaling.FileResult`, one for each image (of a series with several time
    points one each). Files lie in ``output_folder/image_001`` and so on, in the order of the files.

    Args:
        fragment: the application.
        *args: conditions and resources of the operator.
        output_folder: where results go.
        model: as for :class:`monai_sr.FileUpscaler`; None: for each image the one that fits it.
        options: of :class:`monai_sr.FileUpscaler`: ``{"scale": 2, "deidentify": True}``.
        **kwargs: of the operator: ``name``, ...

    Raises:
        OptionError: if an option does not fit or there is no such model.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        output_folder: PathLike,
        model: PathLike | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._output_folder = Path(output_folder)
        self._is_named = model is not None
        self._upscaler = FileUpscaler(model, **(options or {}))
        self._count = 0
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input(INPUT)
        spec.output(OUTPUT).condition(ConditionType.NONE)  # nobody has to receive it

    def start(self) -> None:
        """Load the model before the first series comes, where one is named."""
        if self._is_named:
            self._upscaler.prepare()

    def compute(
        self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext
    ) -> None:
        """Enlarge all images of the selected series.

        Raises:
            BadImageError: if no series with pixels was selected.
            RunFailedError: if some images could not be enlarged; the others are done.
        """
        with _images(op_input.receive(INPUT)) as images:
            results, failures = self._enlarge(images)
        if failures:
            raise RunFailedError(
                f"{len(failures)} of {len(images)} images could not be enlarged, the others are in "
                f"{self._output_folder}; the first: {failures[0]}"
            ) from failures[0]
        op_output.emit(results, OUTPUT)

    def _enlarge(self, images: Sequence[list[Path]]) -> tuple[list[FileResult], list[SRError]]:
        results, failures = [], []
        for files in images:
            self._count += 1
            folder = self._output_folder / f"image_{self._count:03d}"
            try:
                result = self._upscaler(files, folder)
            except SRError as error:
                logger.error("image %d: %s", self._count, error)
                failures.append(error)
                continue
            logger.info(
                "image %d of %d: %s -> %s by %s in %.1f s, LR-PSNR %.1f dB",
                self._count, len(images), result.size_in, result.size_out, result.bundle,
                result.seconds, result.lr_psnr,
            )  # fmt: skip
            results.append(result)
        return results, failures


@contextmanager
def _images(studies: Sequence[Any]) -> Iterator[list[list[Path]]]:
    """Yield the files of each image of the selected series.

    Args:
        studies: ``StudySelectedSeries`` of the SDK.

    Raises:
        BadImageError: if there is none.
    """
    series = [chosen.series for study in studies for chosen in study.selected_series]
    instances = [
        instance.get_native_sop_instance() for one in series for instance in one.get_sop_instances()
    ]
    instances = [instance for instance in instances if "Rows" in instance]
    if not instances:
        raise BadImageError(
            "input: must hold a selected series with pixels, got none; check the selection rules"
        )
    with tempfile.TemporaryDirectory(prefix="monai-sr-") as folder:
        files = [_file_of(one, Path(folder), i) for i, one in enumerate(instances)]
        root = Path(os.path.commonpath([file.parent for file in files]))
        wanted = {str(instance.SeriesInstanceUID) for instance in instances}
        images = [files for files in find_series(root, recursive=True) if _uid(files[0]) in wanted]
        left_out = sum(map(len, images)) - len(files)
        if left_out > 0:
            logger.warning(
                "%d files of the selected series were left out by the loader, which keeps one at "
                "each position; they are enlarged, too", left_out,
            )  # fmt: skip
        yield images


def _file_of(instance: Dataset, folder: Path, index: int) -> Path:
    """Return the file of an instance; one that an operator made in memory is written."""
    name = getattr(instance, "filename", None)
    if name and Path(name).is_file():
        return Path(os.path.abspath(name))
    file = folder / f"{index:06d}.dcm"
    instance.save_as(file, enforce_file_format=True)
    return file


def _uid(file: Path) -> str:
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    return str(header.get("SeriesInstanceUID", ""))

"""The engine of the inference bundles: enlarge file after file, report each, survive a bad one."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils import CommonKeys
from torch import nn

from monai_sr.apps.files import failure
from monai_sr.apps.manifest import Manifest
from monai_sr.core.devices import usable_device
from monai_sr.core.errors import SRError
from monai_sr.core.types import PathLike
from monai_sr.networks import load_faces
from monai_sr.writers.classes import write_classes

logger = logging.getLogger(__name__)

_SAVE_SECONDS = 5.0  # between writes of the manifest: a folder may hold thousands of small files


class RunFailedError(SRError):
    """Some inputs of a run could not be enlarged; the others are done."""


@dataclass(frozen=True)
class FileResult:
    """What became of one input.

    Attributes:
        source: the input as named.
        origin: the input on record, its absolute path.
        output: the result, or None.
        size_in: its sizes in pixels, "W x H", with slices and bands where there are several.
        size_out: those of the result.
        seconds: from reading to the written file.
        lr_psnr: dB by which the stored result, shrunk, agrees with the input.
        error: one line, where it failed.
    """

    source: str
    origin: str
    output: str | None = None
    size_in: str = ""
    size_out: str = ""
    seconds: float = 0.0
    lr_psnr: float = float("nan")
    error: str | None = None


class UpscaleEvaluator(SupervisedEvaluator):
    """MONAI's evaluator over :class:`monai_sr.apps.files.FileDataset`, one file a batch.

    Args:
        device: where the network runs.
        val_data_loader: batches of one sample.
        network: generator.
        inferer: enlarges whole images, see :class:`monai_sr.inferers.TiledInferer`.
        output_dir: folder of the results; checked before any work, and given a manifest.
        weights: weights file, loaded strictly before the run; None keeps the network as it is.
        perceptual_weights: weights of the model's perceptual face.
        perception: share of the perceptual face, see :func:`monai_sr.networks.load_faces`.
        **kwargs: the other arguments of ``SupervisedEvaluator``.
    """

    def __init__(
        self,
        device: torch.device | str,
        val_data_loader: Any,
        network: nn.Module,
        *,
        inferer: Inferer,
        output_dir: PathLike,
        weights: PathLike | None = None,
        perceptual_weights: PathLike | None = None,
        perception: float = 0.0,
        postprocessing: Any = None,
        val_handlers: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        place = usable_device(device)
        super().__init__(
            device=place,
            val_data_loader=val_data_loader,
            network=network.to(place),
            inferer=inferer,
            postprocessing=postprocessing,
            val_handlers=val_handlers,
            **kwargs,
        )
        self.output_dir = Path(str(output_dir))
        self.weights = weights
        self.perceptual_weights = perceptual_weights
        self.perception = perception
        self.results: list[FileResult] = []
        self._started = time.perf_counter()

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Enlarge everything.

        Raises:
            OutputError: if the output folder cannot be written.
            WeightsError: if the weights do not fit.
            OptionError: if the scale was not trained, or there is no such perceptual face.
            RunFailedError: after the run, if some inputs failed.
        """
        check = getattr(self.inferer, "check", None)
        if check is not None:
            check(self.network)
        load_faces(self.network, self.weights, self.perceptual_weights, self.perception)
        self._manifest = Manifest(self.output_dir)
        # Whether results can be written shows before hours of work.
        self._manifest.save()
        self._saved = time.perf_counter()
        self.results.clear()
        self._began = time.perf_counter()
        self._started = time.perf_counter()
        try:
            super().run(global_epoch)
        finally:
            self._manifest.save()
        failed = [r for r in self.results if r.error]
        done = len(self.results) - len(failed)
        if len(self.results) == 1 and failed:
            raise RunFailedError(str(failed[0].error))
        if failed:
            raise RunFailedError(
                f"{len(failed)} of {len(self.results)} inputs could not be enlarged, {done} done; "
                "each is named above"
            )

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        started, self._started = self._started, time.perf_counter()
        source, origin = (str(batchdata[key][0]) for key in ("source", "origin"))
        if "error" in batchdata:
            self._report(FileResult(source, origin, error=str(batchdata["error"][0])))
            return {}
        try:
            super()._iteration(engine, batchdata)
            pred = engine.state.output[0][CommonKeys.PRED]
            if "classes" in batchdata:
                write_classes(pred.meta["sr_output"], str(batchdata["classes"][0]))
        except Exception as error:  # one failed file must not end the run
            self._report(FileResult(source, origin, error=failure(error, source)))
            return {}
        finally:
            self._started = time.perf_counter()
        self._report(
            FileResult(
                source,
                origin,
                output=str(pred.meta.get("sr_output", "")),
                size_in=_size(batchdata[CommonKeys.IMAGE][0]),
                size_out=_size(pred),
                seconds=time.perf_counter() - started,
                lr_psnr=float(np.asarray(pred.meta["sr_lr_psnr"]).ravel()[0]),
            )
        )
        # Nothing of a finished file is kept: images may be large.
        engine.state.batch = engine.state.output = None
        return {}

    def _report(self, result: FileResult) -> None:
        self.results.append(result)
        self._manifest.add(**_row(result, self.output_dir))
        if time.perf_counter() - self._saved > _SAVE_SECONDS:
            self._manifest.save()
            self._saved = time.perf_counter()
        if result.error and self.state.epoch_length != 1:
            logger.error("monai-sr: error: %s", _printable(result.error))
        if not result.error:
            logger.info(
                "%s%s -> %s  %s -> %s  %.1f s  LR-PSNR %.1f dB",
                self._progress(),
                _printable(result.source),
                _printable(result.output),
                result.size_in,
                result.size_out,
                result.seconds,
                result.lr_psnr,
            )

    def _progress(self) -> str:
        """Say how far a run of several inputs is, and how long it may still take."""
        done, total = len(self.results), self.state.epoch_length
        if total == 1:
            return ""
        left = (time.perf_counter() - self._began) / done * (total - done)
        return f"[{done}/{total}, {datetime.timedelta(seconds=round(left))} left] "


def _printable(text: object) -> str:
    """Return text that any terminal takes: names of files need not be UTF-8."""
    return str(text).encode(errors="surrogateescape").decode(errors="replace")


def _size(image: torch.Tensor) -> str:
    channels, *sizes = image.shape
    text = " x ".join(map(str, sizes))
    return text if channels == 1 else f"{text}, {channels} bands"


def _row(result: FileResult, output_dir: Path) -> dict[str, object]:
    output = Path(result.output) if result.output else None
    inside = output is not None and output.is_relative_to(output_dir)
    return {
        "source": result.origin,
        "output": output.relative_to(output_dir) if output and inside else output,
        "size_in": result.size_in,
        "size_out": result.size_out,
        "seconds": f"{result.seconds:.2f}",
        "lr_psnr": "" if result.error else f"{result.lr_psnr:.2f}",
        "error": result.error,
    }

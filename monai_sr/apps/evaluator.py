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
from monai_sr.apps.scene import Scenes
from monai_sr.core.devices import usable_device
from monai_sr.core.errors import SRError
from monai_sr.core.types import PathLike
from monai_sr.networks import load_faces
from monai_sr.transforms.agreement import Agreement

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
        off_share: share of the input's pixels that it misses by more than one stored unit.
        worst_off: by how many at most.
        worst_at: where, "column, row" from 0, with slice and band where there are several.
        error: one line, where it failed.
    """

    source: str
    origin: str
    output: str | None = None
    size_in: str = ""
    size_out: str = ""
    seconds: float = 0.0
    lr_psnr: float = float("nan")
    off_share: float = float("nan")
    worst_off: float = float("nan")
    worst_at: str = ""
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
        scenes: enlarges rasters that the dataset does not hold in memory.
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
        scenes: Scenes | None = None,
        postprocessing: Any = None,
        val_handlers: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        place = usable_device(device)
        self._place = place
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
        self.scenes = scenes
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
            facts = self._enlarge(engine, batchdata)
        except Exception as error:  # one failed file must not end the run
            self._report(FileResult(source, origin, error=failure(error, source)))
            return {}
        finally:
            self._started = time.perf_counter()
            # Nothing of a finished file is kept: images may be large.
            engine.state.batch = engine.state.output = None
        self._report(FileResult(source, origin, seconds=time.perf_counter() - started, **facts))
        return {}

    def _enlarge(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        """Enlarge one input and return what is to be reported."""
        if "scene" in batchdata and self.scenes is not None:
            path, output = (str(batchdata[key][0]) for key in ("scene", "output"))
            scene = self.scenes.upscale(path, output, self.network, self.inferer, self._place)
            found, name = scene.agreement, str(scene.output)
            before, after = scene.shape_in, scene.shape_out
        else:
            super()._iteration(engine, batchdata)
            pred = engine.state.output[0][CommonKeys.PRED]
            found, name = _agreement(pred.meta), str(pred.meta.get("sr_output", ""))
            before, after = batchdata[CommonKeys.IMAGE][0].shape, pred.shape
        return {
            "output": name,
            "size_in": _size(before),
            "size_out": _size(after),
            "lr_psnr": found.lr_psnr,
            "off_share": found.off_share,
            "worst_off": found.worst_off,
            "worst_at": _place(found.worst_at, after[0]),
        }

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
                "%s%s -> %s  %s -> %s  %.1f s  LR-PSNR %.1f dB%s",
                self._progress(),
                _printable(result.source),
                _printable(result.output),
                result.size_in,
                result.size_out,
                result.seconds,
                result.lr_psnr,
                f", {result.off_share:.2%} of the pixels off by more than 1, at most by "
                f"{result.worst_off:.3g} ({result.worst_at})"
                if result.off_share
                else "",
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


def _size(shape: Sequence[int]) -> str:
    channels, *sizes = shape
    text = " x ".join(map(str, sizes))
    return text if channels == 1 else f"{text}, {channels} bands"


def _agreement(meta: dict[str, Any]) -> Agreement:
    """Read what :class:`monai_sr.transforms.RestoreStoredd` has left."""
    keys = ("sr_lr_psnr", "sr_off_share", "sr_worst_off")
    lr_psnr, off, worst = (float(np.asarray(meta[key]).ravel()[0]) for key in keys)
    place = tuple(int(i) for i in np.asarray(meta["sr_worst_at"]).ravel())
    return Agreement(lr_psnr, off, worst, place)


def _place(worst_at: Sequence[int], channels: int) -> str:
    if not worst_at:
        return ""
    band, *place = worst_at
    text = ", ".join(map(str, place))
    return text if channels == 1 else f"{text}, band {band + 1}"


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
        "off_by_one_share": "" if result.error else f"{result.off_share:.3g}",
        "worst_off": "" if result.error else f"{result.worst_off:.3g}",
        "worst_at": result.worst_at,
        "error": result.error,
    }

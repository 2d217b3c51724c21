"""The engine of the inference bundles: enlarge file after file, report each, survive a bad one."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.engines import IterationEvents, SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils import CommonKeys
from torch import nn
from torch.utils.data import DataLoader

from monai_sr.core import (
    OptionError,
    OutputError,
    PageError,
    PathLike,
    find_error,
    shown,
    usable_device,
    user_message,
)
from monai_sr.formats import CLASSES, Facts, digest, kind_of
from monai_sr.networks import load_faces
from monai_sr.runtimes import CompiledGenerator, RuntimeChoice
from monai_sr.transforms import Agreement
from monai_sr.upscaling.files import FACTS, FOUND, failure
from monai_sr.upscaling.record import FileResult, RunRecord
from monai_sr.upscaling.scene import Scenes


class UpscaleEvaluator(SupervisedEvaluator):
    """MONAI's evaluator over :class:`monai_sr.upscaling.files.FileDataset`, one file a batch.

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
        runtime: chooses what runs the network once its weights are loaded; None: torch.
        **kwargs: the other arguments of ``SupervisedEvaluator``.

    Attributes:
        results: what became of each input of the last run.
        failure: what the input of :meth:`enlarge` failed of.
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
        runtime: RuntimeChoice | None = None,
        postprocessing: Any = None,
        val_handlers: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        place = usable_device(device)
        self._place = place
        self._given = {
            **kwargs,
            "postprocessing": postprocessing,
            "val_handlers": val_handlers,
            "inferer": inferer,
            "output_dir": output_dir,
            "scenes": scenes,
        }
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
        self.runtime = runtime
        self.results: list[FileResult] = []
        self._record: RunRecord | None = None
        self.failure: Exception | None = None
        self._started = self._read = self._computed = time.perf_counter()
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._note_computed)

    def _note_computed(self, _: Any) -> None:
        self._computed = time.perf_counter()

    def prepare(self) -> None:
        """Check the options, load the weights and choose what runs the network.

        Raises:
            WeightsError: if the weights do not fit.
            OptionError: if the scale was not trained, there is no such perceptual face, or the
                runtime that was named cannot run the network.
        """
        check = getattr(self.inferer, "check", None)
        scale = None if check is None else check(self.network)
        network = self.network
        if isinstance(network, CompiledGenerator):
            network = network.generator
        load_faces(network, self.weights, self.perceptual_weights, self.perception)
        if self.runtime is not None:
            self.network = self.runtime(network, self._place, scale)

    def twin(self) -> UpscaleEvaluator:
        """Return another engine of the same prepared model, for another thread.

        Network and inferer are shared; both serve any number of threads.
        """
        given: Any = self.data_loader
        # MONAI's loader would draw a seed from torch's generator, which is the program's.
        loader: Any = DataLoader(
            copy.copy(given.dataset), collate_fn=given.collate_fn, generator=torch.Generator()
        )
        return type(self)(self._place, loader, self.network, **self._given)

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]
        """Enlarge everything.

        Raises:
            OutputError: if the output folder cannot be written.
            WeightsError: if the weights do not fit.
            OptionError: if the scale was not trained, there is no such perceptual face, or the data
                loader makes batches.
            RunFailedError: after the run, if some inputs failed.
        """
        loader: Any = self.data_loader
        if getattr(loader, "batch_size", 1) != 1:
            raise OptionError(
                "dataloader#batch_size: must be 1, for files differ in size and each has a row of "
                f"its own in the manifest, got {loader.batch_size}; leave it out"
            )
        self.prepare()
        # Whether results can be written shows before hours of work.
        no_images = getattr(loader.dataset, "no_images", 0)
        self._record = RunRecord(self.output_dir, self.state.epoch_length, no_images)
        self.results = self._record.results
        self._started = time.perf_counter()
        try:
            super().run(global_epoch)
        finally:
            self._record.end()
        self._record.finish()

    def enlarge(self, item: Mapping[str, Any], began: float | None = None) -> FileResult:
        """Enlarge one input that was planned elsewhere; the caller keeps the record.

        Args:
            item: one of :class:`monai_sr.upscaling.files.FileDataset`.
            began: when reading it began, by ``time.perf_counter``; None: now.
        """
        loader: Any = self.data_loader
        loader.dataset.data = [dict(item)]
        loader.dataset.failure = self.failure = None
        self.state.epoch_length = 1
        self.results.clear()
        self._started = time.perf_counter() if began is None else began
        super().run()
        self.failure = self.failure or loader.dataset.failure
        return self.results[0]

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        started, self._started = self._started, time.perf_counter()
        self._read = self._computed = self._started
        known: dict[str, Any] = {key: str(batchdata[key][0]) for key in FACTS}
        if "error" in batchdata:
            is_unexpected = bool(batchdata["is_unexpected"][0])
            message = str(batchdata["error"][0])
            self._report(FileResult(**known, error=message, is_unexpected=is_unexpected))
            return {}
        if "skipped" in batchdata:
            self._report(FileResult(**known, output=batchdata["skipped"][0], is_skipped=True))
            return {}
        try:
            output = str(batchdata["output"][0])
            if self._record is not None and not self._record.begin(known["origin"], output):
                raise OutputError(
                    f"{output}: another run has taken this name meanwhile for another input; run "
                    "this again"
                )
            facts = self._enlarge(engine, batchdata)
            facts["output_sha256"] = digest([facts["output"]]) if facts["output"] else ""
        except Exception as error:  # one failed file must not end the run
            self.failure = error
            self._report(failed(known, error))
            return {}
        finally:
            self._started = time.perf_counter()
            # Nothing of a finished file is kept: images may be large.
            engine.state.batch = engine.state.output = None
        timings = {
            "read": self._read - started,
            "enlarge": self._computed - self._read,
            "write": self._started - self._computed,
        }
        seconds = time.perf_counter() - started
        self._report(FileResult(**known, seconds=seconds, timings=timings, **facts))
        return {}

    def _enlarge(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        """Enlarge one input and return what is to be reported."""
        if "scene" in batchdata and self.scenes is not None:
            path, output = (str(batchdata[key][0]) for key in ("scene", "output"))
            scene = self.scenes.upscale(
                path, output, self.network, self.inferer, self._place,
                str(batchdata["input"][0]), next(iter(batchdata.get(CLASSES, ())), None),
                next(iter(batchdata.get(FOUND, ())), ""),
            )  # fmt: skip
            found, name = scene.agreement, str(scene.output)
            before, after, kind = scene.shape_in, scene.shape_out, scene.kind
            far, unusual = scene.far_share, ""
            self._note_computed(engine)
        else:
            super()._iteration(engine, batchdata)
            pred = engine.state.output[0][CommonKeys.PRED]
            found, name = _agreement(pred.meta), Facts(pred.meta).output
            before, after = batchdata[CommonKeys.IMAGE][0].shape, pred.shape
            kind = kind_of(pred.meta)
            facts = Facts(pred.meta)
            far = facts.far_share
            unusual = " ".join(filter(None, (facts.unusual, facts.interval)))
        return {
            "output": name,
            "kind": kind,
            "size_in": _size(before),
            "size_out": _size(after),
            "lr_psnr": found.lr_psnr,
            "off_share": found.off_share,
            "bands": found.bands if len(found.bands) > 1 else (),
            "worst_off": found.worst_off,
            "worst_at": _where(found.worst_at, after[0]),
            "far_share": far,
            "unusual": unusual,
        }

    def _report(self, result: FileResult) -> None:
        if self._record is None:
            self.results.append(result)
        else:
            self._record.add(result)


def failed(known: Mapping[str, Any], error: Exception) -> FileResult:
    """Return the result of an input that failed.

    Args:
        known: :data:`.FACTS` of it, among others.
        error: what it failed of.
    """
    lone = find_error(error, PageError)
    return FileResult(
        **{key: known[key] for key in FACTS},
        output=lone.result if lone else None,
        error=shown(failure(error, known["source"])),
        is_unexpected=user_message(error) is None,
    )


def _size(shape: Sequence[int]) -> str:
    channels, *sizes = shape
    text = " x ".join(map(str, sizes))
    return text if channels == 1 else f"{text}, {channels} bands"


def _agreement(meta: Mapping[str, Any]) -> Agreement:
    """Read what :class:`monai_sr.transforms.RestoreStoredd` has left."""
    facts = Facts(meta)
    place = tuple(int(i) for i in facts.worst_at.ravel())
    bands = np.asarray(facts.bands, dtype=np.float64).reshape(-1, 2).tolist()
    return Agreement(
        facts.lr_psnr, facts.off_share, facts.worst_off, place,
        tuple((psnr, share) for psnr, share in bands),
    )  # fmt: skip


def _where(worst_at: Sequence[int], channels: int) -> str:
    if not worst_at:
        return ""
    band, *place = worst_at
    text = ", ".join(map(str, place))
    return text if channels == 1 else f"{text}, band {band + 1}"

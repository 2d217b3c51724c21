"""Four small jobs in one warm process, and children that run them; see ``faults.py``."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SCALE = 2
_WALL_SECONDS = 600
Job = Callable[[Path, Path], None]


class Jobs:
    """The four jobs, each ``(inputs, output) -> None``, in one warm process."""

    def __init__(self, folder: Path) -> None:
        import torch

        from benchmarks.fuzz import Pipeline
        from monai_sr.inferers import TiledInferer

        torch.set_num_threads(1)
        self.pipeline, self.folder = Pipeline(), folder
        self.pipeline.inferer = TiledInferer(SCALE, tile_size=64, consistency=0, progress=False)
        self._write_inputs()
        self.jobs: dict[str, Job] = {
            "folder": self._upscale, "scene": self._scene, "volume": self._upscale,
            "training": self._train,
        }  # fmt: skip

    def inputs(self, job: str) -> Path:
        """Return what a job reads."""
        return self.folder / job

    def _write_inputs(self) -> None:
        from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster

        for job in ("folder", "scene", "volume", "training", "many"):
            (self.folder / job).mkdir(parents=True)
        for number in range(12):
            write_raster(self.folder / "folder" / f"{number:02d}.png", pixels((3, 40, 30)))
        smooth = np.add.outer(np.arange(256), np.arange(320))[None] % 251
        write_raster(
            self.folder / "scene" / "a.tif", smooth.astype(np.uint8), crs="EPSG:32633",
            transform=NORTH_UP, compress="deflate", tiled=True, blockxsize=64, blockysize=64,
        )  # fmt: skip
        write_nifti(self.folder / "volume" / "a.nii.gz", pixels((40, 36, 30), "int16"))
        for number in range(4):
            image = pixels((3, 72, 72), seed=number)
            write_raster(self.folder / "training" / f"{number}.png", image)

    def _upscale(self, source: Path, output: Path) -> None:
        self.pipeline.evaluator(source, output, in_windows=False).run()

    def watched(self, source: Path, output: Path, watch: Callable[[], None]) -> None:
        """Enlarge a folder; call ``watch`` after each file."""
        from ignite.engine import Events

        evaluator = self.pipeline.evaluator(source, output, in_windows=False)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda _: watch())
        evaluator.run()

    def _scene(self, source: Path, output: Path) -> None:
        self.pipeline.evaluator(source, output, in_windows=True).run()

    def _train(self, source: Path, output: Path) -> None:
        from monai_sr.upscaling.workflow import SRWorkflow

        options: dict[str, Any] = {
            "dataset_dir": str(source), "validation_dir": str(source), "output_dir": str(output),
            "steps": 12, "seed": 1, "device": "cpu", "train#state#every": 3, "batch_size": 2,
            "patch_size": 16, "epoch_length": 4, "warmup_steps": 2, "val_interval": 1,
            "network_def#channels": 8, "network_def#num_blocks": 1,
        }  # fmt: skip
        workflow = SRWorkflow("natural_sr", "train", **options)
        workflow.initialize()
        workflow.run()
        workflow.finalize()


def forked(job: Job, source: Path, output: Path, before: Callable[[], None]) -> tuple[str, str]:
    """Run a job in a child; tell how it ended and what it said."""
    # Not beside the output: that place may be read-only.
    said = Path(tempfile.gettempdir()) / f"faults_{os.getpid()}_{id(output)}.said"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _run(job, source, output, before, said)
        finally:
            os._exit(code)
    end = time.monotonic() + _WALL_SECONDS
    status = 0
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "hang", ""
    words = said.read_text(errors="replace") if said.exists() else ""
    said.unlink(missing_ok=True)
    if os.WIFSIGNALED(status):
        is_ours = os.WTERMSIG(status) == signal.SIGKILL
        return "killed" if is_ours else "crash", signal.Signals(os.WTERMSIG(status)).name
    return {0: "done", 2: "refused"}.get(os.WEXITSTATUS(status), "crash"), words


def _run(job: Job, source: Path, output: Path, before: Callable[[], None], said: Path) -> int:
    from monai_sr.core.errors import user_message

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        before()
        job(source, output)
    except BaseException as error:
        words = user_message(error)
        text = words or "".join(traceback.format_exception(error))
        for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS):  # to say why
            with contextlib.suppress(ValueError):
                resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with contextlib.suppress(OSError):
            said.write_text(text)
        return 2 if words and "could not be enlarged (" not in words else 1
    return 0


class Watch:
    """Writes processor seconds, resident bytes and open files after each input."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> None:
        """Note the state of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        opened = len(os.listdir("/proc/self/fd"))
        with self.path.open("a") as stream:
            stream.write(
                f"{used.ru_utime + used.ru_stime} {pages * resource.getpagesize()} {opened}\n"
            )

"""What a training run says and shows: figures, the curve, pictures of what it has learned."""

import csv
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from PIL import Image, PngImagePlugin
from torch import Tensor, nn

from monai_sr.core import OutputError, PathLike, atomic_file, get_logger, rank, world_size
from monai_sr.functional import upsample
from monai_sr.training import PatchLoader
from monai_sr.training.schedule import BudgetSchedule
from monai_sr.training.training_images import OWN_PICTURE

logger = get_logger(__name__)

_FIELDS = (
    "step",
    "minutes",
    "hr_megapixels",
    "loss",
    "learning_rate",
    "seconds_per_step",
    "loader_share",
    "psnr",
)


class TrainingLog:
    """Log progress at intervals, and append each line to a CSV file: the learning curve.

    Columns: step, minutes, high-resolution megapixels seen, loss, learning rate, seconds a step,
    share of time spent on data, PSNR of the last validation; then the means of the engine's
    ``output["scalars"]``, where it has them. Of several processes the first one writes.

    Args:
        schedule: knows time and progress.
        loader: knows the time spent on cutting batches.
        path: CSV file; lines after a resumed step are dropped.
        every: steps between lines.
        validator: engine whose key metric is reported when it has run; None: no column.
    """

    def __init__(
        self,
        schedule: BudgetSchedule,
        loader: PatchLoader,
        path: PathLike,
        *,
        every: int = 100,
        validator: Any = None,
    ) -> None:
        self.schedule = schedule
        self.loader = loader
        self.path = Path(path)
        self.every = every
        self.validator = validator
        self._losses: list[Any] = []
        self._scalars: dict[str, list[Any]] = {}
        self._pixels = 0.0
        self._fields: tuple[str, ...] = _FIELDS
        self._since = (0, 0.0, 0.0)

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._write)
        engine.add_event_handler(Events.TERMINATE, self._write)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        step = engine.state.iteration
        kept = []
        if step and self.path.is_file():
            with self.path.open(newline="") as stream:
                # A kill or a full disk may have cut the last line: it lacks fields, or its end.
                ended = [line for line in stream if line.endswith("\n")]
            whole = [row for row in csv.DictReader(ended) if None not in row.values()]
            kept = [row for row in whole if int(row["step"]) <= step]
        # Columns that only earlier lines have (another loss) stay.
        self._fields = (*_FIELDS, *(key for row in kept[:1] for key in row if key not in _FIELDS))
        self._pixels = 1e6 * float(kept[-1].get("hr_megapixels") or 0) if kept else 0.0
        self._rewrite(kept)
        self._mark(engine)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomic_file(self.path) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._fields, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def _mark(self, engine: Engine) -> None:
        self._since = (
            engine.state.iteration,
            self.schedule.elapsed_seconds(),
            self.loader.seconds,
        )
        self._losses.clear()
        self._scalars.clear()

    def _collect(self, engine: Engine) -> None:
        # Kept as tensors: reading a value would wait for the GPU at every step.
        output: Any = engine.state.output
        self._losses.append(output[CommonKeys.LOSS].detach())
        for name, value in output.get("scalars", {}).items():
            self._scalars.setdefault(name, []).append(value)
        label = output[CommonKeys.LABEL]
        self._pixels += label.numel() // label.shape[1] * world_size()

    def _write(self, engine: Engine) -> None:
        if not self._losses:
            return
        step, seconds = engine.state.iteration, self.schedule.elapsed_seconds()
        loss = float(sum(self._losses)) / len(self._losses)
        spent = max(seconds - self._since[1], 1e-9)
        share = (self.loader.seconds - self._since[2]) / spent
        psnr = self._psnr()
        row = {
            "step": step,
            "minutes": f"{seconds / 60:.2f}",
            "hr_megapixels": f"{self._pixels / 1e6:.3f}",
            "loss": f"{loss:.6f}",
            "learning_rate": f"{self.schedule.optimizer.param_groups[0]['lr']:.3e}",
            "seconds_per_step": f"{spent / (step - self._since[0]):.4f}",
            "loader_share": f"{share:.4f}",
            "psnr": "" if psnr is None else f"{psnr:.3f}",
        }
        row |= {name: f"{float(sum(v)) / len(v):.6g}" for name, v in self._scalars.items()}
        self._append(row)
        progress = self.schedule.progress(step)
        left = datetime.timedelta(seconds=round(seconds / max(progress, 1e-9) * (1 - progress)))
        logger.info(
            "step %d  loss %s  lr %s  %s s/step  data %.1f %%  PSNR %s  %.0f %% done, %s left",
            step,
            row["loss"],
            row["learning_rate"],
            row["seconds_per_step"],
            100 * share,
            row["psnr"] or "-",
            100 * progress,
            left,
        )
        self._mark(engine)

    def _append(self, row: dict[str, Any]) -> None:
        new = [name for name in row if name not in self._fields]
        if new:
            with self.path.open(newline="") as stream:
                earlier = list(csv.DictReader(stream))
            self._fields = (*self._fields, *new)
            self._rewrite(earlier)
        try:
            with self.path.open("a", newline="") as stream:
                csv.DictWriter(stream, self._fields, restval="").writerow(row)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written, got '{error.strerror or error}'; free space or "
                "choose another folder, the same command goes on"
            ) from error

    def _psnr(self) -> float | None:
        if self.validator is None:
            return None
        state = self.validator.state
        value = state.metrics.get(state.key_metric_name)
        return None if value is None else float(value)


_VOLUME_SHARE = 3  # a cube of a third of the side holds about as many voxels as the square pixels


class ImageGrid:
    """Write a PNG strip at intervals: a row an image, bicubic | result | reference.

    Args:
        network: generator, the averaged one.
        images: samples {"image", "label"} in [0, 1], see
            :class:`monai_sr.training.ValidationImages`; of volumes the middle slice is shown.
        path: folder of the strips ``step_<number>.png``.
        scale: the enlargement.
        count: rows.
        side: sides of the crops from the middle of the images, in high-resolution pixels.
        every: steps between strips.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Sequence[Mapping[str, Tensor]],
        path: PathLike,
        *,
        scale: int,
        count: int = 4,
        side: int = 192,
        every: int = 1000,
    ) -> None:
        self.network = network
        self.images = images
        self.path = Path(path)
        self.scale = scale
        self.count = count
        self.side = side
        self.every = every

    def attach(self, engine: Engine) -> None:
        """Register with a trainer, unless there are no images."""
        if rank() == 0 and len(self.images):
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self)
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the strip of the present step."""
        strip = self.draw()
        with atomic_file(self.path / f"step_{engine.state.iteration:06d}.png") as partial:
            text = PngImagePlugin.PngInfo()
            text.add_text(OWN_PICTURE, "training")
            strip.save(partial, format="PNG", pnginfo=text)

    @torch.no_grad()
    def draw(self) -> Image.Image:
        """Enlarge the crops and return the picture."""
        device = next(iter(self.network.parameters())).device
        was_training = self.network.training
        self.network.eval()
        rows = []
        for i in range(min(self.count, len(self.images))):
            lr, hr = self._crop(self.images[i])
            sr = self.network(lr[None].to(device), self.scale)[0].float().cpu()
            cells = [upsample(lr, self.scale, range(1, lr.ndim)), sr, hr]
            if hr.ndim == 4:
                cells = [cell[..., hr.shape[-1] // 2] for cell in cells]
            rows.append(torch.cat([cell.expand(3, -1, -1) for cell in cells], dim=-1))
        self.network.train(was_training)
        width = max(row.shape[-1] for row in rows)
        padded = [nn.functional.pad(row, (0, width - row.shape[-1])) for row in rows]
        picture = torch.cat(padded, dim=-2).clamp(0, 1).mul(255).round().byte()
        return Image.fromarray(picture.permute(1, 2, 0).numpy())

    def _crop(self, sample: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cut the same part from the middle of both."""
        lr, hr = torch.as_tensor(sample["image"]), torch.as_tensor(sample["label"])
        side = self.side if lr.ndim == 3 else self.side // _VOLUME_SHARE
        sizes = [min(side // self.scale, n) for n in lr.shape[1:]]
        for axis, size in enumerate(sizes, 1):
            start = (lr.shape[axis] - size) // 2
            lr = lr.narrow(axis, start, size)
            hr = hr.narrow(axis, start * self.scale, size * self.scale)
        return lr, hr

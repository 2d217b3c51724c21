"""Pictures of what a run has learned: input, result and reference side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from PIL import Image
from torch import Tensor, nn

from monai_sr.core.atomic import atomic_file
from monai_sr.core.distributed import rank
from monai_sr.core.types import PathLike
from monai_sr.functional.resize import upsample

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
        """Register with a trainer."""
        if rank() == 0:
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self)
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the strip of the present step."""
        strip = self.draw()
        with atomic_file(self.path / f"step_{engine.state.iteration:06d}.png") as partial:
            strip.save(partial, format="PNG")

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

"""Common ground of the generators that learn pairs of patches: features, overlaps, consistency.

Every 3 x 3 patch of the low-resolution image is described by its first and second differences along
both axes, scaled to length one; a subclass answers with the detail that the bicubic enlargement
lacks there. Overlapping answers are averaged and drawn towards consistency with the input.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.functional import REACH, phase_kernel
from monai_sr.networks.blocks import Interpolation
from monai_sr.networks.registry import Generator

PATCH = 3
"""Side of a patch in low-resolution pixels."""
FEATURES = 4 * PATCH**2
"""Numbers that describe a patch: two differences along each axis, at every pixel."""
CONTEXT = PATCH // 2 + 2
"""How far, in pixels from its middle, a description reaches: second differences span five."""
_LUMA = (0.299, 0.587, 0.114)
_FLAT = 1e-6
"""Length below which a description is taken as it is: a flat patch has none."""
_POSITIONS = 32768
"""Patches that are worked on at a time, which bounds memory."""


class ExemplarGenerator(Generator):
    """Base of generators whose knowledge is pairs of patches.

    A color image (three channels) is enlarged bicubically and the detail of its BT.601 luma added
    to each channel, so that chroma stays as interpolated; any other image band by band.
    """

    def _prepare(
        self, *, scale: int, in_channels: int, spatial_dims: int, count: int, back_projections: int
    ) -> None:
        """Check what is common to subclasses, and make the fixed kernels and empty dictionaries."""
        if count < 1 or back_projections < 0:
            raise OptionError(
                "num_exemplars, num_atoms, back_projections: must be at least 1, 1 and 0, got "
                f"{count} and {back_projections}"
            )
        # A pixel is covered by patches centered one pixel off. A step of back projection adds an
        # enlargement of a shrunken image, 2 * REACH, less the part of a pixel that both ends share.
        steps = 1 + (2 * REACH - 1) * back_projections if back_projections else 0
        self._declare(scale, in_channels, spatial_dims, halo=PATCH // 2 + CONTEXT + steps)
        self.back_projections = back_projections
        # TorchScript sees attributes, not a module's constants.
        self.patch, self.margin, self.fine_margin = PATCH, PATCH // 2 + CONTEXT, REACH * scale
        self.positions, self.flat = _POSITIONS, _FLAT
        self.interpolate = Interpolation(2, scale)
        differences = torch.zeros(4, 1, 5, 5)
        first, second = torch.tensor([-1.0, 0, 1]), torch.tensor([1.0, 0, -2, 0, 1])
        differences[0, 0, 2, 1:4], differences[1, 0, 1:4, 2] = first, first
        differences[2, 0, 2], differences[3, 0, :, 2] = second, second
        taps = phase_kernel(max(scale, 1), down=True).float().T.flatten()
        self.luma: Tensor
        self.differences: Tensor
        self.shrinking: Tensor
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("differences", differences, persistent=False)
        self.register_buffer("shrinking", torch.outer(taps, taps)[None, None], persistent=False)
        self.lr_patches: Tensor
        self.hr_patches: Tensor
        self.register_buffer("lr_patches", torch.zeros(count, FEATURES))
        self.register_buffer("hr_patches", torch.zeros(count, (PATCH * scale) ** 2))

    def forward(self, image: Tensor, scale: int | None = None) -> Tensor:
        """Enlarge ``image``; ``scale`` must be one of ``self.scales``."""
        self._factor(scale)
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            result = self._enlarge(image)
        else:
            # Half precision would choose other neighbors and has no solver for linear systems.
            with torch.autocast(image.device.type, enabled=False):
                result = self._enlarge(image)
        return result

    def _enlarge(self, image: Tensor) -> Tensor:
        exact = image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
        planes = self._planes(exact)
        large = self.interpolate(planes)
        detail = self._detail(planes)
        for _ in range(self.back_projections):
            shrunken = F.conv2d(
                F.pad(large + detail, [self.fine_margin] * 4, mode="replicate"),
                self.shrinking.to(planes.dtype),
                stride=self.scale,
            )
            detail = detail + self.interpolate(planes - shrunken)
        if image.shape[1] != 3:
            detail = detail.reshape([image.shape[0], image.shape[1]] + list(detail.shape[2:]))  # noqa: RUF005 (TorchScript)
        result: Tensor = self.interpolate(exact) + detail
        return result.to(image.dtype)

    def _planes(self, image: Tensor) -> Tensor:
        """Return the grey images (N', 1, H, W) whose detail is looked up."""
        if image.shape[1] != 3:
            return image.reshape(-1, 1, image.shape[2], image.shape[3])
        return (image * self.luma.to(image.dtype)).sum(dim=1, keepdim=True)

    def _detail(self, planes: Tensor) -> Tensor:
        """Look up and average the detail of grey images, some rows at a time."""
        n, height, width = planes.shape[0], planes.shape[2], planes.shape[3]
        # Patches centered one pixel outside the image count too: every pixel has nine answers.
        padded = F.pad(planes, [self.margin] * 4, mode="replicate")
        rows = max(1, self.positions // ((width + 2) * n))
        strips: list[Tensor] = []
        for start in range(0, height, rows):
            count = min(rows, height - start)
            described = self._describe(padded[:, :, start : start + count + 2 * self.margin])
            length = torch.linalg.vector_norm(described, dim=1, keepdim=True).clamp_min(self.flat)
            answers = length * self._answer(described / length)
            strips.append(self._average(answers, n, count, width))
        return torch.cat(strips, dim=2)

    def _describe(self, planes: Tensor) -> Tensor:
        """Return differences of all patches (N * L, FEATURES) that lie CONTEXT inside."""
        maps = F.conv2d(planes, self.differences.to(planes.dtype))
        return F.unfold(maps, self.patch).transpose(1, 2).flatten(0, 1)

    def _answer(self, described: Tensor) -> Tensor:
        """Return the detail (L, 9 * scale ** 2) for descriptions (L, FEATURES) of length one."""
        raise NotImplementedError

    def _average(self, answers: Tensor, n: int, height: int, width: int) -> Tensor:
        """Average overlapping answers into detail (N, 1, height * scale, width * scale)."""
        s = self.scale
        cells = answers.reshape(n, height + 2, width + 2, self.patch, s, self.patch, s)
        total = torch.zeros([n, height, width, s, s], dtype=answers.dtype, device=answers.device)
        for i in range(self.patch):
            for j in range(self.patch):
                top, left = self.patch - 1 - i, self.patch - 1 - j
                total = total + cells[:, top : top + height, left : left + width, i, :, j]
        mean = total / self.patch**2
        return mean.permute(0, 1, 3, 2, 4).reshape(n, 1, height * s, width * s)

    def _training_pairs(self, lr: Tensor, hr: Tensor, needed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Describe every patch whose surroundings are known, and measure the detail it lacks.

        Returns:
            Descriptions of length one (L, FEATURES), their lengths before (L, 1), and the details
            divided by those lengths (L, 9 * scale ** 2).

        Raises:
            OptionError: if sizes do not fit or there are fewer than ``needed`` patches.
        """
        side, s = lr.shape[-1], self.scale
        if side < 2 * CONTEXT + 1 or hr.shape[-1] != side * s or hr.shape[1] != self.in_channels:
            raise OptionError(
                f"lr, hr: must be {2 * CONTEXT + 1} pixels wide or more, {s} times as large and of "
                f"{self.in_channels} channels, got {tuple(lr.shape)} and {tuple(hr.shape)}; set "
                "patch_size and scales of the loader"
            )
        planes = self._planes(lr)
        described = self._describe(planes)
        inner = slice((CONTEXT - PATCH // 2) * s, (PATCH // 2 - CONTEXT) * s)
        missing = (self._planes(hr) - self.interpolate(planes))[..., inner, inner]
        detail = F.unfold(missing, PATCH * s, stride=s).transpose(1, 2).flatten(0, 1)
        length = torch.linalg.vector_norm(described, dim=1, keepdim=True)
        is_textured = length[:, 0] > _FLAT  # flat patches have nothing to tell
        described, length, detail = (x[is_textured].cpu() for x in (described, length, detail))
        if len(described) < needed:
            raise OptionError(
                f"patches: {needed} or more that are not flat are needed, got {len(described)}; "
                "draw more of them"
            )
        return described / length, length, detail / length

    def _learned(self, lr_patches: Tensor, hr_patches: Tensor) -> None:
        """Store what was learned."""
        with torch.no_grad():
            self.lr_patches.copy_(lr_patches)
            self.hr_patches.copy_(hr_patches)


def draw_textured(length: Tensor, count: int) -> Tensor:
    """Draw up to ``count`` patches, rather those of much contrast; always the same ones.

    Shape: length (L, 1) -> indices (min(count, L),).
    """
    # Beyond its median a contrast does not make a patch more worth knowing.
    chance = length[:, 0].clamp(max=float(length.median()))
    random = torch.Generator().manual_seed(0)
    order = torch.rand(len(chance), generator=random).log() / chance
    return order.topk(min(count, len(chance)))[1]

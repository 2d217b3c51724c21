"""Attention of every patch to all patches of the image at several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PyramidAttention(nn.Module):
    """Add to each patch the patches that match it, from the image at ``scales`` of its size.

    A match is the inner product of an embedded 3 x 3 patch with another whose norm is made 1; a
    soft-max over all places at all sizes weighs the patches, which are then put in place, the mean
    taken where they overlap.

    Queries are worked off in portions, so that memory does not grow with the square of the image's
    size; time does.

    Args:
        channels: width of input and result.
        scales: sizes of the pyramid, relative to the image.
        temperature: factor on the matches before the soft-max.
        reduction: how much narrower than the input the patches are compared.
        patch_size: odd side of a patch.
        max_pairs: pairs of patches compared at once, for each image.

    Shape: x (N, channels, H, W) -> the same.

    References:
        Y. Mei et al., 2020, arXiv:2004.13824.
    """

    def __init__(
        self,
        channels: int,
        *,
        scales: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6),
        temperature: float = 10.0,
        reduction: int = 2,
        patch_size: int = 3,
        max_pairs: int = 2**25,
    ) -> None:
        super().__init__()
        self.scales = list(scales)
        self.temperature = temperature
        self.patch_size = patch_size
        self.max_pairs = max_pairs
        narrow = max(1, channels // reduction)
        self.query = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.PReLU())
        self.key = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.PReLU())
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.PReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        queries = self._patches(self.query(x)).transpose(1, 2)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for scale in self.scales:
            level = self._resize(x, scale)
            keys.append(F.normalize(self._patches(self.key(level)), dim=1, eps=1e-4))
            values.append(self._patches(self.value(level)))
        places = torch.cat(keys, dim=2)
        found = self._attend(queries, places, torch.cat(values, dim=2).transpose(1, 2))
        return x + self._mean(found.transpose(1, 2), x)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the weighted patches (N, places, patch) for queries of that shape."""
        portion = max(1, self.max_pairs // keys.shape[2])
        found: list[Tensor] = []
        for start in range(0, queries.shape[1], portion):
            matches = torch.matmul(queries[:, start : start + portion], keys)
            weights = torch.softmax(self.temperature * matches, dim=2)
            found.append(torch.matmul(weights, values))
        return torch.cat(found, dim=1)

    def _resize(self, x: Tensor, scale: float) -> Tensor:
        if scale == 1.0:
            return x
        size = [max(1, int(side * scale)) for side in x.shape[2:]]
        return F.interpolate(x, size=size, mode="bicubic", align_corners=False)

    def _patches(self, x: Tensor) -> Tensor:
        """Return the patch around every pixel: (N, C * patch, places)."""
        return F.unfold(x, self.patch_size, padding=self.patch_size // 2)

    def _mean(self, patches: Tensor, x: Tensor) -> Tensor:
        """Put patches in place and divide by how many overlap."""
        size, padding = (x.shape[2], x.shape[3]), self.patch_size // 2
        total = F.fold(patches, size, self.patch_size, padding=padding)
        one = torch.ones_like(x[:1, :1])
        count = F.fold(self._patches(one), size, self.patch_size, padding=padding)
        return total / count

"""Neighbor embedding: the detail of a patch from its nearest neighbors among known patches."""

import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.networks.exemplars import ExemplarGenerator, draw_textured
from monai_sr.networks.registry import GeneratorInfo, register_generator

_CHUNK = 1024
"""Patches compared with all exemplars at a time."""
_CLUSTERED = 200_000
"""Training patches that are clustered; all of them give detail."""
_ROUNDS = 5


@register_generator("neighbor_embedding")
class NeighborEmbedding(ExemplarGenerator):
    """Rebuild each patch from its nearest neighbors and give it their detail with the same weights.

    The weights minimize the distance between a patch and the weighted sum of its neighbors, their
    sum being one, as in locally linear embedding.

    Differs from the paper: exemplars are means of clusters of training patches, not single patches,
    and hold the detail beyond bicubic enlargement; descriptions are scaled to length one, and an
    exemplar serves its negative too; the local system is regularized; back projection follows.

    Args:
        in_channels: channels of image and result; with three, the luma's detail is looked up.
        num_exemplars: known pairs of patches; a pair takes 72 + 18 * scale ** 2 bytes on disk.
        num_neighbors: how many of them are weighed.
        ridge: share of the local Gram matrix's mean diagonal that is added to its diagonal.
        back_projections: steps towards consistency with the input.

    Shape: image (N, C, H, W) in [0, 1] -> (N, C, s * H, s * W), not clipped.
    """

    info = GeneratorInfo(
        paper="H. Chang, D.-Y. Yeung and Y. Xiong, 2004, doi:10.1109/CVPR.2004.1315043",
        learns="fit",
    )

    def __init__(
        self,
        scale: int = 4,
        in_channels: int = 3,
        *,
        spatial_dims: int = 2,
        num_exemplars: int = 4096,
        num_neighbors: int = 24,
        ridge: float = 0.03,
        back_projections: int = 2,
    ) -> None:
        super().__init__()
        if not 1 <= num_neighbors <= num_exemplars or ridge <= 0:
            raise OptionError(
                "num_neighbors, ridge: must be between 1 and num_exemplars, and positive, got "
                f"{num_neighbors} of {num_exemplars}, and {ridge}"
            )
        self._prepare(
            scale=scale,
            in_channels=in_channels,
            spatial_dims=spatial_dims,
            count=num_exemplars,
            back_projections=back_projections,
        )
        self.num_neighbors = num_neighbors
        self.ridge = ridge
        self.chunk = _CHUNK  # TorchScript does not see constants

    def _answer(self, described: Tensor) -> Tensor:
        lr_patches = self.lr_patches.to(described.dtype)
        hr_patches = self.hr_patches.to(described.dtype)
        parts: list[Tensor] = []
        for chunk in torch.split(described, self.chunk):
            nearness = chunk @ lr_patches.T
            nearest = nearness.abs().topk(self.num_neighbors, dim=1)[1]
            sign = nearness.gather(1, nearest).sign().unsqueeze(2)
            weight = self._weights(chunk.unsqueeze(1) - sign * lr_patches[nearest])
            parts.append(((sign * weight).transpose(1, 2) @ hr_patches[nearest]).squeeze(1))
        return torch.cat(parts)

    def _weights(self, offset: Tensor) -> Tensor:
        """Solve for weights (L, k, 1) of neighbors that lie at ``offset`` (L, k, FEATURES)."""
        gram = offset @ offset.transpose(1, 2)
        diagonal = torch.diagonal(gram, dim1=1, dim2=2)
        # The smallest number keeps a patch that equals its neighbors from dividing by zero.
        diagonal += self.ridge * diagonal.mean(dim=1, keepdim=True) + 1e-6
        ones = torch.ones_like(offset[:, :, :1])
        weight = torch.cholesky_solve(ones, torch.linalg.cholesky_ex(gram)[0])
        return weight / weight.sum(dim=1, keepdim=True)

    def fit(self, lr: Tensor, hr: Tensor) -> None:
        """Cluster descriptions and keep the means of each cluster; the same patches give the same.

        Shape: lr (N, C, P, P), hr (N, C, s * P, s * P), float32 in [0, 1]; P at least 7.

        Raises:
            OptionError: if sizes do not fit or there are fewer patches than exemplars.
        """
        from sklearn.cluster import MiniBatchKMeans

        count = len(self.lr_patches)
        described, length, detail = self._training_pairs(lr, hr, needed=count)
        # Of a patch and its negative one is clustered: which one, any fixed direction decides.
        direction = torch.linspace(1, 2, described.shape[1])
        sign = torch.where(described @ direction < 0, -1.0, 1.0)[:, None]
        drawn = (sign * described)[draw_textured(length, _CLUSTERED)].numpy()
        clustering = MiniBatchKMeans(
            count,
            init=drawn[:count],
            n_init=1,
            batch_size=8192,
            max_iter=_ROUNDS,
            max_no_improvement=None,
            reassignment_ratio=0,
            random_state=0,
        ).fit(drawn)
        centers = torch.from_numpy(clustering.cluster_centers_).float()
        centers = centers / centers.norm(dim=1, keepdim=True).clamp_min(1e-6)
        nearness = [
            (chunk @ centers.T).abs().max(dim=1)[1] for chunk in torch.split(described, _CHUNK)
        ]
        member = torch.cat(nearness)
        # Weighted by their squared length, means are least-squares estimates of unscaled detail.
        sign = (described * centers[member]).sum(dim=1, keepdim=True).sign()
        weight = length**2
        total = torch.zeros(count, 1).index_add_(0, member, weight)
        means = [
            torch.zeros(count, x.shape[1]).index_add_(0, member, sign * weight * x)
            / total.clamp_min(1e-12)
            for x in (described, detail)
        ]
        self._learned(*means)

"""A network that corrects planes across slices, after splines have filled in the thin ones."""

from __future__ import annotations

from torch import Tensor, nn

from monai_sr.core import at_least_one
from monai_sr.networks.blocks import PlainBlock, he_conv

CONDITIONS = 2
"""Channels beside the plane, see :func:`monai_sr.functional.slice_conditions`."""

_SHARE = 0.1
"""Of the tail that is added. What splines miss is some hundredths: without this the first steps
overshoot it by far, and the network then stayed at nothing (measured over 300 steps)."""


class SliceRefiner(nn.Module):
    """A residual network for planes that contain the slice axis.

    Planes come on the grid of the thin slices already, interpolated; factors of any size, whole or
    not, so are the same work. Both planes through a voxel are corrected, and their mean counts.

    Shape: planes (N, 3, H, W), the slice axis along H: values in [0, 1], and the conditions of
    :func:`monai_sr.functional.slice_conditions` -> (N, 1, H, W), same dtype, not clipped.

    Args:
        channels: width of the trunk.
        num_blocks: residual blocks of two 3 x 3 convolutions.

    Attributes:
        halo: samples on each side that a result may depend on.

    References:
        C. Zhao et al., 2021, doi:10.1109/TMI.2020.3037187 (SMORE): thin slices out of planes. There
        EDSR is trained on the volume itself, turned by several angles; here one small network on
        other subjects, told the factor.
        B. Lim et al., 2017, doi:10.1109/CVPRW.2017.151: the blocks.
    """

    spatial_dims = 2

    def __init__(self, channels: int = 48, num_blocks: int = 3) -> None:
        super().__init__()
        at_least_one(channels=channels, num_blocks=num_blocks)
        self.halo = 2 + num_blocks * PlainBlock.reach
        self.head = he_conv(2, 1 + CONDITIONS, channels)
        self.blocks = nn.Sequential(*(PlainBlock(2, channels) for _ in range(num_blocks)))
        # A zero tail: training starts from the splines.
        self.tail = he_conv(2, channels, 1, gain=0.0)

    def forward(self, planes: Tensor, scale: int | None = None) -> Tensor:
        """Correct planes; their grid stays, a trainer's ``scale`` is 1."""
        values = planes[:, :1]
        head = self.head(planes - 0.5)
        correction: Tensor = self.tail(head + self.blocks(head))
        return values + _SHARE * correction

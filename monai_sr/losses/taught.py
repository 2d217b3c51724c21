"""Compare a result with the truth and with a teacher's result."""

from __future__ import annotations

from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.core.types import PathLike


class TaughtLoss(nn.Module):
    """loss(result, truth) + weight * loss(result, the teacher's result); lower is better.

    Shape: result (N, C, H, W[, D]), targets (N, 2 C, H, W[, D]), the truth's channels first, in
    [0, 1] -> scalar.

    Args:
        loss: (sr, target) -> scalar.
        weight: of the teacher's part.

    Raises:
        OptionError: if the weight is negative.

    References:
        Hinton, Vinyals, Dean (2015), Distilling the knowledge in a neural network,
        arXiv:1503.02531 (two targets, a weighted sum of their losses).
    """

    def __init__(self, loss: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise OptionError(f"teacher_weight: must not be negative, got {weight}")
        self.loss = loss
        self.weight = weight

    def forward(self, sr: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted sum."""
        truth, taught = targets.chunk(2, dim=1)
        value: Tensor = self.loss(sr, truth) + self.weight * self.loss(sr, taught)
        return value


def training_loss(
    loss: nn.Module, teacher: PathLike | None = None, weight: float = 1.0
) -> nn.Module:
    """Return the loss of a run: ``loss`` itself, or :class:`TaughtLoss` of it.

    Args:
        loss: (sr, target) -> scalar.
        teacher: weights of the run's teacher; None: there is none.
        weight: of the teacher's part.
    """
    return TaughtLoss(loss, weight) if teacher else loss


__all__ = ["TaughtLoss", "training_loss"]

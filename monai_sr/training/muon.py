"""The optimizer of the first stage: orthogonal steps for hidden convolutions, Adam for the rest."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

# The quintic iteration of Jordan et al. is steep at zero, so that five rounds bring all singular
# values near 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
# The root mean square of a step of Adam (Liu et al.): one learning rate suits both.
_STEP_SIZE = 0.2


class MuonWithAdam(Adam):
    """Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) for hidden weights.

    A weight of at least ``smallest`` outputs and inputs moves by its averaged gradient with all
    singular values set to about 1, scaled to the size of a step of Adam (Liu et al., 2025,
    arXiv:2502.16982), a convolution as the matrix (outputs, inputs x kernel). ``torch.optim.Muon``
    takes matrices only. Heads, tails, biases and factors move by Adam. A state that Adam has
    written can be loaded.

    Args:
        params: parameters or groups of them.
        lr: learning rate of both.
        betas: of Adam.
        momentum: of Muon, by Nesterov.
        smallest: inputs and outputs that a hidden weight has at least.
        fused: whether Adam updates all its parameters at once; None: where it can.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        momentum: float = 0.95,
        smallest: int = 16,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, fused=fused)
        self._step_supports_amp_scaling = False  # a GradScaler then unscales what Muon sees
        self.momentum = momentum
        self.smallest = smallest

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step; gradients of hidden weights are taken away, as Adam must not see them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for weight in group["params"]:
                if weight.grad is not None and self._is_hidden(weight):
                    direction = self._direction(weight, weight.grad)
                    alike.setdefault(weight.shape, []).append((weight, direction.flatten(1)))
                    weight.grad = None
            for moved in alike.values():
                self._move(moved, group["lr"])
        super().step()
        return loss

    def _is_hidden(self, weight: Tensor) -> bool:
        return weight.ndim >= 2 and min(weight.shape[:2]) >= self.smallest

    @staticmethod
    def _move(moved: list[tuple[Tensor, Tensor]], lr: float) -> None:
        """Move weights of one shape along their directions, made orthogonal all at once."""
        directions = torch.stack([direction for _, direction in moved])
        size = lr * _STEP_SIZE * max(directions.shape[1:]) ** 0.5
        for (weight, _), move in zip(moved, _orthogonal(directions), strict=True):
            weight.sub_(move.view(weight.shape), alpha=size)

    def _direction(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return the averaged gradient, with Nesterov's look ahead."""
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
            state.setdefault("step", torch.zeros(()))  # Adam looks for it where a state is loaded
        average: Tensor = state["momentum_buffer"]
        return gradient.lerp(average.lerp_(gradient, 1 - self.momentum), self.momentum)


def _orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices (N, rows, columns) with singular values of about 1, and 0 for zeros."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if is_tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        gram = found @ found.mT
        found = a * found + (b * gram + c * gram @ gram) @ found
    result: Tensor = found.mT if is_tall else found
    return result

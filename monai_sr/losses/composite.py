"""Losses made of others: weighted terms, early outputs and a teacher's result beside the truth."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import OptionError, PathLike, unknown_name
from monai_sr.functional.resize import resize
from monai_sr.losses.pixel import at_least_float32

_SYNONYMS = {"input": "sr", "target": "hr"}
"""What torch's own losses call the two images."""


class CompositeLoss(nn.Module):
    """Add up loss terms, each with a weight that may rise over the first steps.

    A term is a module whose ``forward`` names what it needs, of ``sr``, ``hr``, ``lr``, ``ema_sr``
    (result of the averaged generator), ``outputs`` (every supervised output, the result last),
    ``real_logits``, ``fake_logits``, ``real_features`` and ``fake_features``. The ``input`` and
    ``target`` of torch's losses are ``sr`` and ``hr``. Terms of weight zero are not computed. The
    state dict holds the step and the factors.

    Shape: every term gives a scalar -> scalar; lower is better.

    Attributes:
        step: number of the training step, from 0; the engine sets it.
        factors: name -> factor on the weight, 1 at first; a handler may change it.

    Args:
        terms: name -> loss.
        weights: name -> weight; 1 where a term has none.
        ramps: name -> {"start": step, "length": steps}: the weight is 0 up to ``start`` and rises
            linearly to its full value at ``start + length``.

    Raises:
        OptionError: if a weight or ramp belongs to no term, or a ramp is not as above.
    """

    def __init__(
        self,
        terms: Mapping[str, nn.Module],
        weights: Mapping[str, float] | None = None,
        *,
        ramps: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        self.step = 0
        self.factors = dict.fromkeys(terms, 1.0)
        weights, ramps = weights or {}, ramps or {}
        for name in [*weights, *ramps]:
            if name not in self.terms:
                raise unknown_name("loss term", name, terms)
        for name, ramp in ramps.items():
            if set(ramp) != {"start", "length"} or min(ramp.values()) < 0:
                raise OptionError(
                    f"ramps[{name!r}]: needs start and length in steps, not negative, "
                    f"got {dict(ramp)}"
                )
        self.weights = {name: float(weights.get(name, 1.0)) for name in terms}
        self.ramps = {name: (ramp["start"], ramp["length"]) for name, ramp in ramps.items()}
        self._arguments = {name: _arguments(term) for name, term in terms.items()}

    def weight(self, name: str) -> float:
        """Return the weight of a term at this step."""
        start, length = self.ramps.get(name, (0, 0))
        if length:
            risen = min(max((self.step - start) / length, 0.0), 1.0)
        else:
            risen = float(self.step >= start)
        return self.weights[name] * risen * self.factors[name]

    @property
    def needs(self) -> set[str]:
        """What the terms of nonzero weight ask for at this step."""
        return {need for name in self._active() for need in self.needs_of(name)}

    def needs_of(self, name: str) -> set[str]:
        """Return what a term asks for."""
        return {need for need, is_needed in self._arguments[name].values() if is_needed}

    def measure(self, **available: Any) -> dict[str, Tensor]:
        """Compute every term of nonzero weight, before its weight.

        Args:
            **available: what the terms may ask for; what none asks for is left out.

        Raises:
            OptionError: if a term asks for something that is not there.
        """
        values = {}
        for name in self._active():
            arguments = {}
            for argument, (need, is_needed) in self._arguments[name].items():
                if need in available:
                    arguments[argument] = available[need]
                elif is_needed:
                    raise OptionError(
                        f"loss term {name!r}: needs {need!r}, available: "
                        f"{', '.join(sorted(available))}; train with an engine and network that "
                        "give it, or drop the term"
                    )
            values[name] = self.terms[name](**arguments)
        return values

    def total(self, values: Mapping[str, Tensor]) -> Tensor:
        """Add up values that :meth:`measure` gave, times their weights at this step."""
        parts = [self.weight(name) * at_least_float32(value) for name, value in values.items()]
        return torch.stack(parts).sum() if parts else torch.zeros(())

    def forward(self, sr: Tensor | Iterable[Tensor], hr: Tensor) -> Tensor:
        """Return the weighted sum, for training without a discriminator.

        Args:
            sr: the result, or every supervised output with the result last.
            hr: the truth.
        """
        if isinstance(sr, Tensor):
            return self.total(self.measure(sr=sr, hr=hr))
        outputs = list(sr)
        return self.total(self.measure(sr=outputs[-1], hr=hr, outputs=outputs))

    def get_extra_state(self) -> dict[str, Any]:
        """Return what a training run needs to go on: the step and the factors."""
        return {"step": self.step, "factors": dict(self.factors)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`get_extra_state` was called."""
        self.step = state["step"]
        self.factors.update({n: f for n, f in state["factors"].items() if n in self.factors})

    def _active(self) -> list[str]:
        return [name for name in self.terms if self.weight(name)]


def _arguments(term: nn.Module) -> dict[str, tuple[str, bool]]:
    """Map the arguments of a term's ``forward`` to what they take, and whether they need it."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        argument: (_SYNONYMS.get(argument, argument), parameter.default is inspect.Parameter.empty)
        for argument, parameter in inspect.signature(term.forward).parameters.items()
        if parameter.kind in named
    }


class TaughtLoss(nn.Module):
    """loss(result, truth) + weight * loss(result, the teacher's result); lower is better.

    Shape: result (N, C, H, W[, D]), targets (N, 2 C, H, W[, D]), the truth's channels first, in
    [0, 1] -> scalar.

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


class DeepSupervisionLoss(nn.Module):
    """Compare the result with the truth, and early outputs with the truth on their grids.

    The value is loss(result, hr) + early_weight * mean over early outputs of loss(early, hr). Where
    an early output has a coarser grid, hr is reduced to it by bicubic down-sampling.

    Shape: outputs, a list of (N, C, H', W'[, D']) with the result last, on the grid of
    hr (N, C, H, W[, D]) in [0, 1] -> scalar; lower is better.

    Args:
        loss: (sr, hr) -> scalar.
        early_weight: weight of the mean over early outputs.

    Raises:
        OptionError: if the weight is negative.

    References:
        Lee, Xie, Gallagher, Zhang, Tu (2015), Deeply-supervised nets, arXiv:1409.5185.
        Kim, Lee, Lee (2016), Deeply-recursive convolutional network for image super-resolution,
        doi:10.1109/CVPR.2016.181 (every recursion supervised).
    """

    def __init__(self, loss: nn.Module, early_weight: float = 1.0) -> None:
        super().__init__()
        if early_weight < 0:
            raise OptionError(f"early_weight: must not be negative, got {early_weight}")
        self.loss = loss
        self.early_weight = early_weight

    def forward(self, outputs: Sequence[Tensor], hr: Tensor) -> Tensor:
        """Return the loss of the result plus the weighted mean of the early outputs'."""
        *early, result = outputs
        value: Tensor = self.loss(result, hr)
        if early and self.early_weight:
            losses = [self.loss(output, _on_grid_of(output, hr)) for output in early]
            value = value + self.early_weight * torch.stack(losses).mean()
        return value


def _on_grid_of(output: Tensor, hr: Tensor) -> Tensor:
    """Reduce hr to the size of an output."""
    if output.shape == hr.shape:
        return hr
    dims = range(2, hr.ndim)
    with torch.no_grad():
        reduced = resize(hr, [output.shape[d] / hr.shape[d] for d in dims], dims)
    return reduced

"""A weighted sum of loss terms, each of which is given what its arguments name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name
from monai_sr.losses.precision import at_least_float32

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


__all__ = ["CompositeLoss"]

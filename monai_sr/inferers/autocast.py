"""Run a generator in reduced precision on any device: the inferer of training and GPU inference."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from monai_sr.core import OptionError, check_precision
from monai_sr.functional import back_project


class AutocastInferer(Inferer):
    """Call the network under autocast and return float32.

    MONAI's engines offer autocast on CUDA only; bfloat16 also speeds up recent CPUs, and needs no
    gradient scaler on either.

    Args:
        dtype: "bfloat16", "float16" or "float32" (no autocast).
        consistency: back-projection steps onto the input, of the last result where there are
            several; a generator trained so need not learn what the inference bundles do anyway.

    Raises:
        OptionError: if ``dtype`` is none of them, or ``consistency`` is negative.
    """

    def __init__(self, dtype: str = "float32", *, consistency: int = 0) -> None:
        super().__init__()
        if consistency < 0:
            raise OptionError(f"consistency: must not be negative, got {consistency}")
        self.consistency = consistency
        if dtype not in ("float32", "bfloat16", "float16"):
            raise OptionError(f"dtype: must be float32, bfloat16 or float16, got {dtype!r}")
        self.dtype: torch.dtype = getattr(torch, dtype)

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return ``network(inputs, *args, **kwargs)``, a tensor or a list of them, as float32."""
        check_precision(inputs.device, str(self.dtype).removeprefix("torch."))
        enabled = self.dtype != torch.float32
        with torch.autocast(inputs.device.type, self.dtype, enabled=enabled):
            result = network(inputs, *args, **kwargs)
        if isinstance(result, list | tuple):
            *early, last = [each.float() for each in result]
            return [*early, self._projected(last, inputs)]
        return self._projected(result.float(), inputs)

    def _projected(self, sr: Tensor, lr: Tensor) -> Tensor:
        if not self.consistency:
            return sr
        return back_project(sr, lr, sr.shape[-1] // lr.shape[-1], self.consistency)

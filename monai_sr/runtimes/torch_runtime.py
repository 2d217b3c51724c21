"""PyTorch itself, which runs every generator: nothing is exported."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from monai_sr.runtimes.registry import Artifact, Runtime, register_runtime


@register_runtime
class TorchRuntime(Runtime):
    """The generator as it is; reduced precision is the inferer's autocast."""

    name = "torch"
    devices = ("cpu", "cuda", "mps", "xpu")
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return torch's version."""
        return str(torch.__version__)

    def export(self, network: nn.Module, example: Tensor) -> NoReturn:
        """Never called: the network is its own copy."""
        raise NotImplementedError

    def open(self, artifact: Artifact, device: torch.device, precision: str) -> NoReturn:
        """Never called."""
        raise NotImplementedError

"""PyTorch itself, which runs every generator as it is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from monai_sr.runtimes.registry import Engine, LiveRuntime, register_runtime


@register_runtime
class TorchRuntime(LiveRuntime):
    """The generator as it is: a bundle's runs unchanged, under the autocast of the inferer."""

    name = "torch"
    devices = ("cpu", "cuda", "mps", "xpu")
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return torch's version."""
        return str(torch.__version__)

    def start(self, network: nn.Module, device: torch.device, precision: str) -> Engine:
        """Return a copy on the device, under autocast in reduced precision."""
        own, dtype = copy.deepcopy(network).to(device).eval(), getattr(torch, precision)

        @torch.inference_mode()
        def run(image: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                result: Tensor = own(image.to(device))
            return result.float()

        return run

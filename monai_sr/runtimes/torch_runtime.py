"""PyTorch itself, which runs every generator as it is."""

from __future__ import annotations

import torch

from monai_sr.runtimes.registry import LiveRuntime, register_runtime


@register_runtime
class TorchRuntime(LiveRuntime):
    """The generator itself, never started as another; reduced precision is the inferer's."""

    name = "torch"
    devices = ("cpu", "cuda", "mps", "xpu")
    precisions = ("float32", "bfloat16", "float16")

    def version(self) -> str:
        """Return torch's version."""
        return str(torch.__version__)

"""PyTorch's own compiler: kernels joined by TorchInductor, on GPUs and CPUs."""

import copy
import os

import torch
from torch import Tensor, nn

from monai_sr.core import cache_folder
from monai_sr.runtimes.registry import Engine, LiveRuntime, register_runtime

_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
_VARIANTS = 64  # of networks and single images or batches in one process; torch stops at 8


@register_runtime
class InductorRuntime(LiveRuntime):
    """``torch.compile``, which needs a C++ compiler on CPUs and Triton on GPUs.

    Sides of images stay free in what is compiled: tiles have many shapes, and each would cost a
    compilation of its own. Without CUDA graphs: a large tile keeps a GPU busy for longer than the
    starting of its kernels takes; graphs would hold their memory for every shape, and belong to
    the thread that made them.

    Attributes:
        backend: of ``torch.compile``; "aot_eager" compiles nothing, for tests.
    """

    name = "inductor"
    devices = ("cuda", "cpu")
    precisions = ("float32", "bfloat16", "float16")
    backend = "inductor"

    def version(self) -> str:
        """Return torch's version."""
        return str(torch.__version__)

    def start(self, network: nn.Module, device: torch.device, precision: str) -> Engine:
        """Compile a network; that happens at the first call, for one image and for several."""
        # Kernels are kept there under hashes; the temporary folder of torch is often emptied.
        os.environ.setdefault(_CACHE_VARIABLE, str(cache_folder() / "inductor"))
        own = copy.deepcopy(network).float().to(device).eval().requires_grad_(False)
        if all(weight.ndim < 5 for weight in own.parameters()):
            own = own.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        compiled = torch.compile(own, backend=self.backend, dynamic=True, fullgraph=True)
        dtype: torch.dtype = getattr(torch, precision)

        @torch.inference_mode()
        def run(image: Tensor) -> Tensor:
            given = image.to(device, torch.float32)
            if given.ndim == 4:
                # One order of channels in memory: another one would be compiled again.
                given = torch.empty_like(given, memory_format=torch.channels_last).copy_(given)
            with (
                torch._dynamo.config.patch(recompile_limit=_VARIANTS),
                torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
            ):
                result: Tensor = compiled(given)
            return result.float()

        return run

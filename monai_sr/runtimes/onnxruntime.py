"""ONNX Runtime: on CPUs of any maker, and on GPUs with its CUDA provider."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.optional import import_extra
from monai_sr.runtimes.onnx_export import onnx_bytes
from monai_sr.runtimes.registry import (
    Artifact,
    Engine,
    ExportingRuntime,
    RuntimeUnfitError,
    register_runtime,
)

Provider = str | tuple[str, dict[str, Any]]


@register_runtime
class ONNXRuntime(ExportingRuntime):
    """Microsoft's runtime; on a GPU it needs the package ``onnxruntime-gpu``."""

    name = "onnxruntime"
    extra = "onnxruntime"
    modules = ("onnxruntime", "onnx")
    devices = ("cpu", "cuda")
    precisions = ("float32", "int8")

    def version(self) -> str:
        """Return ONNX Runtime's version."""
        return str(import_extra("onnxruntime", extra="onnxruntime").__version__)

    def export(self, network: nn.Module, example: Tensor) -> Artifact:
        """Return an ONNX file: "model.onnx"."""
        return {"model.onnx": onnx_bytes(network, example, "onnxruntime")}

    def open(self, artifact: Artifact, device: torch.device, precision: str) -> Engine:
        """Start a session; nothing of the network may fall back to another device."""
        provider: Provider = "CPUExecutionProvider"
        if device.type == "cuda":
            provider = ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0})
        return session(artifact["model.onnx"], [provider], device)


def session(model: bytes, providers: list[Provider], device: torch.device) -> Engine:
    """Start a session of ONNX Runtime.

    Args:
        model: content of an ONNX file.
        providers: the first one must be there.
        device: where inputs are and results are wanted.

    Raises:
        RuntimeUnfitError: if the first provider cannot be had.
    """
    ort = import_extra("onnxruntime", extra="onnxruntime")
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if first not in ort.get_available_providers():
        raise RuntimeUnfitError(
            f"runtime: the installed onnxruntime has no {first}; install onnxruntime-gpu in its "
            "place, or leave --runtime out"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Waiting threads would take the core of what reads and writes meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    started = ort.InferenceSession(model, options, providers=providers)
    if started.get_providers()[0] != first:
        raise RuntimeUnfitError(
            f"runtime: onnxruntime cannot start its {first} on {device} (driver or libraries); "
            "leave --runtime out"
        )

    def run(image: Tensor) -> Tensor:
        plain = image.detach().float().contiguous().cpu().numpy()
        return torch.from_numpy(started.run(None, {"lr": plain})[0]).to(device)

    return run

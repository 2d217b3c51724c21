"""TensorRT for NVIDIA GPUs, through ONNX Runtime's provider of that name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core.cache_folder import cache_folder
from monai_sr.core.optional import import_extra
from monai_sr.runtimes.onnx_export import onnx_bytes
from monai_sr.runtimes.onnxruntime import Provider, session
from monai_sr.runtimes.registry import Artifact, Engine, ExportingRuntime, register_runtime


@register_runtime
class TensorRTRuntime(ExportingRuntime):
    """NVIDIA's compiler; it takes minutes for a new network or a new size of tile.

    Its engines are kept in the user's cache folder, under names by which it knows them again.
    """

    name = "tensorrt"
    extra = "tensorrt"
    modules = ("onnxruntime", "onnx", "tensorrt")
    devices = ("cuda",)
    precisions = ("float32", "float16", "bfloat16", "int8")

    def version(self) -> str:
        """Return the versions of TensorRT and of ONNX Runtime."""
        names = ("tensorrt", "onnxruntime")
        return " ".join(str(import_extra(n, extra="tensorrt").__version__) for n in names)

    def export(self, network: nn.Module, example: Tensor) -> Artifact:
        """Return an ONNX file: "model.onnx"."""
        return {"model.onnx": onnx_bytes(network, example, "tensorrt")}

    def open(self, artifact: Artifact, device: torch.device, precision: str) -> Engine:
        """Start a session that builds or reads an engine."""
        options: dict[str, Any] = {
            "device_id": device.index or 0,
            "trt_fp16_enable": precision == "float16",
            "trt_bf16_enable": precision == "bfloat16",
            "trt_int8_enable": precision == "int8",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(cache_folder() / "tensorrt"),
        }
        # What TensorRT does not know runs in CUDA.
        providers: list[Provider] = [
            ("TensorrtExecutionProvider", options),
            "CUDAExecutionProvider",
        ]
        return session(artifact["model.onnx"], providers, device)

"""ONNX Runtime: CPUs of any maker, GPUs with its CUDA provider or that of NVIDIA's TensorRT."""

from typing import Any

import torch
from monai.networks.utils import convert_to_onnx
from torch import Tensor, nn

from monai_sr.core import cache_folder, ignored_warnings, import_extra
from monai_sr.runtimes.registry import (
    Artifact,
    Engine,
    ExportingRuntime,
    RuntimeUnfitError,
    register_runtime,
)

_OPSET = 17


def onnx_bytes(network: nn.Module, example: Tensor, extra: str) -> bytes:
    """Return a network as the content of an ONNX file.

    Args:
        network: of one input, "lr", and one result, "sr".
        example: an input; the sizes of batch and image stay free.
        extra: the extra of monai-sr that installs ``onnx``.
    """
    import_extra("onnx", extra=extra)
    free = {0: "batch", **{axis: f"side_{axis}" for axis in range(2, example.ndim)}}
    with ignored_warnings(), torch.no_grad():
        # The exporter by tracing needs a tenth of the newer one's seconds, and keeps fake
        # quantization as the pairs of nodes that runtimes look for.
        model = convert_to_onnx(
            network, (example,), ["lr"], ["sr"], _OPSET, {"lr": free, "sr": free}, dynamo=False
        )
    return bytes(model.SerializeToString())


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

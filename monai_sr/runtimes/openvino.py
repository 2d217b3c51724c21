"""OpenVINO: the fastest on CPUs, in float32 and in 8-bit integers."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_sr.core import ForkSafeLock, ignored_warnings, import_extra
from monai_sr.runtimes.registry import (
    Artifact,
    Engine,
    ExportingRuntime,
    RuntimeUnfitError,
    register_runtime,
)

_LOCK = ForkSafeLock()


@register_runtime
class OpenVINORuntime(ExportingRuntime):
    """Intel's runtime, on the CPU alone."""

    name = "openvino"
    extra = "openvino"
    modules = ("openvino",)
    precisions = ("float32", "int8")

    def version(self) -> str:
        """Return OpenVINO's version with its build."""
        return str(import_extra("openvino", extra="openvino").get_version())

    def export(self, network: nn.Module, example: Tensor) -> Artifact:
        """Return OpenVINO's intermediate representation: "model.xml" and "model.bin"."""
        ov = import_extra("openvino", extra="openvino")
        frontend = import_extra("openvino.frontend", extra="openvino").FrontEndManager()
        decoder = import_extra("openvino.frontend.pytorch.ts_decoder", extra="openvino")
        # What `openvino.convert_model` does, without reporting each call to its makers.
        with ignored_warnings(), torch.no_grad():
            traced = decoder.TorchScriptPythonDecoder(network, example_input=(example,))
            reader = frontend.load_by_framework("pytorch")
            reader.add_extension(_depth_to_space())
            model = reader.convert(reader.load(traced))
        model.reshape(ov.PartialShape([-1, example.shape[1], *[-1] * (example.ndim - 2)]))
        passes = import_extra("openvino.passes", extra="openvino")
        manager = passes.Manager()
        # Steps of 8-bit values are recognized as constants alone.
        manager.register_pass(passes.ConstantFolding())
        manager.run_passes(model)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.xml"
            ov.save_model(model, file, compress_to_fp16=False)
            return {name: file.with_name(name).read_bytes() for name in ("model.xml", "model.bin")}

    def open(self, artifact: Artifact, device: torch.device, precision: str) -> Engine:
        """Compile for this processor; sizes of images stay free."""
        ov = import_extra("openvino", extra="openvino")
        with _LOCK:
            process, core = _core()
        if process != os.getpid():
            # Its threads, which it would wait for, belong to the whole process and are gone.
            raise RuntimeUnfitError(
                f"runtime: {self.name} must not be used before a process is forked, got a fork; "
                "start processes by spawn (multiprocessing.get_context), or use --runtime torch"
            )
        model = core.read_model(artifact["model.xml"], artifact["model.bin"])
        return _Engine(ov, core.compile_model(model, "CPU", _options()))


def _depth_to_space() -> Any:
    """Return what keeps a pixel shuffle one operation: a chain of others is thrice as slow."""
    operations = import_extra("openvino.opset13", extra="openvino")
    pytorch = import_extra("openvino.frontend.pytorch", extra="openvino")

    def convert(node: Any) -> Any:
        factor = int(node.get_values_from_const_input(1))
        return operations.depth_to_space(node.get_input(0), "depth_first", factor).outputs()

    return pytorch.ConversionExtension("aten::pixel_shuffle", convert)


@cache
def _core() -> tuple[int, Any]:
    """Return one core for the life of the process, and the process.

    Each core gives its thread a stack for signals, and its end brings back the one before: where
    cores do not end in the reverse order, the next signal finds memory that is gone.
    """
    return os.getpid(), import_extra("openvino", extra="openvino").Core()


def _options() -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Several processes of one machine would be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
        # Left alone, recent processors would compute in bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
    }


class _Engine:
    def __init__(self, ov: Any, compiled: Any) -> None:
        self.ov = ov
        self.compiled = compiled
        self.request = compiled.create_infer_request()

    def __call__(self, image: Tensor) -> Tensor:
        plain = image.detach().float().contiguous().numpy()
        results = self.request.infer([plain], share_inputs=True, share_outputs=False)
        return torch.from_numpy(results[0])

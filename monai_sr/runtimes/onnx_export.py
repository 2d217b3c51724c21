"""Networks as ONNX files, for the runtimes that read those."""

from __future__ import annotations

import torch
from monai.networks.utils import convert_to_onnx
from torch import Tensor, nn

from monai_sr.core.optional import import_extra
from monai_sr.core.shared import ignored_warnings

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

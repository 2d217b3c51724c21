"""Export a model as an ONNX file for Deepness, the plug-in of QGIS that runs networks on layers.

Read for it: Deepness 0.6.5, https://github.com/PUTvision/qgis-plugin-deepness, which

* divides values by 255, whatever their type, and takes as many bands as the network has inputs;
* sets tiles beside each other and cannot let those of super-resolution overlap;
* multiplies results by an output scaling, 255 unless changed, and cuts off what is behind the
  point to get 8 bits;
* reads ``model_type``, ``resolution``, ``tile_size``, ``tiles_overlap``, ``standardization_mean``,
  ``standardization_std`` and ``class_names`` from the file, each as JSON.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from monai.networks.utils import convert_to_onnx
from torch import Tensor, nn

from monai_sr.core import (
    Model,
    OptionError,
    atomic_file,
    ignored_warnings,
    import_extra,
)
from monai_sr.core.version import __version__
from monai_sr.integrations.whole_model import WholeModel, check_faithful, exported_resolver
from monai_sr.upscaling import SuperResolver

_COLORS = ("red", "green", "blue")
_OPSET = 17
_LEVELS = 255
_BEHIND = 0.25  # of a level, which is cut off: without it a rounding error would cost a whole one
_LARGEST_TILE = 2048


class DeepnessModel(nn.Module):
    """Enlarge one tile as an image of its own, to what becomes 8 bits by cutting off.

    Shape: tile (1, 3, H, W) float32 in [0, 1] -> (1, 3, H * scale, W * scale); times 255 each value
    is a whole level and a quarter.

    Args:
        whole: network with back-projection; a tile is one tile for it, too.
    """

    def __init__(self, whole: WholeModel) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, tile: Tensor) -> Tensor:
        """Enlarge ``tile``."""
        levels = torch.round(self.whole(tile).clamp(0, 1) * _LEVELS)
        return (levels + _BEHIND) / _LEVELS


def export_deepness(
    model: Model,
    output_dir: Path,
    *,
    scale: int = 4,
    tile_size: int = 256,
    pixel_size: float | None = None,
) -> Path:
    """Write ``<output_dir>/<bundle>_x<scale>_deepness.onnx``.

    Args:
        model: a bundle's own faithful model for colors, in its best or fast size.
        output_dir: where the file goes.
        scale: whole factor that the model was trained for.
        tile_size: side of the tiles that Deepness cuts, in input pixels.
        pixel_size: of the layer, in meters; None leaves the field as it is in QGIS, where Deepness
            resamples a layer of another.

    Raises:
        OptionError: if an option or the model does not fit.
        MissingDependencyError: if ``onnx`` is not installed.
        OutputError: if the file cannot be written.
    """
    _check(model, tile_size, pixel_size)
    onnx = import_extra("onnx", extra="export")
    resolver = exported_resolver(model, scale)
    network: Any = resolver.network
    if scale not in network.scales or resolver.in_channels != len(_COLORS):
        raise OptionError(
            f"model: must take colors and be trained for the scale to be exported for Deepness, "
            f"got {model.name} of {resolver.in_channels} channels x{scale}; use satellite_sr, "
            f"--scale {' or '.join(map(str, network.scales))}"
        )
    inferer = resolver.inferer
    whole = WholeModel(
        network, scale, steps=inferer.consistency, overshoot=inferer.overshoot, is_bounded=True,
        core=tile_size,
    )  # fmt: skip
    tile = torch.rand(1, len(_COLORS), tile_size, tile_size)
    with ignored_warnings(), torch.no_grad():
        graph = convert_to_onnx(
            DeepnessModel(whole).eval(), (tile,), ["input"], ["output"], _OPSET, None, dynamo=False
        )
    facts = _metadata(model, resolver, tile_size, pixel_size)
    onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in facts.items()})
    onnx.checker.check_model(graph)
    target = Path(output_dir) / f"{model.name.replace(':', '_')}_x{scale}_deepness.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as temporary:
        temporary.write_bytes(graph.SerializeToString())
    return target


def _check(model: Model, tile_size: int, pixel_size: float | None) -> None:
    check_faithful(model)
    if not 16 <= tile_size <= _LARGEST_TILE:
        raise OptionError(
            f"tile_size: must be 16 to {_LARGEST_TILE} pixels, got {tile_size}; leave it out"
        )
    if pixel_size is not None and not (pixel_size > 0 and math.isfinite(pixel_size)):
        raise OptionError(
            f"pixel_size: must be meters above 0, got {pixel_size}; write that of the layer"
        )


def _metadata(
    model: Model, resolver: SuperResolver, tile_size: int, pixel_size: float | None
) -> dict[str, Any]:
    """Return what Deepness reads, and where the file comes from."""
    facts: dict[str, Any] = {
        "model_type": "Superresolution",
        "tile_size": tile_size,
        "tiles_overlap": 0,
        "standardization_mean": [0.0] * len(_COLORS),
        "standardization_std": [1.0] * len(_COLORS),
        "class_names": {str(band): color for band, color in enumerate(_COLORS)},
        "scale_factor": resolver.scale,
        "software": f"monai-sr {__version__}",
        "model": model.name,
        "weights_sha256": resolver.weights_sha256,
        "note": "Derived by super-resolution; detail is an estimate",
    }
    if pixel_size is not None:
        facts["resolution"] = round(100 * pixel_size, 6)  # Deepness counts in centimeters
    return facts

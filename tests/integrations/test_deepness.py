"""What is exported for Deepness holds what it reads, and gives in its hands what monai-sr gives."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import rasterio

from monai_sr import SuperResolver
from monai_sr.cli import main as cli
from monai_sr.core import OptionError, find_model
from monai_sr.integrations import export_deepness

# satellite_sr:fast at x2 in tiles of 48, which leave a part untouched by their edges.
SIDE, SCALE = 48, 2
HOW = {"scale": SCALE, "device": "cpu", "runtime": "torch"}


@pytest.fixture(scope="module")
def colors(samples_dir: Path) -> np.ndarray:
    """Return (96, 96, 3) uint8 of an aerial image, a white and a black corner among it."""
    with rasterio.open(samples_dir / "satellite_sr" / "naip.tif") as scene:
        image = scene.read([1, 2, 3], window=((40, 136), (30, 126))).transpose(1, 2, 0).copy()
    image[:9, :9], image[-9:, -9:] = 255, 0
    return image


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """Return the file that the command writes."""
    folder = tmp_path_factory.mktemp("deepness")
    words = ["--format", "deepness", "--scale", "2", "--tile_size", "48", "--pixel_size", "0.6"]
    assert cli.main(["export", "satellite_sr:fast", "-o", str(folder), *words]) == 0
    (file,) = folder.iterdir()
    return file


def deepness(file: Path, image: np.ndarray, output_scaling: float = 255.0) -> np.ndarray:
    """Do with a layer what Deepness 0.6.5 does (model_base.py, map_processor_superresolution.py).

    Shape: image (H, W, 3) uint8, whole tiles -> (H * scale, W * scale, 3) uint8.
    """
    session = onnxruntime.InferenceSession(file)
    facts = session.get_modelmeta().custom_metadata_map
    mean, std = (
        np.array(json.loads(facts[f"standardization_{name}"]), np.float32)
        for name in ("mean", "std")
    )
    side, scale = session.get_inputs()[0].shape[-1], 2  # which a user of the plug-in enters
    stride = side - int(side * json.loads(facts["tiles_overlap"]) / 100 * 2) // 2
    result = np.zeros((image.shape[0] * scale, image.shape[1] * scale, 3), np.uint8)
    tops, lefts = (range(0, size - side + 1, stride) for size in image.shape[:2])
    for top, left in itertools.product(tops, lefts):
        tile = np.float32(image[None, top : top + side, left : left + side, :3] * 1.0 / 255.0)
        batch = np.transpose((tile - mean) / std, (0, 3, 1, 2))
        (large,) = session.run(None, {session.get_inputs()[0].name: batch})[0]
        large[np.isnan(large)] = 0
        large *= output_scaling
        place = np.s_[top * scale : (top + stride) * scale, left * scale : (left + stride) * scale]
        result[place] = large.astype(np.float32).transpose(1, 2, 0)
    return result


def own(image: np.ndarray, resolver: SuperResolver) -> np.ndarray:
    """Return what monai-sr makes of an image of 8 bits."""
    unit = np.float32(image / 255.0).transpose(2, 0, 1)
    return np.rint(resolver(unit) * 255).astype(np.uint8).transpose(1, 2, 0)


def test_the_file_says_what_deepness_reads(exported) -> None:
    assert exported.name == "satellite_sr_fast_x2_deepness.onnx"
    session = onnxruntime.InferenceSession(exported)
    facts: dict[str, Any] = {
        key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()
    }
    # str.capitalize, which Deepness applies, must leave the name of its type as it is.
    assert facts["model_type"] == facts["model_type"].capitalize() == "Superresolution"
    assert facts["resolution"] == 60  # centimeters
    assert (facts["tile_size"], facts["tiles_overlap"]) == (48, 0)
    assert facts["class_names"] == {"0": "red", "1": "green", "2": "blue"}
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    # Deepness wants one input and one output, square and of known size.
    assert (given.shape, made.shape) == ([1, 3, 48, 48], [1, 3, 96, 96])


def test_each_tile_is_what_monai_sr_makes_of_it(exported, colors) -> None:
    resolver = SuperResolver("satellite_sr:fast", **HOW)
    for top, left in itertools.product((0, SIDE), repeat=2):
        tile = colors[top : top + SIDE, left : left + SIDE]
        off = np.abs(deepness(exported, tile).astype(int) - own(tile, resolver))
        # Sums in another order move a value on the very edge of rounding by one level.
        assert off.max() <= 1
        assert (off > 0).mean() < 1e-3


def test_the_whole_is_met_where_no_edge_of_a_tile_is_near(exported, colors) -> None:
    resolver = SuperResolver("satellite_sr:fast", **HOW)
    whole, tiles = own(colors, resolver), deepness(exported, colors)
    off = np.abs(tiles.astype(int) - whole).max(axis=2)
    reach = SCALE * (resolver.network.halo + 8)
    edge = SCALE * SIDE
    distance = np.abs(np.arange(len(off)) + 0.5 - edge)
    near = (distance[:, None] < reach) | (distance[None] < reach)
    assert (~near).any()
    assert off[~near].max() <= 1
    assert off[near].max() > 1  # the seams that the page tells of


@pytest.mark.slow
def test_the_best_size_at_four_times_is_exported_too(tmp_path, colors) -> None:
    file = export_deepness(find_model("satellite_sr"), tmp_path, scale=4, tile_size=32)
    session = onnxruntime.InferenceSession(file)
    assert "resolution" not in session.get_modelmeta().custom_metadata_map
    tile = colors[20:52, 20:52]
    batch = np.float32(tile[None] / 255.0).transpose(0, 3, 1, 2)
    (large,) = session.run(None, {"input": batch})[0]
    expected = own(tile, SuperResolver("satellite_sr", **{**HOW, "scale": 4}))
    off = np.abs((large * 255).astype(np.uint8).transpose(1, 2, 0).astype(int) - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("model", "options", "remedy"),
    [
        ("satellite_sr:perceptual", {}, "satellite_sr:fast"),
        ("xray_sr", {}, "use satellite_sr"),
        ("satellite_sr", {"scale": 3}, "scale: must be|--scale 2 or 4"),
        ("satellite_sr", {"tile_size": 5}, "16 to 2048"),
        ("satellite_sr", {"pixel_size": 0.0}, "that of the layer"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, model, options, remedy) -> None:
    with pytest.raises(OptionError, match=remedy):
        export_deepness(find_model(model), tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_options_of_deepness_belong_to_it(tmp_path, capsys) -> None:
    words = ["export", "satellite_sr", "-o", str(tmp_path), "--tile_size", "64"]
    assert cli.main(words) == 2
    assert "add that" in capsys.readouterr().err

"""MONAI's own tools accept every bundle: verification, TorchScript, ONNX; sizes are right."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai import bundle as monai_bundle
from monai.bundle import ConfigParser

from monai_sr.networks import load_weights

# What the specification of MONAI bundles asks for, by hand: the official file needs a network.
_TEXT = {"type": "string", "minLength": 1}
_IMAGE = {
    "type": "object",
    "properties": {
        "type": {"enum": ["image"]},
        "format": {"enum": ["magnitude", "hounsfield", "kspace", "segmentation", "raw"]},
        "modality": _TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}},
        "dtype": {"enum": ["float32", "float16", "uint8"]},
        "value_range": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "patternProperties": {"^[0-9]+$": _TEXT}},
    },
    "additionalProperties": False,
}
_IMAGE["required"] = list(_IMAGE["properties"])
_TEXTS = ("version", "monai_version", "pytorch_version", "numpy_version", "task", "description")
SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys((*_TEXTS, "authors", "copyright"), _TEXT),
        "changelog": {"type": "object", "additionalProperties": _TEXT},
        "required_packages_version": {"type": "object", "additionalProperties": _TEXT},
        "supported_apps": {"type": "object"},
        "network_data_format": {
            "type": "object",
            "properties": {
                "inputs": {"type": "object", "properties": {"image": _IMAGE}},
                "outputs": {"type": "object", "properties": {"pred": _IMAGE}},
            },
            "required": ["inputs", "outputs"],
        },
    },
    "required": [*_TEXTS, "authors", "copyright", "changelog", "network_data_format"],
}


@pytest.fixture
def network(bundle):
    """Return the trained generator of a bundle."""
    network = ConfigParser(bundle.config("inference")).get_parsed_content("network_def")
    load_weights(network, bundle.weights)
    return network.eval()


def _image(network, *sides: int) -> torch.Tensor:
    return torch.rand(1, network.in_channels, *sides)


def test_network_fits_its_metadata(bundle) -> None:
    monai_bundle.verify_net_in_out("network_def", **bundle.tool_arguments)


@pytest.mark.slow
def test_network_fits_its_metadata_on_the_command_line(bundle) -> None:
    command = [sys.executable, "-m", "monai.bundle", "verify_net_in_out", "network_def"]
    for name, value in bundle.tool_arguments.items():
        command += [f"--{name}", value]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", [None, "channel_def"])
def test_metadata_passes_a_schema_without_a_network(bundle, tmp_path, missing) -> None:
    pytest.importorskip("jsonschema", reason="needs jsonschema, which MONAI validates with")
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    digest = hashlib.md5(schema.read_bytes()).hexdigest()
    metadata = bundle.metadata
    metadata["network_data_format"]["outputs"]["pred"].pop(missing, None)
    meta_file = tmp_path / "metadata.json"
    meta_file.write_text(json.dumps(metadata))

    def verify() -> None:
        monai_bundle.verify_metadata(str(meta_file), filepath=str(schema), hash_val=digest)

    if missing is None:
        verify()
    else:
        with pytest.raises(ValueError, match=missing):
            verify()


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("sides", [(1, 1), (5, 7), (17, 9)])
def test_result_is_the_input_times_the_scale(bundle, network, scale: int, sides) -> None:
    image = _image(network, *sides)
    expected = (1, network.in_channels, *(scale * side for side in sides))
    with torch.inference_mode():
        assert network(image, scale).shape == expected
    parser = ConfigParser(bundle.config("inference"))
    # Tiles smaller than the image: their sum must have the size of the whole.
    parser.update({"scale": scale, "tile_size": 4, "device": "cpu", "inferer#progress": False})
    result = parser.get_parsed_content("inferer")(image, network)
    assert result.shape == expected
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_torchscript_gives_the_same_image(bundle, network, tmp_path) -> None:
    exported = tmp_path / "model.ts"
    monai_bundle.ckpt_export(
        "network_def",
        str(exported),
        ckpt_file=str(bundle.weights),
        **bundle.tool_arguments,
    )
    script = torch.jit.load(exported)
    image = _image(network, 9, 13)
    with torch.inference_mode():
        assert torch.equal(script(image), network(image))
        assert torch.equal(script(image, 2), network(image, 2))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's exporter about torch
@pytest.mark.parametrize("trace", [True, False])
def test_onnx_gives_the_same_image(bundle, network, tmp_path, trace: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra `export`")
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    from onnx.reference import ReferenceEvaluator

    exported = tmp_path / "model.onnx"
    monai_bundle.onnx_export(
        "network_def",
        str(exported),
        ckpt_file=str(bundle.weights),
        use_trace=trace,
        input_shape=[1, network.in_channels, 6, 5],
        **bundle.tool_arguments,
    )
    model = onnx.load(str(exported))
    onnx.checker.check_model(model)
    image = _image(network, 6, 5)
    (name,) = [i.name for i in model.graph.input]
    (result,) = ReferenceEvaluator(model).run(None, {name: image.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(result, network(image).numpy(), atol=2e-5)

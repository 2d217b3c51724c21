import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.core.errors import OptionError
from monai_sr.core.registry import list_bundles
from monai_sr.networks import load_weights
from monai_sr.networks.weights import state_digest
from monai_sr.runtimes import RuntimeChoice, RuntimeUnfitError, find_runtime
from monai_sr.runtimes.int8 import QuantizedConv, quantized, read_ranges
from monai_sr.upscaling.super_resolver import inference_config
from tests.network_factory import tiny

BUNDLES = sorted(list_bundles())


@pytest.fixture(params=["openvino", "onnxruntime"])
def runtime(request):
    found = find_runtime(request.param)
    if not found.is_installed():
        pytest.skip(f"needs monai-sr[{found.extra}]")
    return request.param


@pytest.fixture(scope="module")
def photo(samples_dir):
    from PIL import Image

    file = sorted((samples_dir / "natural_sr").glob("*.png"))[0]
    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[:, :90, :110] / 255)


def _psnr(a, b):
    return -10 * np.log10(np.mean((np.asarray(a, np.float64) - b) ** 2))


@pytest.mark.parametrize("bundle", BUNDLES)
def test_shipped_ranges_belong_to_shipped_weights(bundle):
    folder = list_bundles()[bundle] / "models"
    entries = json.loads((folder / "int8.json").read_text())
    files = sorted(f for f in folder.glob("model*.pt") if not f.stem.endswith(("_3d", "_slices")))
    assert sorted(entry["file"] for entry in entries.values()) == [f.name for f in files]
    for file in files:
        size = "fast" if file.stem.endswith("_fast") else "best"
        config = inference_config(bundle, {"size": size})
        network = config.get_parsed_content("network_def")
        load_weights(network, file)
        assert entries[state_digest(network)]["file"] == file.name, "run benchmarks/fit_int8.py"
        ranges = read_ranges(folder / "int8.json", network)
        assert set(ranges) == set(network.scales)
        for per_layer in ranges.values():
            known = [limits for limits in per_layer.values() if limits]
            assert all(low <= 0 <= high and low < high for low, high in known)
            assert "head" not in per_layer
            last = f"blocks.{len(network.blocks) - 1}.second"
            assert {"blocks.0.first", last, "fusion"} <= set(per_layer)
            # What a mark has rounded is not rounded again.
            assert ("start" in per_layer) == (per_layer["blocks.0.first"] is None)


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("size", ["best", "fast"])
def test_letters_on_smooth_ground_are_not_clipped(bundle, size):
    """Images to fit ranges on may show no letters; those of X-rays do."""
    image = torch.linspace(0.2, 0.6, 72).expand(1, 1, 64, 72).clone()
    image[..., 10:30, 12:16] = image[..., 26:30, 12:26] = 1.0
    image[..., 40:50, 40:41] = image[..., 44, 36:60] = 0.0
    folder = list_bundles()[bundle] / "models"
    config = inference_config(bundle, {"size": size})
    network = config.get_parsed_content("network_def").eval()
    load_weights(network, folder / ("model_fast.pt" if size == "fast" else "model.pt"))
    image = image.expand(-1, network.in_channels, -1, -1)
    for scale, ranges in read_ranges(folder / "int8.json", network).items():
        rounding = copy.deepcopy(network)
        quantized(rounding, ranges)
        with torch.inference_mode():
            difference = rounding(image, scale) - network(image, scale)
        assert difference.abs().max() < 0.2
        assert difference.square().mean().sqrt() < 0.01


@pytest.mark.parametrize("scale", [2, 4])
def test_integers_change_a_photo_by_less_than_a_stored_unit_on_average(runtime, scale, photo):
    exact = SuperResolver.from_bundle("natural_sr", runtime="torch", scale=scale)
    integer = SuperResolver.from_bundle(
        "natural_sr", runtime=runtime, precision="int8", scale=scale
    )
    assert integer.network.precision == "int8"
    first, second = exact(photo), integer(photo)
    assert not np.array_equal(first, second)
    assert _psnr(first, second) > 46


def test_openvino_computes_the_convolutions_in_integers():
    pytest.importorskip("openvino", reason="needs monai-sr[openvino]")
    resolver = SuperResolver.from_bundle("natural_sr", runtime="openvino", precision="int8")
    graph = resolver.network.engine(4).compiled.get_runtime_model()
    kinds = [
        str(op.get_rt_info()["runtimePrecision"].astype(str))
        for op in graph.get_ops()
        if str(op.get_rt_info()["layerType"].astype(str)) == "Convolution"
    ]
    integers = [kind for kind in kinds if kind in ("i8", "u8")]
    network = resolver.network.generator
    folder = list_bundles()["natural_sr"] / "models"
    ranges = read_ranges(folder / "int8.json", network)[4]
    convolutions = [n for n in ranges if isinstance(network.get_submodule(n), torch.nn.Conv2d)]
    assert len(integers) == len(convolutions) > 16
    # All but tail_x2, and the interpolation; the first convolution and that are in float32.
    assert len(kinds) == len(convolutions) + 2


def test_fake_integers_are_on_the_grid_of_integers():
    conv = torch.nn.Conv2d(2, 3, 3, padding=1)
    rounding = QuantizedConv(conv, (0.0, 2.55))
    image = torch.rand(1, 2, 9, 9) * 3
    clipped = (image.clamp(0, 2.55) * 100).round() / 100
    steps = conv.weight.detach().abs().amax((1, 2, 3), keepdim=True) / 127
    weight = (conv.weight.detach() / steps).round() * steps
    expected = torch.nn.functional.conv2d(clipped, weight, conv.bias, padding=1)
    torch.testing.assert_close(rounding(image), expected, atol=1e-5, rtol=1e-5)
    signed = QuantizedConv(conv, (-1.27, 0.3))(image - 1)
    clipped = ((image - 1).clamp(-1.28, 1.27) * 100).round() / 100
    expected = torch.nn.functional.conv2d(clipped, weight, conv.bias, padding=1)
    torch.testing.assert_close(signed, expected, atol=1e-5, rtol=1e-5)


def test_only_named_convolutions_are_replaced():
    network = tiny(1)
    before = state_digest(network)
    quantized(network, {"blocks.0.first": (-1.0, 1.0), "refine.1": (0.0, 3.0)})
    replaced = [n for n, m in network.named_modules() if isinstance(m, QuantizedConv)]
    assert replaced == ["blocks.0.first", "refine.1"]
    assert state_digest(network) != before


def test_marks_round_once_for_all_that_read_them():
    network, image, seen = tiny(1), torch.rand(1, 1, 9, 8), []
    quantized(network, {"start": (-1.27, 1.27), "blocks.0.first": None})
    network.start.register_forward_hook(lambda _m, inputs, out: seen.extend([inputs[0], out]))
    network(image)
    before, after = seen
    torch.testing.assert_close(after, (before.clamp(-1.28, 1.27) * 100).round() / 100)
    conv = network.blocks[0].first
    assert isinstance(conv.rounding, torch.nn.Identity)
    plain = tiny(1).blocks[0].first
    torch.testing.assert_close(conv(after), plain(after), atol=0.01, rtol=0.01)


def test_weights_without_ranges_are_refused(runtime, tmp_path):
    with pytest.raises(RuntimeUnfitError, match=r"int8 was not fitted.*fit_int8\.py"):
        RuntimeChoice(runtime, precision="int8", ranges=tmp_path / "none.json")(tiny(1), "cpu")
    with pytest.raises(OptionError, match="int8 was not fitted"):
        SuperResolver.from_bundle("natural_sr", precision="int8", perception=0.5)


def test_torch_has_no_integers():
    with pytest.raises(OptionError, match="float32 or bfloat16 or float16, got int8"):
        SuperResolver.from_bundle("natural_sr", runtime="torch", precision="int8")


def test_an_inferer_of_integers_refuses_a_network_of_torch():
    resolver = SuperResolver.from_bundle("natural_sr", runtime="torch")
    resolver.inferer.precision = "int8"
    with pytest.raises(OptionError, match="precision: int8 needs"):
        resolver(np.zeros((3, 8, 8), np.float32))


def test_an_interval_of_uncertainty_is_not_promised_for_integers():
    with pytest.raises(OptionError, match="not fitted for these weights and options"):
        SuperResolver.from_bundle("natural_sr", precision="int8", uncertainty=True)


def test_a_record_names_runtime_and_precision(runtime, samples_dir):
    resolver = SuperResolver.from_bundle("xray_sr", runtime=runtime, precision="int8")
    file: Path = next((samples_dir / "xray_sr").glob("*.dcm"))
    facts = json.loads(resolver(file).meta["sr_provenance"])
    assert (facts["runtime"], facts["precision"]) == (runtime, "int8")

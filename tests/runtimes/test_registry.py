import logging
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.core.errors import MissingDependencyError, OptionError
from monai_sr.core.private_folder import FOLDER_VARIABLE
from monai_sr.networks import create_generator
from monai_sr.runtimes import (
    RuntimeChoice,
    RuntimeUnfitError,
    find_runtime,
    installed_runtimes,
    tile_side,
)
from monai_sr.runtimes import choice as choice_module
from monai_sr.runtimes import compiled as cache_module
from tests.network_factory import tiny

COMPILED = ("openvino", "onnxruntime")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    choice_module._say.cache_clear()


@pytest.fixture(params=COMPILED)
def runtime(request):
    found = find_runtime(request.param)
    if not found.is_installed():
        pytest.skip(f"needs monai-sr[{found.extra}]")
    return request.param


@pytest.fixture
def openvino():
    pytest.importorskip("openvino", reason="needs monai-sr[openvino]")


def _files(folder):
    return sorted((folder / "cache").glob("*.zip"))


@pytest.mark.parametrize("scale", [2, 4])
def test_a_compiled_generator_gives_what_torch_gives(runtime, scale):
    network = tiny(3)
    compiled = RuntimeChoice(runtime)(network, "cpu", scale)
    assert compiled is not network
    assert compiled.runtime == runtime
    for sides in ((16, 16), (7, 33), (1, 1), (50, 3)):
        image = torch.rand(2, 3, *sides)
        with torch.inference_mode():
            expected, found = network(image, scale), compiled(image, scale)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_it_says_of_itself_what_its_generator_says(runtime):
    network = tiny(1)
    compiled = RuntimeChoice(runtime)(network, "cpu")
    for name in ("scale", "scales", "halo", "info", "in_channels", "spatial_dims"):
        assert getattr(compiled, name) == getattr(network, name), name
    assert list(compiled.state_dict()) == list(network.state_dict())


def test_results_of_a_call_outlive_the_next_one(runtime):
    compiled = RuntimeChoice(runtime)(tiny(1), "cpu")
    first = compiled(torch.zeros(1, 1, 8, 8))
    kept = first.clone()
    compiled(torch.ones(1, 1, 8, 8))
    assert torch.equal(first, kept)


def test_volumes_are_compiled_too(runtime):
    network = tiny(1, spatial_dims=3, scale=2)
    compiled = RuntimeChoice(runtime)(network, "cpu")
    image = torch.rand(1, 1, 9, 8, 7)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(image), network(image), atol=1e-5, rtol=1e-4)


def test_recursions_share_weights_but_are_unrolled(runtime):
    network = tiny(1, recursions=3)
    compiled = RuntimeChoice(runtime)(network, "cpu")
    image = torch.rand(1, 1, 9, 8)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(image), network(image), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["srcnn", "vdsr", "drcn", "edsr", "subpixel_residual"])
def test_networks_of_the_literature_are_compiled_or_left_to_torch(runtime, name):
    network = create_generator(name, in_channels=1, scale=2).eval()
    image = torch.rand(1, 1, 24, 20)
    compiled = RuntimeChoice(runtime)(network, "cpu")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(image), network(image), atol=1e-4, rtol=1e-4)


def test_auto_takes_the_fastest_and_says_so_once(openvino, caplog):
    with caplog.at_level(logging.INFO, "monai_sr"):
        for _ in range(2):
            assert RuntimeChoice("auto")(tiny(1), "cpu").runtime == "openvino"
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("runtime:")]
    assert len(said) == 1
    assert re.fullmatch(r"runtime: openvino \S+, float32", said[0])


def test_auto_without_any_runtime_is_torch(monkeypatch, caplog):
    for name in COMPILED:
        monkeypatch.setattr(type(find_runtime(name)), "modules", ("no_such_module",))
    network = tiny(1)
    with caplog.at_level(logging.INFO, "monai_sr"):
        assert RuntimeChoice("auto")(network, "cpu") is network
    assert "runtime: torch" in caplog.text
    assert installed_runtimes() == ["inductor", "torch"]
    with pytest.raises(MissingDependencyError, match=r"pip install 'monai-sr\[openvino\]'"):
        RuntimeChoice("openvino")(network, "cpu")
    with pytest.raises(MissingDependencyError, match=r"int8 needs openvino or onnxruntime"):
        RuntimeChoice("auto", precision="int8")(network, "cpu")


def test_auto_leaves_to_torch_what_a_runtime_cannot_run(openvino, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no such operation:\n  aten::strange")

    for name in COMPILED:
        monkeypatch.setattr(type(find_runtime(name)), "export", broken)
    network = tiny(1)
    with caplog.at_level(logging.INFO, "monai_sr"):
        assert RuntimeChoice("auto")(network, "cpu") is network
    assert "no such operation: aten::strange" in caplog.text
    with pytest.raises(OptionError, match=r"openvino cannot run this model.*add --runtime torch"):
        RuntimeChoice("openvino")(network, "cpu")


def test_what_sees_the_whole_image_is_left_to_torch(openvino, caplog):
    """Sizes that were compared prove nothing of others: at 192 x 128 nothing came out."""
    network = create_generator("igan_srcp", in_channels=1, scale=4).eval()
    with caplog.at_level(logging.INFO, "monai_sr"):
        assert RuntimeChoice("auto")(network, "cpu") is network
    assert "sees the whole image" in caplog.text
    with pytest.raises(RuntimeUnfitError, match=r"sees the whole image; add --runtime torch"):
        RuntimeChoice("openvino")(network, "cpu")


def test_a_runtime_that_gives_other_results_is_not_used(openvino, monkeypatch):
    found = type(find_runtime("openvino"))
    original = found.export
    monkeypatch.setattr(found, "export", lambda s, n, e: original(s, _shifted(n), e))
    with pytest.raises(RuntimeUnfitError, match="other results than torch"):
        RuntimeChoice("openvino")(tiny(1), "cpu")


def _shifted(network):
    class Shifted(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, image):
            return self.inner(image) + 0.1

    return Shifted(network)


def test_a_fitted_generator_stays_with_torch():
    network = create_generator("bicubic")
    assert RuntimeChoice("auto")(network, "cpu") is network
    if find_runtime("openvino").is_installed():
        with pytest.raises(RuntimeUnfitError, match="add --runtime torch"):
            RuntimeChoice("openvino")(network, "cpu")


def test_misspelt_names_are_answered():
    with pytest.raises(OptionError, match="did you mean 'openvino'"):
        RuntimeChoice("openvion")
    with pytest.raises(OptionError, match="did you mean 'int8'"):
        RuntimeChoice("auto", precision="int")


def test_tensorrt_says_what_it_needs():
    with pytest.raises((MissingDependencyError, RuntimeUnfitError), match="tensorrt"):
        RuntimeChoice("tensorrt")(tiny(1), "cpu")


def test_a_device_without_the_runtime_is_refused(openvino):
    with pytest.raises(RuntimeUnfitError, match="add --device cpu"):
        find_runtime("openvino").check(torch.device("cuda"), "float32")


def test_an_exported_network_is_kept_and_never_stale(runtime, tmp_path, monkeypatch):
    found = type(find_runtime(runtime))
    exports = []
    original = found.export
    monkeypatch.setattr(found, "export", lambda s, n, e: (exports.append(1), original(s, n, e))[1])
    first = RuntimeChoice(runtime)(tiny(1), "cpu")
    RuntimeChoice(runtime)(tiny(1), "cpu")
    assert len(exports) == 1
    other = RuntimeChoice(runtime)(tiny(1, seed=1), "cpu")
    assert len(exports) == 2
    image = torch.rand(1, 1, 9, 9)
    assert not torch.allclose(first(image), other(image))
    first(image, 2)
    assert len(exports) == 3
    monkeypatch.setattr(found, "version", lambda _: "99")
    RuntimeChoice(runtime)(tiny(1), "cpu")
    assert len(exports) == 4
    assert len(_files(tmp_path)) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_cache_is_made_again(runtime, tmp_path, damage, caplog):
    image = torch.rand(1, 1, 9, 9)
    expected = RuntimeChoice(runtime)(tiny(1), "cpu")(image)
    (file,) = _files(tmp_path)
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
            "empty": b"",
            "foreign": b"something else",
        }[damage]
    )
    assert torch.equal(RuntimeChoice(runtime)(tiny(1), "cpu")(image), expected)
    assert "is damaged; it is made again" in caplog.text
    assert cache_module._read(file) == cache_module._read(_files(tmp_path)[0])
    caplog.clear()
    RuntimeChoice(runtime)(tiny(1), "cpu")
    assert "damaged" not in caplog.text


def test_a_cache_that_cannot_be_written_costs_one_line(runtime, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    RuntimeChoice(runtime)(tiny(1), "cpu")
    assert "is not kept" in caplog.text


def test_a_bundle_names_its_runtime(runtime, samples_dir):
    resolver = SuperResolver.from_bundle("xray_sr", runtime=runtime)
    torch_resolver = SuperResolver.from_bundle("xray_sr", runtime="torch")
    assert resolver.network.runtime == runtime
    image = np.random.default_rng(0).random((1, 40, 30), dtype=np.float32)
    np.testing.assert_allclose(resolver(image), torch_resolver(image), atol=1e-5)
    result = resolver(next((samples_dir / "xray_sr").glob("*.dcm")))
    assert f'"runtime": "{runtime}"' in result.meta["sr_provenance"]


SIGNAL_AFTER_NETWORKS = """
import faulthandler, signal
import torch
from monai_sr.networks import create_generator
from monai_sr.runtimes import RuntimeChoice

faulthandler.enable()
kept = []
for channels in (1, 2, 3, 4):
    network = create_generator("hybrid_cascade", channels=8, num_blocks=1, in_channels=channels)
    kept.append(RuntimeChoice("openvino")(network.eval(), "cpu", 2))
while kept:
    kept.pop(0)
signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
signal.raise_signal(signal.SIGUSR1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signal")
def test_signals_are_heard_when_networks_ended_in_the_order_of_their_beginning():
    if not find_runtime("openvino").is_installed():
        pytest.skip("needs monai-sr[openvino]")
    command = [sys.executable, "-c", SIGNAL_AFTER_NETWORKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "heard"), done.stderr


@pytest.mark.parametrize(
    ("installed", "options", "side"),
    [
        (("openvino", "torch"), {}, 512),
        (("openvino", "torch"), {"runtime": "torch"}, 256),
        (("openvino", "torch"), {"precision": "bfloat16"}, 256),
        (("openvino", "torch"), {"system": "igan_srcp"}, 256),
        (("openvino", "torch"), {"device": "mps"}, 256),
        (("onnxruntime", "torch"), {}, 256),
        (("onnxruntime", "torch"), {"precision": "int8"}, 512),
        (("torch",), {}, 256),
        (("torch",), {"device": "cuda:1"}, 1024),
        (("openvino", "torch"), {"spatial_dims": 3}, 96),
        (("torch",), {"device": "cuda:1", "spatial_dims": 3}, 128),
    ],
)
def test_tiles_are_as_large_as_the_runtime_likes(installed, options, side, monkeypatch):
    for name in ("openvino", "onnxruntime", "torch"):
        kind = type(find_runtime(name))
        monkeypatch.setattr(kind, "is_installed", lambda _, is_there=name in installed: is_there)
    assert tile_side(**{"device": torch.device("cpu"), **options}) == side

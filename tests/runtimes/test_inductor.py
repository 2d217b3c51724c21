"""PyTorch's compiler as a runtime; quick tests leave out its last step, the making of kernels."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.core.errors import MissingDependencyError
from monai_sr.core.private_folder import FOLDER_VARIABLE
from monai_sr.inferers import TiledInferer
from monai_sr.runtimes import RuntimeChoice, RuntimeUnfitError, find_runtime, measured_peak
from tests.network_factory import ROOT, tiny

# Some steps of a precision between 1 and 2: kernels may round their sums at other places.
TOLERANCE = {"float32": 1e-5, "float16": 4 * 2**-10, "bfloat16": 4 * 2**-7}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))


@pytest.fixture
def quick(monkeypatch):
    """Trace and split as ever, but run torch's own kernels."""
    monkeypatch.setattr(find_runtime("inductor"), "backend", "aot_eager")


@pytest.fixture
def compilations():
    """Count what was compiled."""
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    yield lambda: counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_gives_what_torch_gives(quick, precision):
    network, image = tiny(3), torch.rand(2, 3, 24, 17)
    made = RuntimeChoice("inductor", precision=precision)(network, "cpu", 4)
    assert (made.runtime, made.precision) == ("inductor", precision)
    dtype = getattr(torch, precision)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=precision != "float32"):
        expected = network(image, 4).float()
    found = made(image, 4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=TOLERANCE[precision], rtol=1e-4)


def test_its_precision_is_its_own_whatever_surrounds_it(quick):
    network, image = tiny(), torch.rand(1, 1, 24, 17)
    made = RuntimeChoice("inductor")(network, "cpu", 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = made(image, 2)
    with torch.inference_mode():
        torch.testing.assert_close(found, network(image, 2), atol=1e-5, rtol=1e-4)


def test_tiles_of_any_size_are_one_compilation(quick, compilations):
    made = RuntimeChoice("inductor")(tiny(), "cpu", 4)
    assert compilations() == 1
    for sides in ((145, 190), (160, 160), (190, 145)):
        made(torch.rand(1, 1, *sides), 4)
        # Another order of axes in memory, as tiles of a whole have it.
        made(torch.rand(1, 1, 200, 200)[:, :, : sides[0], : sides[1]], 4)
    assert compilations() == 1
    for count in (2, 5, 3):
        made(torch.rand(count, 1, 31, 45), 4)
    assert compilations() == 2  # batches are the other


def test_tiles_equal_the_whole_alone_and_together(quick):
    network = RuntimeChoice("inductor")(tiny(), "cpu", 4)
    image = torch.rand(1, 1, 90, 83)
    whole = TiledInferer(tile_size=1000)(image, network)
    for tile_batch in (1, 3):
        tiled = TiledInferer(tile_size=20, tile_batch=tile_batch)(image, network)
        torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
    with torch.inference_mode():
        expected = TiledInferer(tile_size=1000)(image, network.generator)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)


def test_volumes_are_compiled_too(quick):
    network = tiny(1, spatial_dims=3, scale=2)
    made = RuntimeChoice("inductor")(network, "cpu")
    image = torch.rand(1, 1, 9, 8, 7)
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), atol=1e-5, rtol=1e-4)


def test_the_generator_itself_is_not_changed(quick):
    network = tiny()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = RuntimeChoice("inductor", precision="bfloat16")(network, "cpu", 2)
    assert all(parameter.requires_grad for parameter in network.parameters())
    for key, value in made.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.stride() == before[key].stride()


def test_results_of_a_call_outlive_the_next_one(quick):
    made = RuntimeChoice("inductor")(tiny(), "cpu")
    first = made(torch.zeros(1, 1, 8, 9))
    kept = first.clone()
    made(torch.ones(1, 1, 8, 9))
    assert torch.equal(first, kept)


def test_other_results_than_those_of_torch_are_refused(monkeypatch):
    monkeypatch.setattr(find_runtime("inductor"), "backend", _wrong)
    with pytest.raises(RuntimeUnfitError, match=r"inductor gives other results.*--runtime torch"):
        RuntimeChoice("inductor")(tiny(), "cpu")


def _wrong(graph, _):
    return lambda *given: [value + 1 for value in graph(*given)]


def test_a_machine_without_a_compiler_is_told_in_one_line():
    command = (
        "from monai_sr.runtimes import RuntimeChoice\n"
        "from tests.network_factory import tiny\n"
        "try:\n"
        "    RuntimeChoice('inductor')(tiny(), 'cpu')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    environment = {**os.environ, "CXX": "no-such-compiler", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.stdout.count("\n") == 1, done.stderr
    assert done.stdout.startswith("RuntimeUnfitError runtime: inductor cannot run this model in")
    assert "no-such-compiler" in done.stdout
    assert "add --runtime torch" in done.stdout


def test_auto_never_takes_it():
    """A compilation takes tens of seconds, which most jobs never earn back."""
    network = tiny()
    found = RuntimeChoice("auto", precision="bfloat16")(network, "cpu")
    assert getattr(found, "runtime", "torch") != "inductor"


def test_integers_and_other_devices_are_refused():
    found = find_runtime("inductor")
    with pytest.raises(RuntimeUnfitError, match="float32 or bfloat16 or float16, got int8"):
        found.check(torch.device("cpu"), "int8")
    with pytest.raises(RuntimeUnfitError, match="runs on cuda and cpu"):
        found.check(torch.device("mps"), "float32")
    with pytest.raises((RuntimeUnfitError, MissingDependencyError), match="int8"):
        RuntimeChoice("inductor", precision="int8")(tiny(), "cpu")


def test_a_bundle_names_it(quick):
    resolver = SuperResolver.from_bundle("xray_sr", runtime="inductor", size="fast", scale=2)
    plain = SuperResolver.from_bundle("xray_sr", runtime="torch", size="fast", scale=2)
    image = np.random.default_rng(0).random((1, 40, 30), dtype=np.float32)
    assert resolver.network.runtime == "inductor"
    np.testing.assert_allclose(resolver(image), plain(image), atol=1e-5)


def test_the_peak_is_measured_with_it(quick):
    assert measured_peak("inductor", "float32", seconds=1) > 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kernels_it_makes_give_what_torch_gives(precision, compilations):
    network, image = tiny(), torch.rand(1, 1, 50, 41)
    made = RuntimeChoice("inductor", precision=precision)(network, "cpu", 4)
    dtype = getattr(torch, precision)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=precision != "float32"):
        expected = network(image, 4).float()
    torch.testing.assert_close(made(image, 4), expected, atol=TOLERANCE[precision], rtol=1e-4)
    assert compilations() <= 2  # images far smaller than tiles are another


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_kernels_for_a_gpu_give_what_torch_gives(precision):
    network, image = tiny(3), torch.rand(2, 3, 64, 80)
    made = RuntimeChoice("inductor", precision=precision)(network, "cuda", 4)
    with torch.inference_mode():
        expected = network(image, 4)
    found = made(image.cuda(), 4).cpu()
    assert float((found - expected).abs().max()) < (1e-3 if precision == "float32" else 0.05)

"""Tiles equal the whole on stored integers, whatever runs the network."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_sr import SuperResolver
from monai_sr.functional.back_projection import local_range
from monai_sr.functional.resize import upsample
from monai_sr.runtimes import find_runtime
from monai_sr.transforms.agreement import covering

RUNS = [
    ("openvino", "float32"),
    ("openvino", "int8"),
    ("onnxruntime", "float32"),
    ("onnxruntime", "int8"),
]
LEVELS = 255
TIE = 1e-3  # of a stored unit


@pytest.fixture(params=RUNS, ids=["-".join(run) for run in RUNS])
def run(request):
    found = find_runtime(request.param[0])
    if not found.is_installed():
        pytest.skip(f"needs monai-sr[{found.extra}]")
    return request.param


@lru_cache(maxsize=1)
def _resolver(runtime: str, precision: str, scale: int) -> SuperResolver:
    return SuperResolver.from_bundle("xray_sr", runtime=runtime, precision=precision, scale=scale)


def _image(height: int, width: int, seed: int) -> np.ndarray:
    """Return a smooth scene with noise, as integers would give it."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((1, 1, height // 4 + 2, width // 4 + 2)))
    smooth = upsample(coarse, 4)[0, :, :height, :width].numpy()
    noisy = smooth + random.normal(0, 0.02, smooth.shape)
    return (np.rint(noisy.clip(0, 1) * LEVELS) / LEVELS).astype(np.float32)


def _enlarged(resolver: SuperResolver, image: np.ndarray, tile_size: int, steps: int):
    resolver.inferer.tile_size, resolver.inferer.consistency = tile_size, steps
    return resolver(image)


def _check(resolver: SuperResolver, image: np.ndarray, tile_size: int) -> np.ndarray:
    """Compare tiles with the whole, and return the whole's stored integers."""
    # What the runtime computes is the same to the last bit; ONNX Runtime's float32 convolutions
    # behind integer ones are the same but for that bit.
    network = resolver.network
    is_near = (network.runtime, network.precision) == ("onnxruntime", "int8")
    whole, tiled = (_enlarged(resolver, image, size, 0) for size in (1024, tile_size))
    np.testing.assert_allclose(whole, tiled, rtol=0, atol=2e-7 * is_near)
    # Back-projection, torch's, rounds sums of other lengths: ties may fall either way.
    whole, tiled = (_enlarged(resolver, image, size, 2) * LEVELS for size in (1024, tile_size))
    is_tie = np.abs(np.abs(whole - np.floor(whole)) - 0.5) < TIE
    assert not ((np.rint(whole) != np.rint(tiled)) & ~is_tie).any()
    # Of integers the limits of the local range are tenths: where 0.3 of it ends in .5, all that was
    # clipped there is a tie, and the same to the last bit.
    own_ties = is_tie & ~_is_clipped(whole / LEVELS, image, resolver.inferer.overshoot)
    assert own_ties.sum() <= max(1, 0.01 * is_tie.size)
    return np.rint(whole)


def _is_clipped(result: np.ndarray, image: np.ndarray, overshoot: float) -> np.ndarray:
    ends = local_range(torch.from_numpy(image)[None], overshoot)
    blocks = [covering(end[0].numpy(), result.shape[1:]) for end in ends]
    return np.any([np.isclose(result, end, rtol=0, atol=1e-7) for end in blocks], axis=0)


@pytest.mark.parametrize("scale", [2, 4])
def test_tiles_equal_the_whole_for_every_size(run, scale):
    resolver = _resolver(*run, scale)

    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(
        sides=st.tuples(st.integers(1, 130), st.integers(1, 130)),
        tile_size=st.integers(20, 70),
        seed=st.integers(0, 99),
    )
    def check(sides, tile_size, seed):
        _check(resolver, _image(*sides, seed), tile_size)

    check()


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (2, 61), (97, 101)])
def test_tiny_images_and_sizes_that_do_not_divide(run, sides):
    resolver = _resolver(*run, 4)
    assert _check(resolver, _image(*sides, 5), 33).shape == (1, 4 * sides[0], 4 * sides[1])


def test_the_network_itself_gives_the_same_values_in_a_part(run):
    network = _resolver(*run, 4).network
    halo = network.halo
    image = torch.from_numpy(_image(120, 110, 1))[None]
    whole = network(image, 4)
    part = network(image[:, :, 20:100, 13:90].contiguous(), 4)
    inner = part[:, :, 4 * halo : -4 * halo, 4 * halo : -4 * halo]
    same = whole[:, :, 4 * (20 + halo) : 4 * (100 - halo), 4 * (13 + halo) : 4 * (90 - halo)]
    assert torch.equal(inner, same)


def test_a_batch_gives_what_its_images_give(run):
    resolver = _resolver(*run, 4)
    images = np.stack([_image(31, 40, seed) for seed in range(3)])
    together = np.rint(resolver(images) * LEVELS)
    for image, expected in zip(images, together, strict=True):
        assert np.array_equal(np.rint(resolver(image) * LEVELS), expected)

"""A bundle works through MONAI's Python interfaces, and the way MONAI Deploy uses it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, create_workflow, load
from monai.data import MetaTensor
from monai.transforms import Compose
from monai.utils import ensure_tuple

from monai_sr import SuperResolver
from monai_sr.core.errors import BadImageError, WeightsError, user_message
from monai_sr.transforms import load_image
from monai_sr.upscaling.manifest import Manifest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Work in an empty folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def _global_state_untouched():
    """Nobody who uses a bundle in a program finds gradients or threads changed."""
    before = torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()
    yield
    assert before == (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype())


@pytest.mark.parametrize("workflow_type", ["train", "inference"])  # MONAI's own names of files
def test_load_returns_the_trained_network(bundle, elsewhere, workflow_type: str) -> None:
    home = str(bundle.folder.parent)
    network = load(bundle.name, bundle_dir=home, device="cpu", workflow_type=workflow_type)
    ours = SuperResolver.from_bundle(bundle.folder, device="cpu").network
    image = torch.rand(1, ours.in_channels, 7, 9)
    with torch.inference_mode():
        # The memory layout of a network that was made to train differs: so does the last bit.
        torch.testing.assert_close(network.eval()(image), ours(image), rtol=0, atol=1e-5)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name


def test_a_workflow_leaves_the_logging_of_its_host_alone(bundle) -> None:
    root, ours = logging.getLogger(), logging.getLogger("monai_sr")
    before = root.level, root.handlers[:], ours.level, ours.handlers[:], ours.propagate
    _workflow(bundle, logging_file=False).initialize()
    assert (root.level, root.handlers, ours.level, ours.handlers, ours.propagate) == before


def _workflow(bundle, **override):
    return create_workflow(
        config_file=str(bundle.configs / "inference.yaml"),
        workflow_type="infer",
        bundle_root=str(bundle.folder),
        device="cpu",
        **override,
    )


def test_workflow_runs_from_any_folder(bundle, sample, elsewhere) -> None:
    workflow = _workflow(bundle, input=str(sample), output_dir="out", scale=2, consistency=0)
    workflow.run()
    workflow.finalize()
    (row,) = Manifest(elsewhere / "out").rows.values()
    assert row["error"] == ""
    result, source = load_image(elsewhere / "out" / row["output"]), load_image(sample)
    axes = [a for a in (0, 1, 2)[: source.ndim - 1] if a != source.meta["sr_slice_axis"]]
    for axis, (small, large) in enumerate(zip(source.shape[1:], result.shape[1:], strict=True)):
        assert large == small * (2 if axis in axes else 1)
    assert [p.name for p in elsewhere.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "note.png"}, "note.png"),
        ({"input": "absent.png"}, "absent.png: no such file"),
        ({"input": None}, "input: no file or folder given"),
        ({"input": "note.png", "scale": 5}, "trained for 2 and 4, got 5"),
        ({"input": "note.png", "ckpt_path": "absent.pt"}, "absent.pt"),
        ({"input": "note.png", "output_dir": "note.png"}, "note.png"),
    ],
)
def test_errors_of_a_workflow_are_exceptions_with_one_line(
    bundle, elsewhere, options, message: str
) -> None:
    (elsewhere / "note.png").write_bytes(b"no image")
    workflow = _workflow(bundle, **{"output_dir": "out", **options})
    with pytest.raises(RuntimeError) as caught:  # MONAI's own, around ours
        workflow.run()
    line = user_message(caught.value)
    assert line is not None
    assert message in line
    assert "\n" not in line


def _without(compose: Compose, prefix: str) -> Compose:
    """Drop the transforms that MONAI Deploy drops, by a part of their class names."""
    kept = [t for t in compose.transforms if prefix not in type(t).__name__]
    assert len(kept) == len(compose.transforms) - 1
    return Compose(kept)


def _deploy(bundle, image: MetaTensor) -> MetaTensor:
    """Do what MONAI Deploy's bundle operator does with an image in memory."""
    parser = ConfigParser()
    parser.read_config(str(bundle.configs / "inference.yaml"))
    parser.read_meta(str(bundle.configs / "metadata.json"))
    parser["device"] = "cpu"
    parser.parse()
    network = parser.get_parsed_content("network_def")
    state = torch.load(bundle.weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state, strict=True)
    inferer = parser.get_parsed_content("inferer")
    before = _without(parser.get_parsed_content("preprocessing"), "LoadImage")
    after = _without(parser.get_parsed_content("postprocessing"), "SaveImage")
    with torch.no_grad():
        data = before({"image": image})
        batch = data["image"][None]
        others = {k: v[None] for k, v in data.items() if k != "image" and torch.is_tensor(v)}
        outputs = inferer(inputs=batch, network=network.eval(), **others)
        return after({"pred": ensure_tuple(outputs)[0], **data})["pred"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_deploy_enlarges_an_image_in_memory(bundle, elsewhere, dtype) -> None:
    channels = bundle.config("inference")["network_def"]["in_channels"]
    stored = np.random.default_rng(0).integers(0, 200, (channels, 6, 9)).astype(dtype)
    affine = np.diag([0.5, 0.4, 1.0, 1.0])
    meta = {"affine": affine, "original_channel_dim": 0}
    pred = _deploy(bundle, MetaTensor(torch.from_numpy(stored.copy()), meta=meta))
    assert pred.shape == (channels, 24, 36)
    assert pred.meta["sr_dtype"] == np.dtype(dtype).name
    values = pred.numpy()
    np.testing.assert_allclose(pred.affine[:2, :2], np.diag([0.125, 0.1]))
    if np.issubdtype(dtype, np.integer):
        assert np.array_equal(values, np.rint(values))
        assert values.min() >= np.iinfo(dtype).min
        assert values.max() <= np.iinfo(dtype).max
    # The result is the image: its 4 x 4 blocks average to the pixels they came from.
    blocks = values.reshape(channels, 6, 4, 9, 4).mean(axis=(2, 4))
    assert abs(blocks - stored).mean() < 25


def test_deploy_enlarges_a_dicom_volume_without_channel_axis(bundle, elsewhere) -> None:
    stored = torch.randint(0, 4096, (6, 5, 1)).float()
    image = MetaTensor(stored, meta={"original_channel_dim": "no_channel"})
    assert _deploy(bundle, image).shape == (1, 24, 20, 1)


def test_image_in_memory_without_any_metadata_is_taken_as_channel_first(bundle, elsewhere) -> None:
    channels = bundle.config("inference")["network_def"]["in_channels"]
    with pytest.warns(UserWarning, match="original_channel_dim"):
        pred = _deploy(bundle, MetaTensor(torch.rand(channels, 5, 7)))
    assert pred.shape == (channels, 20, 28)


def test_image_with_nan_and_no_metadata_keeps_its_holes(bundle, elsewhere) -> None:
    channels = bundle.config("inference")["network_def"]["in_channels"]
    image = torch.rand(channels, 6, 5)
    image[:, 2, 3] = torch.nan
    pred = _deploy(bundle, MetaTensor(image, meta={"original_channel_dim": 0}))
    holes = torch.isnan(pred.as_tensor())
    assert holes[:, 8:12, 12:16].all()
    assert int(holes.sum()) == channels * 16


def test_unreadable_image_is_refused_as_everywhere(bundle, elsewhere) -> None:
    channels = bundle.config("inference")["network_def"]["in_channels"]
    image = torch.full((channels, 5, 7), torch.nan)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        _deploy(bundle, MetaTensor(image, meta={"original_channel_dim": 0}))
    chain = caught.value
    while not isinstance(chain, BadImageError):
        assert chain is not None
        chain = chain.__cause__
    assert "no valid pixel" in str(chain)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_monais_load_gives_trained_networks_or_none(bundle) -> None:
    fast = {"model_file": "models/model_fast.pt"}
    options = {"name": bundle.name, "bundle_dir": str(bundle.folder.parent), "device": "cpu"}
    with pytest.raises(WeightsError, match=r"got 0 of 47 entries that do.*net_override"):
        load(**options, **fast)
    for more in ({}, {**fast, "net_override": {"size": "fast"}}):
        network = load(**options, **more)
        stored = torch.load(bundle.folder / more.get("model_file", "models/model.pt"))
        found = network.state_dict()
        assert found.keys() == stored.keys()
        assert all(torch.equal(found[name], value.float()) for name, value in stored.items())

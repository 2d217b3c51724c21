"""Every system that comes along is complete and can be built; every wrong name has an answer."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import yaml

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.functional.resize import downsample, upsample
from monai_sr.metrics.psnr import psnr
from monai_sr.networks import (
    create_generator,
    create_network,
    find_system,
    list_systems,
    load_weights,
    read_system,
    save_weights,
    weights_file,
)
from monai_sr.networks.generators import SRCNN
from monai_sr.networks.registry import GENERATORS

SYSTEMS = sorted(list_systems())
BASELINES = [n for n in SYSTEMS if "network_def" in (c := read_system(n))
             and GENERATORS.get(c["network_def"]["name"]).info.learns == "nothing"]  # fmt: skip
OWN = {"name": "srcnn", "filters": [4, 3], "in_channels": 1}


def overlay(path, **content):
    known = {"title": "T", "row": "variant", "paper": "P", "network_def": {"name": "srcnn"}}
    path.write_text(yaml.safe_dump({**known, **content}))
    return path


@pytest.mark.parametrize("name", SYSTEMS)
def test_file_names_itself_its_paper_and_its_row(name):
    content = read_system(name)
    assert content["system"] == name
    assert content["title"]
    assert content["row"] in ("baseline", "proposal", "variant")
    assert content["paper"] == "classical" or re.search(r", (19|20)\d\d$", content["paper"])
    assert find_system(name).read_text().startswith("# ")


@pytest.mark.parametrize("name", SYSTEMS)
def test_network_is_built_for_the_channels_of_the_bundle(name):
    definition = read_system(name)["network_def"]
    assert definition["_target_"] == "monai_sr.networks.create_generator"
    assert definition["in_channels"] == "@in_channels"
    assert definition["scale"] in ("@scale", 4)


@pytest.mark.parametrize(
    "name", ["edsr", "rfb_esrgan", "esrgan_23", "srgan_16", "drcn", "igan_srcp"]
)
def test_what_is_too_large_for_a_processor_starts_as_good_as_bicubic(name):
    rates = np.fft.fftfreq(64)
    decay = 1 / (0.02 + np.hypot(rates[:, None], rates))  # as in photos
    noise = np.random.default_rng(0).normal(size=(3, 64, 64))
    hr = torch.from_numpy(np.fft.ifft2(np.fft.fft2(noise) * decay).real).float()[None]
    hr = (hr - hr.min()) / (hr.max() - hr.min())
    lr = downsample(hr, 4)
    inner = (..., slice(8, -8), slice(8, -8))  # convolutions see zeros beyond the edge
    with torch.inference_mode():
        sr = create_network("absent", system=name, in_channels=3).eval()(lr)
    bicubic = psnr(upsample(lr, 4)[inner], hr[inner], 1.0)
    # Linear interpolation, where 3 x 3 kernels hold no bicubic one: 0.38 dB less here.
    assert psnr(sr[inner], hr[inner], 1.0) > bicubic - 0.5


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", SYSTEMS)
def test_network_of_every_system_enlarges_four_times(name, in_channels):
    network = create_network("absent", system=name, in_channels=in_channels).eval()
    assert type(network) is GENERATORS.get(read_system(name)["network_def"]["name"])
    assert (network.scale, network.in_channels) == (4, in_channels)
    if sum(p.numel() for p in network.parameters()) > 5e6 or network.info.learns == "fit":
        return  # seconds, or nothing learned yet: its generator has tests of its own
    with torch.no_grad():
        result = network(torch.full((1, in_channels, 8, 9), 0.5))
    assert result.shape == (1, in_channels, 32, 36)
    assert result.isfinite().all()


@pytest.mark.parametrize("scale", [2, 3])
def test_system_is_built_for_the_scale_that_is_asked_for(scale):
    assert create_network("", system="srcnn", system_scale=scale, in_channels=1).scales == (scale,)


def test_system_that_serves_several_scales_is_built_once_for_all():
    for scale in (2, 4):
        system = {"system": "recursive_cascade_gan", "system_scale": scale}
        assert create_network("", **system, in_channels=1).scales == (2, 4)


def test_scale_that_a_system_does_not_have_is_refused():
    with pytest.raises(OptionError, match=r"scale: must be one of \[2, 3, 4\], got 5"):
        create_network("", system="srcnn", system_scale=5, in_channels=1)


def test_without_a_system_the_bundles_own_network_is_built():
    network = create_network(**OWN, scale=2, system_scale=4)
    same = create_generator(**OWN, scale=2)
    assert type(network) is type(same)
    assert [p.shape for p in network.parameters()] == [p.shape for p in same.parameters()]
    assert network.scale == 2


def test_sizes_of_the_bundles_own_model_do_not_reach_a_system():
    network = create_network("hybrid_cascade", system="srcnn", in_channels=1, channels=7, scale=2)
    assert type(network) is GENERATORS.get("srcnn")
    assert network.scale == 4


@pytest.mark.parametrize("fast", [{"channels": 7}, {"name": "compact_residual", "channels": 7}])
def test_fast_size_changes_options_or_the_network(fast):
    options = {"channels": 9, "num_blocks": 1, "block": "plain", "in_channels": 1, "scale": 2}
    network = create_network("hybrid_cascade", size="fast", fast=fast, **options)
    assert type(network) is GENERATORS.get(fast.get("name", "hybrid_cascade"))
    assert (network.head.out_channels, network.in_channels, network.scale) == (7, 1, 2)
    # Options of a network of another name are not those of the best size.
    assert len(network.blocks) == (4 if "name" in fast else 1)


CASCADE = {"name": "hybrid_cascade", "block": "plain", "recursions": 1, "in_channels": 1}


@pytest.mark.parametrize("asked", ["weights", "start"])
@pytest.mark.parametrize(
    ("own", "sizes"),
    [
        ({"name": "compact_residual"}, {"channels": 6, "num_blocks": 3}),
        (CASCADE, {"channels": 6, "num_blocks": 3, "cascade_channels": 2}),
    ],
    ids=lambda own: own.get("name", ""),
)
def test_weights_of_another_release_keep_their_sizes(own, sizes, asked, tmp_path):
    file = tmp_path / "model.pt"
    earlier = create_generator(**{**own, "in_channels": 1}, scale=4, **sizes).eval()
    save_weights(earlier, file)
    options = {**own, "in_channels": 1, "scale": 4, "channels": 8, "num_blocks": 2}
    network = create_network(**options, **{asked: file}).eval()
    load_weights(network, file)
    assert network.halo == earlier.halo
    image = torch.rand(1, 1, 9, 8)
    load_weights(earlier, file)  # rounded to half precision, as saved
    assert torch.equal(network(image, 2), earlier(image, 2))


def test_weights_of_a_dense_network_or_another_tell_no_sizes():
    dense = create_generator("hybrid_cascade", in_channels=1, channels=4, num_blocks=1)
    compact = create_generator("compact_residual", in_channels=1, channels=4, num_blocks=1)
    cascade = GENERATORS.get("hybrid_cascade")
    assert cascade.sizes_of(dense.state_dict()) == cascade.sizes_of(compact.state_dict()) == {}
    assert GENERATORS.get("compact_residual").sizes_of(dense.state_dict()) == {}
    assert GENERATORS.get("srcnn").sizes_of(dense.state_dict()) == {}


@pytest.mark.parametrize("ask", [find_system, read_system, lambda n: create_network("", system=n)])
def test_unknown_system_is_answered_with_the_nearest_and_all(ask):
    with pytest.raises(OptionError, match=r"system 'srgan8' is unknown; did you mean 'srgan_8'\?"):
        ask("srgan8")
    with pytest.raises(OptionError) as caught:
        ask("zzz")
    assert str(caught.value).endswith("known: " + ", ".join(SYSTEMS))


def test_file_of_ones_own_is_a_system(tmp_path):
    definition = {"name": "srcnn", "filters": [4, 3], "in_channels": "@in_channels"}
    path = overlay(tmp_path / "mine.yaml", network_def=definition)
    assert find_system(path) == path
    assert read_system(str(path))["title"] == "T"
    assert create_network("", system=path, in_channels=2, system_scale=3).scale == 3


@pytest.mark.parametrize("text", ["", "title: T\n", "just words", "[1, 2]", "network_def: srcnn"])
def test_file_without_a_network_is_refused(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(OptionError, match=r"mine\.yaml: must have the key network_def.*; add it"):
        read_system(tmp_path / "mine.yaml")


def test_file_that_is_no_yaml_is_one_line_with_the_place(tmp_path):
    (tmp_path / "mine.yaml").write_text("title: T\nnetwork_def: [1\n")
    with pytest.raises(OptionError, match=r"mine\.yaml: is no YAML near line 3; mend it$"):
        read_system(tmp_path / "mine.yaml")


class Ours(SRCNN):
    """Somebody's own network."""


def test_network_may_be_a_class_that_python_finds(tmp_path):
    definition = {"_target_": f"{__name__}.Ours", "filters": [4, 3], "in_channels": "@in_channels"}
    network = create_network(
        "", system=overlay(tmp_path / "a.yaml", network_def=definition), in_channels=1
    )
    assert (type(network), network.scale) == (Ours, 4)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"name": "srcn"}, "did you mean 'srcnn'"),
        ({"filters": [4, 3]}, "generator 'None' is unknown"),
        ({"name": "srcnn", "chanels": 3}, "chanels.*see the docstring of SRCNN"),
        ({"_target_": "no_such_module.Net"}, "no_such_module.Net cannot be imported.*PYTHONPATH"),
        ({"_target_": "monai_sr.networks.Net"}, "Net cannot be imported"),
        ({"_target_": "Net"}, "Net cannot be imported"),
        ({"_target_": "torch.nn.Conv2d"}, "must be a monai_sr.networks.Generator"),
        ({"_target_": "math.sqrt"}, "must be a monai_sr.networks.Generator"),
    ],
)
def test_network_that_cannot_be_built_is_refused(tmp_path, definition, message):
    path = overlay(tmp_path / "mine.yaml", network_def=definition)
    with pytest.raises(OptionError, match=message):
        create_network("", system=path, in_channels=1)


def test_a_bundles_own_definition_may_become_a_system(tmp_path, repo_root):
    content = yaml.safe_load((repo_root / "bundles/xray_sr/configs/train.yaml").read_text())
    path = overlay(tmp_path / "mine.yaml", network_def=content["network_def"])
    assert len(create_network("", system=path, in_channels=1).blocks) == 8


def test_own_weights_lie_in_the_bundle(tmp_path):
    assert weights_file(tmp_path) == str(tmp_path / "model.pt")
    with pytest.raises(OptionError, match="leave --robust out"):
        weights_file(tmp_path, robust=True)
    (tmp_path / "model_robust.pt").touch()
    for robust in (True, "true", 1):
        assert weights_file(tmp_path, robust=robust) == str(tmp_path / "model_robust.pt")
    with pytest.raises(OptionError, match="robust: must be auto or True or False, got 'false'"):
        weights_file(tmp_path, robust="false")
    with pytest.raises(OptionError, match="leave --robust or --system out"):
        weights_file(tmp_path, system="srcnn", robust=True)


def test_fast_weights_lie_in_the_bundle(tmp_path):
    with pytest.raises(OptionError, match=r"size: this bundle has no model_fast\.pt"):
        weights_file(tmp_path, size="fast")
    (tmp_path / "model_fast.pt").touch()
    assert weights_file(tmp_path, size="fast") == str(tmp_path / "model_fast.pt")
    assert weights_file(tmp_path, size="best") == str(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"robust": True}, "must be left out beside robust, .*; leave --size or --robust out"),
        ({"perception": 0.5}, "must be left out beside perception, got fast and 0.5; leave --size"),
        ({"spatial_dims": 3}, "must be left out beside spatial_dims, .*; leave --size or"),
        ({"system": "srcnn"}, "must be left out beside system, .*; leave --size or --system out"),
        ({"size": "fats"}, "must be best or fast, got 'fats'"),
    ],
)
def test_there_are_no_other_fast_weights(tmp_path, others, message):
    (tmp_path / "model_fast.pt").touch()
    with pytest.raises(OptionError, match=f"size: {message}"):
        weights_file(tmp_path, **{"size": "fast", **others})


def test_fast_options_hold_where_fast_is_asked_for():
    for size, filters in (("best", 4), ("fast", 6)):
        network = create_network(**OWN, size=size, fast={"filters": [6, 3]})
        assert len(next(network.parameters())) == filters
    with pytest.raises(OptionError, match="leave --size or --system out"):
        create_network("", system="srcnn", size="fast")
    with pytest.raises(OptionError, match="leave --size or --spatial_dims out"):
        create_network(**OWN, spatial_dims=3, size="fast")


@pytest.mark.parametrize("name", BASELINES)
def test_system_that_learns_nothing_has_no_weights(name, tmp_path):
    assert weights_file(tmp_path, system=name) is None


def test_baselines_are_those_that_learn_nothing():
    assert BASELINES == ["bicubic", "bilinear", "iterative_back_projection", "nearest"]


@pytest.mark.parametrize(
    ("system", "scale", "file"),
    [
        ("srcnn", 2, "srcnn_x2.pt"),
        ("srcnn", 4, "srcnn_x4.pt"),
        ("recursive_cascade_gan", 2, "recursive_cascade_gan.pt"),
        ("sparse_coding", 3, "sparse_coding_x3.pt"),
    ],
)
def test_weights_of_a_system_have_its_name_and_scale(tmp_path, system, scale, file):
    (tmp_path / "systems").mkdir()
    expected = tmp_path / "systems" / file
    with pytest.raises(WeightsError) as caught:
        weights_file(tmp_path, system=system, scale=scale)
    message = str(caught.value)
    assert message.startswith(f"{file}: no weights of this system come with the bundle")
    assert f"`monai-sr train --system {system} --scale {scale}`" in message
    assert "--ckpt_path RUN/model.pt" in message
    expected.touch()
    assert weights_file(tmp_path, system=system, scale=scale) == str(expected)
    # A workflow passes the system's file.
    assert weights_file(tmp_path, system=find_system(system), scale=scale) == str(expected)


def test_command_for_a_file_of_ones_own_names_the_file(tmp_path):
    path = overlay(tmp_path / "mine.yaml")
    with pytest.raises(WeightsError, match=rf"train --system {re.escape(str(path))} --scale 4"):
        weights_file(tmp_path, system=path)


def test_unknown_system_has_no_weights(tmp_path):
    with pytest.raises(OptionError, match="did you mean 'vdsr'"):
        weights_file(tmp_path, system="vdrs")

"""Weights load strictly and safely, and a file that does not fit says why in one line."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.networks import (
    create_generator,
    load_faces,
    load_pretrained,
    load_weights,
    read_weights,
)
from tests.network_factory import tiny


def saved(path, network, dtype=None):
    state = network.state_dict()
    torch.save({k: v.to(dtype) if dtype else v for k, v in state.items()}, path)
    return path


def assert_same(network, other, atol=0.0):
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=atol)


def test_weights_come_back_exactly(tmp_path):
    source, target = tiny(seed=1), tiny(seed=2)
    load_weights(target, saved(tmp_path / "model.pt", source))
    assert_same(target, source)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted_to_the_networks_own(tmp_path, dtype):
    source, target = tiny(seed=1), tiny(seed=2)
    load_weights(target, saved(tmp_path / "model.pt", source, dtype))
    assert {p.dtype for p in target.parameters()} == {torch.float32}
    assert_same(target, source, atol=0.01)


def test_safetensors_are_read(tmp_path):
    source, target = tiny(seed=1), tiny(seed=2)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    load_weights(target, tmp_path / "model.safetensors")
    assert_same(target, source)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda good, bad: {"params_ema": good},
        lambda good, bad: {"params": bad, "params_ema": good},
        lambda good, bad: {"params": good, "iter": 5},
        lambda good, bad: {"epoch": 3, "state_dict": good, "optimizer_states": [{"lr": 0.1}]},
        lambda good, bad: {"model": {f"module.{name}": value for name, value in good.items()}},
        lambda good, bad: {"state_dict": {"params_ema": good}},
    ],
)
def test_state_dicts_of_other_trainers_are_found(tmp_path, wrap):
    source, target = tiny(seed=1), tiny(seed=2)
    torch.save(wrap(source.state_dict(), tiny(seed=3).state_dict()), tmp_path / "model.pth")
    load_weights(target, tmp_path / "model.pth")
    assert_same(target, source)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"in_channels": 3}, r"head\.weight is \(8, 3, 3, 3\), not \(8, 1, 3, 3\)"),
        ({"channels": 16}, r"is \("),
        ({"num_blocks": 2}, r"blocks\.1\.first\.weight is unknown"),
        ({"scale": 2}, r"tail_x4\.weight is missing"),
    ],
)
def test_weights_of_another_network_name_the_first_difference(tmp_path, options, word):
    path = saved(tmp_path / "other.pt", tiny(**options))
    target = tiny()
    before = {k: v.clone() for k, v in target.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"other\.pt: weights belong to another.*{word}"):
        load_weights(target, path)
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


def test_weights_of_another_family_are_refused(tmp_path):
    path = saved(tmp_path / "edsr.pt", create_generator("edsr", in_channels=1, num_blocks=1))
    with pytest.raises(WeightsError, match="another network than HybridCascade"):
        load_weights(tiny(), path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", [b"", b"no weights at all", None])
def test_a_damaged_file_is_one_line(tmp_path, damage, suffix):
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        saved(path, tiny())
    else:
        save_file(tiny().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    with pytest.raises(WeightsError, match=r"cannot be read as a plain state dict") as caught:
        load_weights(tiny(), path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pt: weights file does not exist"):
        load_weights(tiny(), tmp_path / "none.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    broken = tiny()
    with torch.no_grad():
        broken.head.weight[0, 0, 0, 0] = value
    with pytest.raises(WeightsError, match="NaN or infinity"):
        load_weights(tiny(), saved(tmp_path / "model.pt", broken))


class _Harm:
    """Runs code when it is unpickled."""

    harmed: list[str] = []  # noqa: RUF012 - the point is that it is shared

    def __reduce__(self):
        return (_Harm.harmed.append, ("ran",))


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_code_in_a_weights_file_is_never_run(tmp_path, by):
    path = tmp_path / "model.pt"
    if by == "torch":
        torch.save({"head.weight": _Harm()}, path)
    else:
        path.write_bytes(pickle.dumps(_Harm()))
    with pytest.raises(WeightsError):
        load_weights(tiny(), path)
    assert _Harm.harmed == []


@pytest.mark.parametrize(
    "content", [{"a": {"b": torch.zeros(1)}}, {"params": [1, 2]}, [torch.zeros(1)], 5]
)
def test_what_holds_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"must hold a state dict of tensors.*params_ema"):
        read_weights(tmp_path / "model.pt")


FAMILIES = [
    ("hybrid_cascade", {"channels": 8, "num_blocks": 1, "block": "plain"}),
    ("hybrid_cascade", {"channels": 8, "num_blocks": 1, "block": "dense", "scale": 2}),
    ("hybrid_cascade", {"channels": 3, "num_blocks": 1, "block": "plain", "spatial_dims": 3}),
    ("edsr", {"channels": 4, "num_blocks": 1}),
    ("srcnn", {"filters": (4, 3)}),
]
# The second network sees s x s channels of each one of the image.
DEEP = ("two_step", {"scale": 2, "second": {"name": "srresnet", "channels": 5, "num_blocks": 1}})


def lively(name, in_channels, **options):
    network = create_generator(name, in_channels=in_channels, **options).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.3, 0.3)
    return network


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_a_color_network_made_grey_gives_what_its_equal_channels_gave(tmp_path, name, options):
    color, grey = lively(name, 3, **options), lively(name, 1, **options)
    # Read back in float32: the reference must have passed through it, too.
    color.load_state_dict({k: v.float() for k, v in color.state_dict().items()})
    load_pretrained(grey, saved(tmp_path / "model.pt", color))
    image = torch.rand(2, 1, *(7, 5, 4)[: options.get("spatial_dims", 2)], dtype=torch.float64)
    with torch.no_grad():
        expected = color(image.expand(-1, 3, *image.shape[2:])).mean(1, keepdim=True)
        torch.testing.assert_close(grey(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [*FAMILIES, DEEP])
def test_a_grey_network_made_color_gives_the_same_in_every_channel(tmp_path, name, options):
    grey, color = lively(name, 1, **options), lively(name, 3, **options)
    grey.load_state_dict({k: v.float() for k, v in grey.state_dict().items()})
    load_pretrained(color, saved(tmp_path / "model.pt", grey))
    image = torch.rand(1, 1, *(7, 5, 4)[: options.get("spatial_dims", 2)], dtype=torch.float64)
    image = image.expand(-1, 3, *image.shape[2:])
    with torch.no_grad():
        for channel in color(image).split(1, dim=1):
            torch.testing.assert_close(channel, grey(image[:, :1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [*FAMILIES, DEEP])
def test_a_grey_network_comes_back_from_color(tmp_path, name, options):
    grey, color, again = (lively(name, channels, **options) for channels in (1, 3, 1))
    grey.load_state_dict({k: v.float() for k, v in grey.state_dict().items()})
    load_pretrained(color, saved(tmp_path / "grey.pt", grey))
    load_pretrained(again, saved(tmp_path / "color.pt", color))
    for key, value in again.state_dict().items():
        torch.testing.assert_close(value, grey.state_dict()[key], rtol=1e-5, atol=1e-6)


def test_a_network_three_times_as_wide_is_refused(tmp_path):
    wide = create_generator("edsr", channels=12, num_blocks=1)
    narrow = create_generator("edsr", channels=4, num_blocks=1)
    with pytest.raises(WeightsError, match="another network"):
        load_pretrained(narrow, saved(tmp_path / "model.pt", wide))


def test_equal_networks_start_from_equal_weights(tmp_path):
    source, target = tiny(seed=1), tiny(seed=2)
    load_pretrained(target, saved(tmp_path / "model.pt", source))
    assert_same(target, source)


@pytest.mark.parametrize("options", [{"channels": 24}, {"num_blocks": 2}, {"scale": 2}])
def test_other_sizes_are_no_pretraining(tmp_path, options):
    # 24 is three times 8: nothing but the channels of the image may be averaged.
    path = saved(tmp_path / "model.pt", tiny(**options))
    with pytest.raises(WeightsError, match=r"model\.pt: weights belong to another network"):
        load_pretrained(tiny(), path)


@pytest.fixture
def faces(tmp_path):
    """Return two networks, and the files of their weights."""
    faithful, perceptual = tiny(seed=1), tiny(seed=2)
    paths = saved(tmp_path / "model.pt", faithful), saved(tmp_path / "perceptual.pt", perceptual)
    return faithful, perceptual, *paths


@pytest.mark.parametrize("perception", [0, 0.0, 0.25, 0.5, 1, 1.0])
def test_weights_between_two_faces_are_their_weighted_mean(faces, perception):
    faithful, perceptual, *paths = faces
    network = tiny(seed=3)
    load_faces(network, *paths, perception)
    other = perceptual.state_dict()
    for name, value in faithful.state_dict().items():
        expected = (1 - perception) * value + perception * other[name]
        torch.testing.assert_close(network.state_dict()[name], expected)


@pytest.mark.parametrize(("perception", "face"), [(0, 0), (1, 1)])
def test_either_face_is_exact(faces, perception, face):
    network = tiny(seed=3)
    load_faces(network, *faces[2:], perception)
    assert_same(network, faces[face])


def test_counters_are_not_interpolated(tmp_path):
    one, other = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    one.num_batches_tracked.fill_(10)
    other.num_batches_tracked.fill_(21)
    paths = saved(tmp_path / "a.pt", one), saved(tmp_path / "b.pt", other)
    network = torch.nn.BatchNorm1d(2)
    load_faces(network, *paths, 0.5)
    assert int(network.num_batches_tracked) == 21


def test_faithful_face_needs_no_other(faces, tmp_path):
    faithful, _, path, _ = faces
    for perceptual in (None, tmp_path / "absent.pt"):
        network = tiny(seed=3)
        load_faces(network, path, perceptual)
        assert_same(network, faithful)


@pytest.mark.parametrize("perceptual", [None, "absent.pt"])
def test_absent_perceptual_face_is_an_error_with_the_remedy(faces, perceptual):
    with pytest.raises(OptionError, match=r"no perceptual weights.*leave it at 0 or train"):
        load_faces(tiny(), faces[2], perceptual, 0.5)


@pytest.mark.parametrize("perception", [-0.1, 1.5, float("nan"), "0.5"])
def test_share_outside_0_and_1_is_refused_before_anything_is_loaded(faces, perception):
    network, untouched = tiny(seed=3), tiny(seed=3)
    with pytest.raises(OptionError, match=r"perception: must be a number in \[0, 1\], got"):
        load_faces(network, *faces[2:], perception)
    assert_same(network, untouched)


def test_network_without_weights_has_no_other_face():
    network, untouched = tiny(seed=3), tiny(seed=3)
    load_faces(network, None)
    with pytest.raises(OptionError, match=r"perception: must be 0 .*, got 0\.5"):
        load_faces(network, None, None, 0.5)
    with pytest.raises(OptionError, match="must be a number in"):
        load_faces(network, None, None, 2.0)
    assert_same(network, untouched)


def test_face_of_another_network_is_refused(faces, tmp_path):
    path = saved(tmp_path / "wide.pt", tiny(channels=16))
    with pytest.raises(WeightsError, match=r"wide\.pt: weights belong to another network"):
        load_faces(tiny(), faces[2], path, 0.5)

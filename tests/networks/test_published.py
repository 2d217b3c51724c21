"""Weights of others: told by the file, wrapped with declared scale and reach, used on our files."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError, WeightsError
from monai_sr.core.optional import import_torchvision
from monai_sr.networks import create_network, load_weights
from monai_sr.networks.published import REACH, PublishedNetwork, published_network

OWN = {"name": "hybrid_cascade", "channels": 8, "num_blocks": 1, "block": "plain", "recursions": 1}


@pytest.fixture(scope="module")
def esrgan():
    """Return a small ESRGAN of spandrel's own making, for x2."""
    import_torchvision()
    pytest.importorskip("spandrel")
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    return ESRGAN(num_filters=8, num_blocks=1, scale=2).eval()


@pytest.fixture
def file(esrgan, tmp_path):
    path = tmp_path / "2x_theirs.pth"
    torch.save({"params_ema": esrgan.state_dict()}, path)
    return path


@pytest.mark.parametrize("key", ["params_ema", "params", "state_dict", None])
def test_every_published_form_gives_what_its_own_network_gives(esrgan, tmp_path, key):
    state = esrgan.state_dict()
    path = tmp_path / "theirs.pth"
    torch.save(state if key is None else {key: state}, path)
    network = create_network(**OWN, in_channels=3, system_scale=2, weights=path)
    load_weights(network, path)
    image = torch.rand(2, 3, 20, 17, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = esrgan(image).clamp(0, 1)
        torch.testing.assert_close(network(image), expected, atol=1e-6, rtol=0)
    assert (network.scale, network.in_channels) == (2, 3)


def test_reach_is_measured_and_covers_what_a_pixel_changes(file):
    network = create_network(**OWN, in_channels=3, system_scale=2, weights=file)
    assert network.info.is_local
    # Head, 3 x 4 dense layers and their fusion, trunk, two or three on the finer grid.
    assert 3 <= network.halo < REACH
    image = torch.rand(1, 3, 91, 91, generator=torch.Generator().manual_seed(2))
    other = image.clone()
    other[..., 45, 45] = 0
    with torch.no_grad():
        changed = (network(image) - network(other)).abs().amax(dim=(0, 1))
    far = torch.ones_like(changed, dtype=torch.bool)
    near = slice(2 * (45 - network.halo), 2 * (46 + network.halo))
    far[near, near] = False
    assert float(changed[far].max()) < 2**-12


def test_grey_images_go_through_color_networks(file, esrgan):
    network = create_network(**OWN, in_channels=1, system_scale=2, weights=file)
    grey = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = esrgan(grey.expand(-1, 3, -1, -1)).clamp(0, 1).mean(dim=1, keepdim=True)
        torch.testing.assert_close(network(grey), expected, atol=1e-6, rtol=0)


def test_another_enlargement_is_refused(file):
    with pytest.raises(OptionError, match=r"enlarges by 2, got 4; add --scale 2"):
        create_network(**OWN, in_channels=3, system_scale=4, weights=file)


def test_weights_that_nobody_knows_are_told_when_they_are_loaded(tmp_path):
    path = tmp_path / "odd.pth"
    torch.save({"one": torch.zeros(3)}, path)
    network = create_network(**OWN, in_channels=3, system_scale=2, weights=path)
    with pytest.raises(WeightsError, match="weights belong to another network"):
        load_weights(network, path)


def test_without_spandrel_the_pip_line_is_shown(file, monkeypatch):
    monkeypatch.setattr("monai_sr.networks.published.importlib.util.find_spec", lambda _: None)
    own = create_network(**OWN, in_channels=3)
    with pytest.raises(WeightsError, match=r"pip install 'monai-sr\[spandrel\]'"):
        published_network(own, file, scale=2, in_channels=3)


def test_code_in_a_file_is_never_run(tmp_path):
    path = tmp_path / "evil.pth"

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("done").touch, ())

    torch.save({"params": Evil()}, path)
    with pytest.raises(WeightsError, match="cannot be read as a plain state dict"):
        create_network(**OWN, in_channels=3, system_scale=2, weights=path)
    assert not (tmp_path / "done").exists()


def test_ones_own_weights_stay_ones_own(tmp_path):
    own = create_network(**OWN, in_channels=3)
    torch.save(own.state_dict(), tmp_path / "own.pt")
    again = create_network(**OWN, in_channels=3, weights=tmp_path / "own.pt")
    assert not isinstance(again, PublishedNetwork)
    load_weights(again, tmp_path / "own.pt")

"""LPIPS against the package of its authors."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn import functional as F

from monai_sr.core.errors import MissingDependencyError, OptionError
from monai_sr.core.optional import import_torchvision
from monai_sr.networks import lpips_distance
from monai_sr.networks.lpips_distance import LPIPSDistance


@pytest.fixture(scope="module")
def squeeze():
    return LPIPSDistance()


def reference(net):
    """The authors' network with random features."""
    import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision as it was called in 2018
        import lpips

        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def features_of(network):
    """Their slices keep torchvision's numbers: name -> tensor of ``features``."""
    return {
        f"features.{key.split('.', 1)[1]}": tensor for key, tensor in network.net.named_parameters()
    }


@pytest.mark.parametrize("net", ["squeeze", "alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_equals_the_authors_package(net, tmp_path, squeeze):
    theirs = reference(net)
    state = {key: tensor.data for key, tensor in features_of(theirs).items()}
    if net == "squeeze":  # the weights that we ship, in their network
        for key, tensor in state.items():
            owner, _, name = key.removeprefix("features.").rpartition(".")
            tensor.copy_(_find(squeeze.backbone, owner)[name])
        ours = squeeze
    else:
        torch.save(state, tmp_path / "backbone.pth")
        ours = LPIPSDistance(net, weights=tmp_path / "backbone.pth")
    sr, hr = torch.rand(2, 2, 3, 64, 72).unbind()
    expected = theirs(sr, hr, normalize=True).flatten()
    torch.testing.assert_close(ours(sr, hr), expected.detach(), rtol=1e-4, atol=1e-6)


def _find(backbone, owner):
    """Return the tensors of one of SqueezeNet's convolutions, by torchvision's number."""
    number, _, part = owner.partition(".")
    names = [name for name in backbone.layer_names if not name.endswith("_expand")]
    layer = backbone.stack["conv1" if number == "0" else f"{names[int(number)]}_expand"]
    return dict((getattr(layer, part) if part else layer).named_buffers())


def test_equal_images_have_distance_zero(squeeze):
    image = torch.rand(2, 3, 32, 40)
    assert squeeze(image, image).tolist() == [0.0, 0.0]


def test_distance_rises_with_noise_and_with_blur(squeeze):
    hr = F.interpolate(torch.rand(1, 3, 16, 16), scale_factor=4, mode="bicubic").clamp(0, 1)
    noise = torch.randn_like(hr)
    noisy = [float(squeeze(hr + level * noise, hr)) for level in (0.01, 0.03, 0.1, 0.3)]
    blurred = [float(squeeze(F.avg_pool2d(hr, k, 1, k // 2), hr)) for k in (1, 3, 7, 15)]
    assert noisy == sorted(noisy)
    assert blurred == sorted(blurred)
    assert noisy[0] > 0


def test_it_is_symmetric_and_judges_each_pair_alone(squeeze):
    sr, hr = torch.rand(2, 3, 3, 24, 24).unbind()
    both = squeeze(sr, hr)
    torch.testing.assert_close(both, squeeze(hr, sr))
    torch.testing.assert_close(both[1:2], squeeze(sr[1:2], hr[1:2]))


def test_a_step_along_the_gradient_brings_images_closer(squeeze):
    sr, hr = torch.rand(2, 1, 3, 32, 32).unbind()
    sr.requires_grad_()
    distance = squeeze(sr, hr)
    (gradient,) = torch.autograd.grad(distance.sum(), sr)
    assert squeeze(sr - 0.1 * gradient / gradient.norm(), hr) < distance


def test_a_black_image_has_a_finite_gradient(squeeze):
    sr = torch.zeros(1, 1, 32, 32, requires_grad=True)
    squeeze(sr, torch.rand(1, 1, 32, 32)).sum().backward()
    assert sr.grad.isfinite().all()


def test_nothing_is_trained_or_saved(squeeze):
    assert list(squeeze.parameters()) == []
    assert squeeze.state_dict() == {}


def test_bad_arguments_are_refused(squeeze):
    with pytest.raises(OptionError, match="did you mean 'squeeze'"):
        LPIPSDistance("squeez")
    with pytest.raises(OptionError, match="sr, hr: must have the same shape"):
        squeeze(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 40))


def test_without_the_package_of_linear_layers_the_pip_line_is_shown(monkeypatch):
    monkeypatch.setattr(lpips_distance, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install lpips"):
        LPIPSDistance()

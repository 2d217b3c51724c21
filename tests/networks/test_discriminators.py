"""The contract of every discriminator, and what is particular to each."""

from __future__ import annotations

import io

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.wavelet import high_bands
from monai_sr.networks import Discriminator, create_discriminator, list_discriminators
from monai_sr.networks.registry import DISCRIMINATORS, register_discriminator

SMALL = {
    "high_band": [
        {"discriminator": {"name": "unet_sn", "channels": 2}},
        {"discriminator": {"name": "patchgan", "channels": 2}, "wavelet": "haar", "levels": 2},
    ],
    "patchgan": [{"channels": 2}, {"channels": 2, "num_layers": 1, "norm": "INSTANCE"}],
    "pooled_patch": [{"channels": 2}],
    "srgan_vgg": [
        {"channels": 2, "dense_features": 4, "pooled_size": 2},
        {"channels": 2, "dense_features": 4, "pooled_size": 2, "activation": "mish"},
    ],
    "unet_sn": [{"channels": 2}],
}
"""Sizes that keep a test quick; a name that is not listed is tested as it comes."""

CASES = [
    pytest.param(name, {**sizes, "spatial_dims": dims}, id=f"{name}{i or ''}-{dims}d")
    for name in list_discriminators()
    for i, sizes in enumerate(SMALL.get(name, [{}]))
    for dims in DISCRIMINATORS.get(name).info.spatial_dims
]


def build(name, options, in_channels=1):
    torch.manual_seed(0)
    return create_discriminator(name, in_channels=in_channels, **options).double()


def images(side, dims, in_channels=1, count=2):
    random = torch.Generator().manual_seed(1)
    sides = side if isinstance(side, tuple) else (side,) * dims
    return torch.rand(count, in_channels, *sides, generator=random, dtype=torch.float64)


def normalizes_over_images(model):
    return any("BatchNorm" in type(module).__name__ for module in model.modules())


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_logits_come_last_after_features_and_all_are_finite(name, options, in_channels):
    dims = options["spatial_dims"]
    model = build(name, options, in_channels).float()
    # Odd and unequal sides.
    sides = tuple(model.minimum_size + extra for extra in (9, 4, 1)[:dims])
    outputs = model(images(sides, dims, in_channels).float())
    assert isinstance(outputs, list)
    assert len(outputs) > 1
    assert outputs[-1].shape[:2] == (2, 1)
    for output in outputs:
        assert output.dtype == torch.float32
        assert output.isfinite().all()
    assert outputs[-1].abs().max() < 20


@pytest.mark.parametrize(("name", "options"), CASES)
def test_logits_are_not_squashed(name, options):
    model = build(name, options).eval()
    image = images(model.minimum_size + 8, options["spatial_dims"])
    with torch.no_grad():
        before = model(image)[-1]
        # Weight and bias of the last layer.
        for parameter in list(model.parameters())[-2:]:
            parameter.mul_(1000)
        torch.testing.assert_close(model(image)[-1], 1000 * before)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradient_reaches_every_parameter_and_the_image(name, options):
    dims = options["spatial_dims"]
    model = build(name, options)
    # Where one pixel were left, batch normalization of two images would give plus and minus one.
    image = images(2 * model.minimum_size + 1, dims).requires_grad_()
    logits = model(image)[-1]
    (logits * torch.rand_like(logits)).sum().backward()
    unmoved = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unmoved
    assert image.grad.any()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_minimum_size_works_and_one_less_is_refused_with_the_remedy(name, options):
    dims = options["spatial_dims"]
    model = build(name, options)
    least = model.minimum_size
    assert model(images(least, dims))[-1].isfinite().all()
    sides = (least - 1, least, least)[:dims]
    with pytest.raises(OptionError, match=f"at least {least} pixels a side.*raise patch_size"):
        model(images(sides, dims))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_verdict_is_independent_of_other_images_unless_batches_are_normalized(name, options):
    dims = options["spatial_dims"]
    model = build(name, options)
    batch = images(model.minimum_size + 8, dims, count=3)
    with torch.no_grad():
        model.eval()
        torch.testing.assert_close(model(batch[:2])[-1], model(batch)[-1][:2])
        model.train()
        if normalizes_over_images(model):
            assert (model(batch[:2])[-1] - model(batch)[-1][:2]).abs().max() > 1e-3
        else:
            # Spectral normalization refines its estimate at each call: settle it.
            for _ in range(20):
                model(batch[:1])
            found, expected = model(batch[:2])[-1], model(batch)[-1][:2]
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_dict_goes_round_with_weights_only(name, options):
    model = build(name, options)
    image = images(model.minimum_size + 8, options["spatial_dims"])
    model(image)  # running statistics move
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = create_discriminator(name, in_channels=1, **options).double()
    again.load_state_dict(torch.load(file, weights_only=True))
    for one, other in zip(again.eval()(image), model.eval()(image), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", list_discriminators())
@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ({"spatial_dims": 4}, "spatial_dims: must be one of"),
        ({"in_channels": 0}, "in_channels: must be at least 1"),
        ({"depth": 3}, "see its docstring"),
    ],
)
def test_option_that_does_not_fit_is_refused(name, option, remedy):
    with pytest.raises(OptionError, match=remedy):
        create_discriminator(name, **option)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("high_band", {"levels": 0}),
        ("high_band", {"wavelet": "sym77"}),
        ("high_band", {"discriminator": {"name": "unet"}}),
        ("high_band", {"spatial_dims": 3}),
        ("patchgan", {"channels": 0}),
        ("patchgan", {"num_layers": 0}),
        ("pooled_patch", {"channels": 0}),
        ("srgan_vgg", {"activation": "relu"}),
        ("srgan_vgg", {"pooled_size": 0}),
        ("unet_sn", {"channels": 0}),
    ],
)
def test_size_that_makes_no_network_is_refused(name, option):
    with pytest.raises(OptionError, match=next(iter(option))):
        create_discriminator(name, **option)


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'patchgan'"):
        create_discriminator("pachgan")


def test_name_is_registered_once():
    with pytest.raises(OptionError, match="registered already"):
        register_discriminator("unet_sn")(Discriminator)


@pytest.mark.parametrize("name", list_discriminators())
def test_paper_is_named(name):
    assert "20" in DISCRIMINATORS.get(name).info.paper


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # Summed by hand: a convolution at either end with a bias, eight between without one.
        (
            "unet_sn",
            {},
            (27 * 64 + 64)
            + 16 * (64 * 128 + 128 * 256 + 256 * 512)
            + 9 * (512 * 256 + 256 * 128 + 128 * 64 + 2 * 64 * 64)
            + (9 * 64 + 1),
        ),
        # The authors' program prints 2.769 M for an image and its condition, together six channels.
        ("patchgan", {"in_channels": 6}, 2_768_705),
        # It prints 2764737 with instance normalization and the biases that this takes away again.
        ("patchgan", {"norm": "INSTANCE"}, 2_764_737 - (128 + 256 + 512)),
        # Summed by hand from figure 4 of the paper: the first convolution, seven with two numbers a
        # channel for their normalization, two dense layers on 6 x 6 x 512 features.
        (
            "srgan_vgg",
            {},
            (27 * 64 + 64)
            + 9 * (64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
            + 2 * (64 + 2 * 128 + 2 * 256 + 2 * 512)
            + (512 * 36 * 1024 + 1024)
            + (1024 + 1),
        ),
    ],
)
def test_parameters_are_as_many_as_published(name, options, count):
    model = create_discriminator(name, **options)
    assert sum(p.numel() for p in model.parameters()) == count


def test_real_image_of_srgan_enters_the_dense_layers_unpooled():
    model = build("srgan_vgg", {"channels": 1, "dense_features": 2}).eval()
    features = model(images(96, 2))[-2]
    assert features.shape[2:] == (6, 6)
    assert torch.equal(model.pool(features), features)


def field(model, sides, verdict):
    """Return the first and the last row of the image on which a verdict depends.

    NaN goes through every convolution and maximum, whatever their weights.
    """
    seen = []
    with torch.no_grad():
        for row in range(sides[0]):
            image = torch.zeros(1, 1, *sides)
            image[:, :, row] = torch.nan
            if model(image)[-1][0, 0, verdict].isnan().any():
                seen.append(row)
    return seen[0], seen[-1]


def test_patchgan_judges_parts_of_70_pixels():
    model = build("patchgan", {"channels": 1}).float().eval()
    first, last = field(model, (160, 24), verdict=8)
    assert last - first + 1 == 70
    following, _ = field(model, (160, 24), verdict=9)
    assert following - first == 8


def test_pooled_patch_judges_parts_of_106_pixels_and_74_without_the_last_pooling():
    model = build("pooled_patch", {"channels": 1}).float().eval()
    first, last = field(model, (192, 64), verdict=1)
    assert last - first + 1 == 106
    # Across the short side one pixel is left: the last pooling does not take place.
    first, last = field(model, (160, 32), verdict=2)
    assert last - first + 1 == 74


def test_unet_judges_every_pixel_and_its_slope_is_bounded():
    model = build("unet_sn", {"channels": 4})
    assert model(images((21, 34), 2))[-1].shape == (2, 1, 21, 34)
    for _ in range(200):
        model(images(16, 2))
    model.eval()
    for conv in [*model.down, *model.up, *model.refine]:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(
            1, abs=1e-3
        )


def test_high_bands_hide_brightness_and_nothing_else():
    options = {"discriminator": {"name": "unet_sn", "channels": 2}}
    model = build("high_band", options, in_channels=3).eval()
    image = images(32, 2, in_channels=3)
    assert model.judge.first.in_channels == 9
    torch.testing.assert_close(model(image + 0.3)[-1], model(image)[-1])
    assert not torch.allclose(model(image * 1.3)[-1], model(image)[-1])


def test_high_bands_are_taken_in_single_precision_under_autocast():
    model = build("high_band", SMALL["high_band"][0]).float()
    image, seen = 0.9 + images(32, 2).float() / 1000, []
    model.judge.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.autocast("cpu", torch.bfloat16):
        model(image)
    torch.testing.assert_close(seen[0], high_bands(image), rtol=0, atol=0)


@pytest.mark.parametrize(("levels", "least"), [(1, 8), (2, 15), (3, 29)])
def test_minimum_size_of_high_bands_serves_judge_and_wavelet(levels, least):
    options = {"discriminator": {"name": "unet_sn", "channels": 1}, "levels": levels}
    assert build("high_band", options).minimum_size == least

"""The contract of every generator, whatever its architecture, on small sizes of each."""

from __future__ import annotations

import io

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import upsample
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator, list_generators
from monai_sr.networks.registry import GENERATORS

SMALL = {
    "dense_residual": [
        {
            **{"num_groups": 1, "num_blocks": 1, "num_layers": 1, "channels": 2},
            **{"growth_channels": 1, "fine_channels": 2, "norm": norm},
        }
        for norm in ("batch", None)
    ],
    "compact_residual": [{"channels": 3, "num_blocks": 1}],
    "drcn": [{"channels": 3, "recursions": 2}],
    "edsr": [{"channels": 4, "num_blocks": 1}],
    "hybrid_cascade": [
        {"block": "dense", "recursions": 1, "num_blocks": 1, "channels": 4, "growth_channels": 2},
        {"block": "plain", "recursions": 2, "num_blocks": 1, "channels": 4, "cascade_channels": 2},
    ],
    "iterative_back_projection": [{"steps": 2}],
    "igan_srcp": [{"num_blocks": 4, "channels": 2}, {"num_blocks": 1, "channels": 3}],
    "neighbor_embedding": [
        {"num_exemplars": 40, "num_neighbors": 3},
        {"num_exemplars": 30, "num_neighbors": 5, "back_projections": 0},
    ],
    "recursive_cascade": [
        {"channels": 3, "num_blocks": 1, "stage_channels": 2},
        {"scales": (2, 3, 4), "channels": 2, "num_blocks": 1, "recursions": 1, "stage_channels": 2},
    ],
    "rfb_rrdbnet": [
        {"num_blocks": 1, "num_rfb_blocks": 0, "channels": 2, "growth_channels": 1},
    ],
    "rrdbnet": [{"num_blocks": 1, "channels": 2, "growth_channels": 1}],
    "sparse_coding": [
        {"num_atoms": 40, "sparsity": 0.05, "steps": 5},
        {"num_atoms": 30, "sparsity": 0.05, "steps": 3, "back_projections": 0},
    ],
    "srcnn": [{"filters": (4, 3)}, {"kernel_sizes": (3, 3, 1), "filters": (4, 3)}],
    "srresnet": [{"channels": 2, "num_blocks": 1, "kernel_size": 5}],
    "subpixel_residual": [{"channels": 3, "num_layers": 2}],
    "two_step": [
        {
            "first": {"name": "srcnn", "kernel_sizes": (3, 1, 3), "filters": (3, 2)},
            "second": {"name": "srresnet", "channels": 2, "num_blocks": 1, "kernel_size": 3},
        }
    ],
    "vdsr": [{"channels": 3, "num_layers": 3}],
}
"""Hyper-parameters that keep a test quick; a name that is not listed is tested as it comes."""

WEIGHTS = {"igan_srcp": (0.001, 0.01)}
"""Ranges of weights that are not 0.01 to 0.1: these keep a hyperbolic tangent's slope from zero."""

ARCHITECTURES = [
    pytest.param(name, sizes, dims, id=f"{name}{i or ''}-{dims}d")
    for name in list_generators()
    for i, sizes in enumerate(SMALL.get(name, [{}]))
    for dims in GENERATORS.get(name).info.spatial_dims
]
CASES = [
    pytest.param(name, {**sizes, "spatial_dims": dims, "scale": scale}, id=f"{param.id}-x{scale}")
    for param in ARCHITECTURES
    for name, sizes, dims in [param.values]
    for scale in GENERATORS.get(name).info.scales
]
TRAINED = [case for case in CASES if GENERATORS.get(case.values[0]).info.learns == "gradient"]
FITTED = [case for case in CASES if GENERATORS.get(case.values[0]).info.learns == "fit"]
LOCAL = [case for case in CASES if GENERATORS.get(case.values[0]).info.is_local]
NOT_LOCAL = [case for case in CASES if case not in LOCAL]

# torch.export is the successor; MONAI's `ckpt_export` still scripts.
scripting = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


def build(name, options, in_channels=1, dtype=torch.float64):
    """Build a generator in which nothing is zero and every ReLU lets its input through."""
    model = create_generator(name, in_channels=in_channels, **options).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(*WEIGHTS.get(name, (0.01, 0.1)))
        if model.info.learns == "fit":
            for dictionary in model.state_dict().values():
                dictionary.normal_(std=0.2)
    return model.eval()  # batch normalization sees the whole batch while it trains


def image(sides, in_channels=1, dtype=torch.float64):
    return torch.rand(2, in_channels, *sides, dtype=dtype) / 4 + 0.7


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_output_is_scale_times_the_input_finite_and_of_its_dtype(name, options, dtype, in_channels):
    sides = (7, 5, 3)[: options["spatial_dims"]]
    model = create_generator(name, in_channels=in_channels, **options).to(dtype)
    for scale in (None, *model.scales):
        result = model(image(sides, in_channels, dtype), scale)
        factor = scale or options["scale"]
        assert result.shape == (2, in_channels, *(side * factor for side in sides))
        assert result.dtype == dtype
        assert result.isfinite().all()


@pytest.mark.parametrize(("name", "options"), TRAINED)
def test_gradient_reaches_every_parameter(name, options):
    model = build(name, options)
    lr = image((5, 4, 3)[: options["spatial_dims"]])
    for module in model.modules():
        if isinstance(module, torch.nn.PReLU):  # its slope sees negative values alone
            module.register_forward_pre_hook(lambda _, args: (args[0] - args[0].mean().detach(),))
    sum(model(lr, scale).sum() for scale in model.scales).backward()
    unmoved = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unmoved


@pytest.mark.parametrize(("name", "options"), TRAINED + FITTED)
def test_state_dict_goes_round_with_weights_only(name, options):
    model, lr = build(name, options), image((4, 3, 2)[: options["spatial_dims"]])
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = create_generator(name, in_channels=1, **options).double().eval()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again(lr), model(lr))
    kept = {"lr_patches", "hr_patches"} | {key for key, _ in model.named_parameters()}
    # Fixed kernels stay out.
    assert all(key in kept or ".running_" in key or key.endswith("num_batches_tracked")
               for key in model.state_dict())  # fmt: skip


@scripting
@pytest.mark.parametrize(("name", "sizes", "dims"), ARCHITECTURES)
def test_torchscript_gives_the_same(name, sizes, dims):
    model = build(name, {**sizes, "spatial_dims": dims}, dtype=torch.float32)
    scripted = torch.jit.script(model)
    lr = image((5, 4, 3)[:dims], dtype=torch.float32)
    for scale in model.scales:
        torch.testing.assert_close(scripted(lr, scale), model(lr, scale))


@pytest.mark.parametrize(("name", "sizes", "dims"), ARCHITECTURES)
def test_exported_program_gives_the_same(name, sizes, dims):
    model = build(name, {**sizes, "spatial_dims": dims}).eval()
    lr = image((5, 4, 3)[:dims])
    torch.testing.assert_close(torch.export.export(model, (lr,)).module()(lr), model(lr))


@pytest.mark.parametrize(("name", "options"), LOCAL)
def test_declared_halo_is_the_receptive_field(name, options):
    model, dims = build(name, options), options["spatial_dims"]
    middle = model.halo + 1
    # Thin along the last axes: the kernels are the same along each.
    sides = (2 * middle + 1, 3, 3)[:dims]
    lr = image(sides)[:1].requires_grad_()
    seen = 0
    for scale in model.scales:
        cell = model(lr, scale)[:, :, middle * scale : (middle + 1) * scale]
        (influence,) = torch.autograd.grad((cell * torch.rand_like(cell)).sum(), lr)
        rows = influence.flatten(3).abs().sum(dim=(0, 1, 3)).nonzero().flatten()
        seen = max(seen, int((rows - middle).abs().max()))
    assert seen == model.halo


@pytest.mark.parametrize(("name", "options"), LOCAL)
def test_tiles_with_the_halo_equal_the_whole(name, options):
    model = build(name, options)
    halo, step = model.halo, 5
    lr = image((2 * halo + 3 * step, 4, 3)[: options["spatial_dims"]])
    with torch.inference_mode():
        for scale in model.scales:
            whole, parts = model(lr, scale), []
            for start in range(0, lr.shape[2], step):
                begin = max(0, start - halo)
                tile = model(lr[:, :, begin : start + step + halo], scale)
                parts.append(tile[:, :, (start - begin) * scale :][:, :, : step * scale])
            torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), NOT_LOCAL)
def test_generator_that_is_not_local_sees_beyond_its_halo(name, options):
    model = build(name, options)
    far = model.halo + 4
    lr = image((far + 1, 3, 3)[: options["spatial_dims"]])[:1].requires_grad_()
    for scale in model.scales:
        (influence,) = torch.autograd.grad(model(lr, scale)[:, :, :scale].sum(), lr)
        assert influence[:, :, far].any()


@pytest.mark.parametrize(("name", "options"), NOT_LOCAL)
def test_generator_that_is_not_local_warns_when_tiled(name, options, caplog):
    model = create_generator(name, in_channels=1, **options)
    lr = image((5, 4, 3)[: options["spatial_dims"]], dtype=torch.float32)
    TiledInferer(tile_size=3)(lr, model)
    assert "its tiles differ from the whole" in caplog.text


@pytest.mark.parametrize(("name", "sizes", "dims"), ARCHITECTURES)
def test_declared_minimum_size_works(name, sizes, dims):
    model = build(name, {**sizes, "spatial_dims": dims})
    info = model.info
    side = -(-info.minimum_size // info.multiple_of) * info.multiple_of
    assert model(image([side] * dims)).shape[2:] == torch.Size([side * model.scale] * dims)


@pytest.mark.parametrize("name", list_generators())
@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ({"scale": 5}, "choose one of them"),
        ({"scale": 0}, "choose one of them"),
        ({"spatial_dims": 4}, "spatial_dims: must be one of"),
        ({"in_channels": 0}, "in_channels: must be at least 1"),
        ({"depth": 3}, "see its docstring for options"),
    ],
)
def test_option_that_does_not_fit_is_refused(name, option, remedy):
    with pytest.raises(OptionError, match=remedy):
        create_generator(name, **option)


@pytest.mark.parametrize("name", list_generators())
def test_scale_that_was_not_built_is_refused(name):
    sizes = SMALL.get(name, [{}])[0]
    with pytest.raises(OptionError, match=r"this model was built for \[2\], got 4"):
        create_generator(name, scale=2, **sizes)(torch.zeros(1, 3, 4, 4), 4)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("dense_residual", {"num_groups": 0}),
        ("dense_residual", {"norm": "instance"}),
        ("drcn", {"recursions": 0}),
        ("edsr", {"num_blocks": 0}),
        ("hybrid_cascade", {"block": "dence"}),
        ("hybrid_cascade", {"recursions": 0}),
        ("iterative_back_projection", {"steps": 0}),
        ("igan_srcp", {"num_blocks": 0}),
        ("neighbor_embedding", {"num_neighbors": 0}),
        ("neighbor_embedding", {"ridge": 0.0}),
        ("neighbor_embedding", {"back_projections": -1}),
        ("recursive_cascade", {"recursions": 0}),
        ("recursive_cascade", {"scales": (4, 2)}),
        ("recursive_cascade", {"scales": (2, 3)}),
        ("rfb_rrdbnet", {"num_rfb_blocks": -1}),
        ("rrdbnet", {"num_blocks": 0}),
        ("sparse_coding", {"num_atoms": 0}),
        ("sparse_coding", {"sparsity": 0.0}),
        ("srcnn", {"kernel_sizes": (9, 2, 5)}),
        ("srcnn", {"kernel_sizes": (9, 5)}),
        ("srcnn", {"filters": (64, 0)}),
        ("srresnet", {"num_blocks": 0}),
        ("srresnet", {"kernel_size": 8}),
        ("subpixel_residual", {"num_layers": 0}),
        ("two_step", {"first": {}}),
        ("two_step", {"second": {"name": "srcnn"}}),
        ("vdsr", {"num_layers": 1}),
        ("vdsr", {"channels": 0}),
    ],
)
def test_size_that_makes_no_network_is_refused(name, option):
    with pytest.raises(OptionError, match=next(iter(option))):
        create_generator(name, **option)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # Lim et al., 2017, table 1 counts in millions: 1.5 and 43; see also SwinIR, table 2.
        ("edsr", {}, 1_517_571),
        ("edsr", {"channels": 256, "num_blocks": 32, "residual_scale": 0.1}, 43_089_923),
        # Wang et al., 2018, give 16.7 million.
        ("rrdbnet", {}, 16_697_987),
        # Dong et al., 2014, section 4.3 counts weights without biases, for luma alone.
        ("srcnn", {"in_channels": 1}, 8_032 + 97),
        ("srcnn", {"in_channels": 1, "kernel_sizes": (9, 5, 5)}, 57_184 + 97),
        # Kim et al., 2016: 1,774 k in table 1 of Ahn et al. (CARN), 2018, without biases.
        ("drcn", {"in_channels": 1}, 1_774_080 + 1_025 + 16),
        # Kim et al., 2016: 665 k in table 1 of Ahn et al. (CARN), 2018, again without biases.
        ("vdsr", {"in_channels": 1}, 664_704 + 1_217),
    ],
)
def test_parameters_are_as_many_as_published(name, options, count):
    model = create_generator(name, **options)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("options", "count", "halo"),
    [
        ({"num_blocks": 3, "recursions": 2}, 875_617, 35),
        ({"num_blocks": 8, "recursions": 1, "channels": 64, "block": "plain"}, 673_312, 21),
    ],
    ids=["reference", "best"],
)
def test_flagship_sizes_are_as_designed(options, count, halo):
    model = create_generator("hybrid_cascade", **options)
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.halo == halo
    assert model.scales == (2, 4)


def test_fast_size_is_as_designed():
    model = create_generator("compact_residual", in_channels=1)
    assert sum(p.numel() for p in model.parameters()) == 196_196
    assert model.halo == 11
    assert model.scales == (2, 4)


def test_limited_features_stay_within_the_limit_whatever_the_image_is():
    torch.manual_seed(0)
    model = create_generator("compact_residual", in_channels=1, channels=8, limit=0.5)
    largest = []
    for module in model.modules():
        if isinstance(module, torch.nn.Hardtanh):
            module.register_forward_hook(lambda _m, _i, out: largest.append(out.abs().max()))
    model(torch.rand(1, 1, 20, 20).round() * 10)
    assert len(largest) == 2 + 2 * len(model.blocks)
    assert max(largest) == 0.5
    with pytest.raises(OptionError, match="limit: must be positive, got 0"):
        create_generator("compact_residual", limit=0)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["hybrid_cascade", "compact_residual"])
def test_untrained_flagship_interpolates(scale, dims, name):
    model = create_generator(name, spatial_dims=dims, in_channels=1, num_blocks=1)
    lr = torch.rand(1, 1, *(7, 6, 6)[:dims])
    inner = (..., *[slice(2 * scale, -2 * scale)] * dims)
    expected = upsample(lr, scale, range(2, 2 + dims))
    torch.testing.assert_close(model(lr, scale)[inner], expected[inner])

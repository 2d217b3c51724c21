"""Fitted generators: neighbors and codes are the known solutions, and learning pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, upsample
from monai_sr.networks import create_generator, exemplars

SMALL = {
    "neighbor_embedding": {"num_exemplars": 60, "num_neighbors": 6},
    "sparse_coding": {"num_atoms": 60, "sparsity": 0.1},
}
NAMES = pytest.mark.parametrize("name", sorted(SMALL))


def small(name, dtype=torch.float64, **options):
    """Build a generator that knows random patches."""
    model = create_generator(name, **{"in_channels": 1, **SMALL[name], **options}).to(dtype)
    for dictionary in model.state_dict().values():
        dictionary.normal_(std=0.2)
    return model


def smooth(count, side, scale, channels=1):
    """Make images of soft random stripes and what they shrink to, as patches."""
    line = torch.linspace(0, 1, side * scale)
    angle, phase = (torch.rand(count, channels, 1, 1) * 6.3 for _ in range(2))
    place = line[:, None] * angle.cos() + line * angle.sin()
    hr = 0.5 + 0.4 * torch.tanh(6 * torch.sin(14 * place + phase))
    return downsample(hr, scale), hr


@NAMES
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fitted_generator_beats_bicubic_on_its_kind(name, scale):
    model = create_generator(name, scale=scale, in_channels=1, **SMALL[name])
    model.fit(*smooth(40, 16, scale))
    lr, hr = smooth(8, 24, scale)
    inner = (..., slice(4, -4), slice(4, -4))
    error, bicubic = ((x - hr)[inner].square().mean() for x in (model(lr), upsample(lr, scale)))
    assert error < 0.7 * bicubic


@NAMES
def test_same_patches_give_the_same_dictionaries_whatever_the_global_seed(name):
    pairs = smooth(12, 14, 2)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        model = create_generator(name, scale=2, in_channels=1, **SMALL[name])
        model.fit(*pairs)
        states.append(model.state_dict())
    for key, value in states[0].items():
        assert value.isfinite().all()
        assert value.any()
        assert torch.equal(value, states[1][key])


@NAMES
def test_empty_dictionaries_interpolate(name):
    model = create_generator(name, scale=2, back_projections=0, **SMALL[name])
    lr = torch.rand(1, 3, 9, 8)
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(model(lr)[inner], upsample(lr, 2)[inner])


@NAMES
def test_color_gets_the_detail_of_its_luma_in_every_channel(name):
    model = small(name, in_channels=3)
    lr = torch.rand(1, 3, 9, 8, dtype=torch.float64)
    detail = model(lr) - model.interpolate(lr)
    torch.testing.assert_close(detail, detail[:, :1].expand(-1, 3, -1, -1))
    luma = (lr * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    grey = model(luma) - model.interpolate(luma)
    torch.testing.assert_close(detail[:, :1], grey, rtol=1e-4, atol=1e-6)


@NAMES
def test_other_images_are_enlarged_band_by_band(name):
    model = small(name, in_channels=2)
    lr = torch.rand(2, 2, 9, 8, dtype=torch.float64)
    for band in range(2):
        torch.testing.assert_close(model(lr)[:, band : band + 1], model(lr[:, band : band + 1]))


@NAMES
@pytest.mark.parametrize("back_projections", [0, 1, 2])
def test_pixel_beyond_the_halo_changes_nothing_and_one_within_does(name, back_projections):
    # Neighbors and atoms are chosen, so a gradient alone would not tell of every dependence.
    model = small(name, scale=2, back_projections=back_projections)
    halo = model.halo
    lr = torch.rand(1, 1, 2 * halo + 4, 7, dtype=torch.float64)
    changed = lr.clone()
    changed[:, :, 0] = 1 - changed[:, :, 0]
    differs = (model(lr) != model(changed)).flatten(0, 1).any(dim=(0, 2)).nonzero().max() // 2
    assert differs == halo


@NAMES
def test_strips_of_rows_equal_the_whole(name):
    model, lr = small(name), torch.rand(2, 1, 13, 6, dtype=torch.float64)
    whole = model(lr)
    model.positions = 3 * 2 * (6 + 2)
    torch.testing.assert_close(model(lr), whole, rtol=1e-10, atol=1e-10)


@NAMES
def test_back_projection_makes_the_result_shrink_to_its_input(name):
    lr = torch.rand(1, 1, 16, 15, dtype=torch.float64)
    errors = []
    for steps in (0, 1, 4):
        torch.manual_seed(0)
        model = small(name, back_projections=steps)
        inner = (..., slice(4, -4), slice(4, -4))
        errors.append(float((downsample(model(lr), 4) - lr)[inner].square().mean()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


@NAMES
def test_flat_image_stays_flat(name):
    result = small(name)(torch.full((1, 1, 8, 8), 0.3, dtype=torch.float64))
    torch.testing.assert_close(result, torch.full_like(result, 0.3), rtol=0, atol=1e-5)


@NAMES
def test_half_precision_image_is_computed_in_single(name):
    model = small(name, torch.float32)
    lr = torch.rand(1, 1, 8, 8).half()
    assert torch.equal(model(lr), model(lr.float()).half())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(lr.float()), model(lr.float()))


def test_weights_of_neighbors_solve_the_regularized_local_problem():
    model = small("neighbor_embedding")
    offset = torch.randn(4, 6, exemplars.FEATURES, dtype=torch.float64)
    weights = model._weights(offset)[..., 0]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4, dtype=torch.float64))
    for z, w in zip(offset.numpy(), weights.numpy(), strict=True):
        # Lagrange's conditions of: least w'(G + r)w with a sum of one.
        gram = z @ z.T
        gram += np.eye(6) * (model.ridge * np.trace(gram) / 6 + 1e-6)
        system = np.block([[gram, np.ones((6, 1))], [np.ones((1, 6)), np.zeros((1, 1))]])
        np.testing.assert_allclose(w, np.linalg.solve(system, [0] * 6 + [1])[:6], rtol=1e-8)


def test_neighbor_and_its_negative_give_opposite_detail():
    model = small("neighbor_embedding")
    described = torch.randn(5, exemplars.FEATURES, dtype=torch.float64)
    described /= described.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model._answer(-described), -model._answer(described))


def test_patch_that_is_an_exemplar_gets_its_detail():
    model = small("neighbor_embedding", ridge=1e-9)
    patches = model.lr_patches
    patches /= patches.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model._answer(patches), model.hr_patches, rtol=1e-3, atol=1e-4)


def test_codes_are_those_of_the_lasso():
    model = small("sparse_coding", steps=2000, sparsity=0.2)
    atoms = model.lr_patches
    described = torch.randn(5, exemplars.FEATURES, dtype=torch.float64)
    described /= described.norm(dim=1, keepdim=True)
    curvature = torch.linalg.matrix_norm(atoms, 2) ** 2
    codes = model._codes(described, atoms, curvature)
    # scikit-learn divides the squared error by the number of values.
    lasso = Lasso(0.2 / exemplars.FEATURES, fit_intercept=False, tol=1e-10, max_iter=100_000)
    for x, a in zip(described.numpy(), codes.numpy(), strict=True):
        expected = lasso.fit(atoms.numpy().T, x).coef_
        np.testing.assert_allclose(a, expected, atol=1e-5)
        assert 0 < (a != 0).sum() < 30


@NAMES
@pytest.mark.parametrize(
    ("pairs", "remedy"),
    [
        ((torch.rand(9, 1, 6, 6), torch.rand(9, 1, 12, 12)), "7 pixels wide or more"),
        ((torch.rand(9, 1, 9, 9), torch.rand(9, 1, 27, 27)), "set patch_size and scales"),
        ((torch.rand(9, 3, 9, 9), torch.rand(9, 3, 18, 18)), "of 1 channels"),
        ((torch.rand(2, 1, 8, 8), torch.rand(2, 1, 16, 16)), "got 8; draw more"),
        ((torch.ones(99, 1, 9, 9), torch.ones(99, 1, 18, 18)), "got 0; draw more"),
    ],
)
def test_patches_that_do_not_fit_are_refused(name, pairs, remedy):
    model = create_generator(name, scale=2, in_channels=1, **SMALL[name])
    with pytest.raises(OptionError, match=remedy):
        model.fit(*pairs)


def test_other_generators_cannot_be_fitted():
    with pytest.raises(OptionError, match="learns by gradient descent"):
        create_generator("srcnn").fit(*smooth(1, 9, 4))

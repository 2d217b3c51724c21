"""Images in memory are taken as they are meant, or it is said how they are taken."""

import warnings

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flip, Resize

from monai_sr import SuperResolver
from monai_sr.core.errors import BadImageError
from monai_sr.inferers import TiledInferer
from tests.network_factory import tiny


@pytest.fixture(scope="module")
def resolver():
    return SuperResolver(tiny(), TiledInferer(2))


def image():
    values = np.random.default_rng(0).random((1, 12, 14), dtype=np.float32)
    return MetaTensor(torch.from_numpy(values), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))


@pytest.mark.filterwarnings("ignore:.*beta state", "ignore:.*prototype stage")
@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to_sparse(),
        lambda x: x.to_sparse_csr(),
        lambda x: x.to_mkldnn(),
        lambda x: x.to("meta"),
        lambda x: MetaTensor(x.to("meta")),
        lambda x: x.to(torch.float8_e4m3fn),
        lambda x: torch.nested.nested_tensor([x, x]),
    ],
    ids=["sparse", "csr", "mkldnn", "meta", "MetaTensor", "float8", "nested"],
)
def test_tensors_without_dense_values_are_refused(resolver, make):
    with pytest.raises(BadImageError, match="must be a dense tensor that holds its values"):
        resolver(make(torch.rand(1, 12, 14)))


@pytest.mark.parametrize("transform", [Flip(spatial_axis=0), Resize((6, 7))])
def test_what_lazy_transforms_have_left_to_do_is_done(resolver, transform):
    given = image()
    expected = resolver(Compose([transform], lazy=True)(given))
    transform.lazy = True
    waiting = transform(given)
    result = resolver(waiting)
    assert torch.equal(result.as_tensor(), expected.as_tensor())
    assert torch.equal(result.affine, expected.affine)
    assert not result.pending_operations
    assert len(waiting.pending_operations) == 1
    assert waiting.shape == (1, 12, 14)


@pytest.mark.parametrize(
    ("shape", "order"),
    [((8, 9, 3), (2, 0, 1)), ((8, 9, 1), (2, 0, 1)), ((2, 8, 9, 4), (0, 3, 1, 2))],
)
def test_an_image_with_channels_last_is_said_to_be_taken_otherwise(resolver, shape, order):
    given = np.zeros(shape, np.float32)
    with pytest.warns(UserWarning, match="is taken as . channels of 9 x .; if") as caught:
        resolver(given)
    assert str(order) in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolver(given.transpose(order))


@pytest.mark.parametrize("shape", [(3, 8, 3), (4, 4, 3), (3, 3, 3), (8, 9, 5), (2, 3, 8, 3)])
def test_narrow_images_are_taken_in_silence(resolver, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolver(np.zeros(shape, np.float32))


def test_an_image_that_is_part_of_a_computation_is_taken_without_a_warning(resolver):
    given = image().as_tensor()
    expected = resolver(given)
    torch.set_warn_always(True)  # else the first in a process alone is heard
    try:
        found = resolver(given.clone().requires_grad_())
    finally:
        torch.set_warn_always(False)
    assert torch.equal(found, expected)
    assert not found.requires_grad

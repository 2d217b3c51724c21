"""The Python interface keeps layout, type and geometry, and refuses what would come out wrong."""

from __future__ import annotations

import hashlib

import numpy as np
import pydicom
import pytest
import rasterio
import torch
from monai.data import MetaTensor
from monai.data.utils import list_data_collate
from monai.transforms import LoadImage

from monai_sr import SuperResolver
from monai_sr.core.errors import BadImageError, OptionError, WeightsError
from monai_sr.geometry.target_grid import scaled_affine
from monai_sr.inferers import TiledInferer
from monai_sr.networks import create_generator
from monai_sr.upscaling.workflow import SRWorkflow
from tests import dicom_factory
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster
from tests.network_factory import tiny, tiny_bundle

AFFINE = np.array([[0, -2, 0, 7], [3, 0, 0, -4], [0, 0, 5, 1], [0, 0, 0, 1]], dtype=np.float64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def resolver(bundle):
    return SuperResolver.from_bundle(bundle, device="cpu")


def plain(in_channels=1, scale=4, consistency=2):
    return SuperResolver(tiny(in_channels), TiledInferer(scale, consistency=consistency))


def image(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 7, 5), (4, 5, 7), (2, 3, 5, 7), (1, 1, 1)])
def test_arrays_come_back_as_arrays_of_the_same_layout(shape):
    result = plain()(image(*shape))
    assert type(result) is np.ndarray
    assert result.dtype == np.float32
    assert result.shape == (*shape[:-2], 4 * shape[-2], 4 * shape[-1])
    assert result.min() >= 0
    assert result.max() <= 1


def test_arrays_and_tensors_give_the_same():
    array = image(3, 9, 6)
    result = plain()(torch.from_numpy(array))
    assert type(result) is torch.Tensor
    assert np.array_equal(result.numpy(), plain()(array))


def test_nothing_is_transposed_or_turned():
    marked = np.zeros((1, 6, 9), np.float32)
    marked[0, 1, 7] = 1
    nearest = SuperResolver(create_generator("nearest", in_channels=1), TiledInferer(consistency=0))
    assert np.array_equal(nearest(marked), marked.repeat(4, 1).repeat(4, 2))


def test_an_image_of_a_batch_is_enlarged_as_it_is_alone():
    batch, resolve = image(3, 1, 6, 9), plain()
    alone = np.stack([resolve(one) for one in batch])
    np.testing.assert_allclose(resolve(batch), alone, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", np.longdouble])
def test_other_floats_give_float32(dtype):
    array = image(1, 6, 9)
    result = plain()(array.astype(dtype))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, plain()(array), atol=5e-3)
    assert plain()(torch.from_numpy(array).double()).dtype == torch.float32


def test_views_and_read_only_arrays_are_taken_as_they_are():
    array = image(1, 6, 9)
    expected = plain()(array)
    turned = np.ascontiguousarray(array[:, ::-1])[:, ::-1]
    array.setflags(write=False)
    assert np.array_equal(plain()(array), expected)
    assert np.array_equal(plain()(turned), expected)
    assert np.array_equal(plain()(np.asfortranarray(array)), expected)


def test_the_input_stays_as_it_was():
    array = image(1, 6, 9)
    before = array.copy()
    plain()(array)
    assert np.array_equal(array, before)


def test_a_meta_tensor_in_a_plane_moves_its_geometry():
    source = MetaTensor(torch.from_numpy(image(1, 6, 9)), affine=AFFINE)
    result = plain()(source)
    assert isinstance(result, MetaTensor)
    assert result.shape == (1, 24, 36)
    assert np.allclose(result.affine, scaled_affine(AFFINE, (4, 4)))
    assert np.allclose(source.affine, AFFINE)
    assert np.array_equal(result.numpy(), plain()(source.numpy()))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_meta_tensor_of_rank_3_is_a_volume_and_not_a_batch(axis):
    meta = {"sr_slice_axis": axis}
    source = MetaTensor(torch.from_numpy(image(1, 6, 9, 5)), affine=AFFINE, meta=meta)
    factors = [1 if a == axis else 4 for a in range(3)]
    result = plain()(source)
    assert result.shape == (1, *(f * s for f, s in zip(factors, (6, 9, 5), strict=True)))
    assert np.allclose(result.affine, scaled_affine(AFFINE, factors))


def test_a_batch_of_meta_tensors_is_no_volume():
    samples = [{"image": MetaTensor(torch.from_numpy(image(1, 6, 9, seed=s)))} for s in (1, 2)]
    batch = list_data_collate(samples)["image"]
    result = plain()(batch)
    assert result.shape == (2, 1, 24, 36)
    np.testing.assert_allclose(result[1].numpy(), plain()(image(1, 6, 9, seed=2)), atol=1e-6)


@pytest.mark.parametrize("sizes", [np.array([6, 9]), (6, 9), torch.tensor([8, 9])])
@pytest.mark.parametrize("join", [lambda one: one[None], lambda one: torch.stack([one, one])])
def test_planes_that_are_no_collated_batch_are_no_volume(join, sizes):
    source = MetaTensor(torch.from_numpy(image(1, 6, 9)), meta={"spatial_shape": sizes})
    joined = join(source)
    with pytest.raises(BadImageError, match=r"got \([12], 1, 6, 9\).*image\.is_batch = True"):
        plain()(joined)
    joined.is_batch = True
    np.testing.assert_allclose(plain()(joined)[0].numpy(), plain()(image(1, 6, 9)), atol=1e-6)


def test_a_batch_of_volumes_is_enlarged_slice_by_slice():
    samples = [{"image": MetaTensor(torch.from_numpy(image(1, 6, 9, 3, seed=s)))} for s in (1, 2)]
    result = plain()(list_data_collate(samples)["image"])
    assert result.shape == (2, 1, 24, 36, 3)
    alone = plain()(samples[1]["image"])
    np.testing.assert_allclose(result[1].numpy(), alone.numpy(), atol=1e-6)


def test_an_image_loaded_by_monai_keeps_its_place_in_the_world(tmp_path):
    path = write_nifti(tmp_path / "a.nii", affine=np.diag([0.9, 0.8, 5, 1]))
    volume = LoadImage(ensure_channel_first=True)(path)
    volume = (volume - volume.min()) / (volume.max() - volume.min())
    result = plain()(volume)
    assert result.shape == (1, 28, 20, 3)
    assert np.allclose(result.affine, scaled_affine(np.asarray(volume.affine), (4, 4)))
    one = plain()(volume[..., 1])
    assert np.allclose(one.numpy(), result[..., 1].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((5, 7), np.float32), r"must be \(C, H, W\).*got \(5, 7\)"),
        (np.zeros((1, 1, 1, 5, 7), np.float32), "must be"),
        (np.zeros((1, 0, 7), np.float32), r"got \(1, 0, 7\)"),
        (np.zeros((1, 5, 7), np.uint8), "floating point in .*got uint8; divide"),
        (np.zeros((1, 5, 7), bool), "floating point"),
        (np.zeros((1, 5, 7), complex), "floating point"),
        (torch.zeros(1, 5, 7, dtype=torch.int16), "floating point"),
        (np.full((1, 5, 7), np.nan, np.float32), "NaN or infinite"),
        (np.full((1, 5, 7), np.inf, np.float32), "NaN or infinite"),
        (np.full((1, 5, 7), 1e300), "NaN or infinite"),
        (np.full((1, 5, 7), 255.0), r"values must lie in \[0, 1\], got 255 to 255"),
        (np.full((1, 5, 7), -1000.0), "map them first"),
        (np.ma.masked_equal(np.eye(5)[None], 1), "masked values; fill them first"),
        ([[0.5]], "got a list"),
        (None, "got a NoneType"),
    ],
)
def test_what_would_come_out_wrong_is_refused(given, words):
    with pytest.raises(BadImageError, match=words):
        plain()(given)


def test_a_little_overshoot_is_clipped():
    result = plain()(np.array([[[-0.1, 1.1], [0.5, 0.5]]], np.float32))
    assert result.min() >= 0
    assert result.max() <= 1


def test_paths_need_a_bundle(tmp_path):
    with pytest.raises(OptionError, match="from_bundle"):
        plain()(tmp_path / "a.png")


def test_a_bundle_fills_every_attribute(resolver, bundle):
    assert (resolver.scale, resolver.in_channels) == (4, 3)
    assert resolver.device == torch.device("cpu")
    model = (bundle / "models" / "model.pt").read_bytes()
    assert resolver.weights_sha256 == hashlib.sha256(model).hexdigest()
    assert not resolver.network.training


def test_scale_and_steps_are_chosen(bundle):
    fast = SuperResolver.from_bundle(bundle, scale=2, consistency=0, device="cpu")
    array = image(3, 6, 9)
    with torch.no_grad():
        expected = fast.network(torch.from_numpy(array)[None], 2)[0].clamp(0, 1)
    np.testing.assert_allclose(fast(array), expected.numpy(), atol=1e-6)


def test_other_weights_are_loaded(bundle, tmp_path):
    torch.save(tiny(3, seed=9).state_dict(), tmp_path / "other.pt")
    other = SuperResolver.from_bundle(bundle, weights=tmp_path / "other.pt", device="cpu")
    expected = SuperResolver(tiny(3, seed=9), TiledInferer(4))(image(3, 6, 9))
    np.testing.assert_allclose(other(image(3, 6, 9)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"scale": 5}, OptionError, "trained for 2 and 4, got 5"),
        ({"consistency": -1}, OptionError, "consistency"),
        ({"tile_size": 0}, OptionError, "tile_size"),
        ({"range": [5, 1]}, OptionError, "two rising numbers"),
        ({"scal": 2}, OptionError, "scal"),
        ({"robust": "false"}, OptionError, "robust: must be auto or True or False, got 'false'"),
        ({"uncertainty": "no"}, OptionError, "uncertainty: must be True or False"),
        ({"device": "gpu"}, OptionError, "device"),
        ({"weights": "none.pt"}, WeightsError, "does not exist"),
        ({"network_def#block": "dense"}, WeightsError, "another network"),
    ],
)
def test_wrong_options_are_our_own_errors(bundle, options, error, words):
    with pytest.raises(error, match=words):
        SuperResolver.from_bundle(bundle, **options)


def test_an_unknown_bundle_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean 'natural_sr'"):
        SuperResolver.from_bundle("natural")


def files_of_every_kind(folder):
    array = pixels((3, 6, 9), "uint16")
    array[:, 2, 3] = 7
    return {
        "raster": write_raster(
            folder / "a.tif", array, crs="EPSG:32633", transform=NORTH_UP, nodata=7
        ),
        "dicom": dicom_factory.write(folder / "b.dcm", modality="DX", photometric="MONOCHROME1"),
        "series": dicom_factory.write_series(folder / "series"),
    }


def test_a_path_gives_the_stored_values_that_the_command_writes(resolver, bundle, tmp_path):
    for kind, path in files_of_every_kind(tmp_path).items():
        out = tmp_path / "out" / kind
        workflow = SRWorkflow(bundle, input=str(path), output_dir=str(out), device="cpu")
        for step in (workflow.initialize, workflow.run, workflow.finalize):
            step()
        result = resolver(path)
        if kind == "raster":
            with rasterio.open(out / "a_x4.tif") as dataset:
                written = dataset.read().transpose(0, 2, 1)
        elif kind == "dicom":
            written = pydicom.dcmread(out / "b_x4.dcm").pixel_array.T[None]
        else:
            slices = sorted((out / "series_x4").iterdir())
            written = np.stack([pydicom.dcmread(s).pixel_array for s in slices])
            written = written.transpose(2, 1, 0)[None]
        assert np.array_equal(result.numpy(), written), kind
        assert result.meta["sr_scale"] == 4
        assert result.meta["sr_lr_psnr"] > 20


@pytest.mark.parametrize("as_text", [True, False])
def test_paths_may_be_text_or_path_objects(resolver, tmp_path, as_text):
    path = write_raster(tmp_path / "a.png", pixels((3, 6, 9)))
    result = resolver(str(path) if as_text else path)
    assert result.shape == (3, 36, 24)
    assert float(result.max()) > 1


@pytest.mark.parametrize("name", ["a#b", "a::b", "a b", "$a", "@a", "%a"])
def test_names_that_mean_something_to_monai_are_names(tmp_path, name):
    """MONAI's configurations read "#", "::", "$", "@" and "%" in strings as their own signs."""
    folder = tmp_path / name
    folder.mkdir()
    bundle = tiny_bundle(folder)
    source = write_raster(folder / f"{name}.png", pixels((3, 6, 9)))
    assert SuperResolver.from_bundle(bundle, device="cpu")(source).shape == (3, 36, 24)
    workflow = SRWorkflow(
        bundle, input=str(source), output_dir=str(folder / "out"), device="cpu", scale=2
    )
    workflow.initialize()
    workflow.run()
    assert (folder / "out" / f"{name}_x2.png").is_file()


@pytest.mark.parametrize(
    "options",
    [
        {"device": "$__import__('os').abort()"},
        {"precision": "@runtime"},
        {"weights": "%LICENSE"},
        {"range": [0, "$__import__('os').abort()"]},
        {"inferer": {"_target_": "os.abort"}},
        {"inferer#_target_": "os.abort"},
    ],
)
def test_values_that_a_configuration_would_obey_are_refused(bundle, options):
    with pytest.raises(OptionError, match=r"must not begin with|names what is called"):
        SuperResolver.from_bundle(bundle, **options)


@pytest.mark.parametrize("value", ["$__import__('os').abort()", ["@device"], {"a": "%LICENSE"}])
def test_workflows_refuse_such_values_too(bundle, value):
    with pytest.raises(OptionError, match="device: must not begin with"):
        SRWorkflow(bundle, device=value)


def test_a_missing_path_is_named(resolver):
    with pytest.raises(BadImageError, match=r"nowhere\.png"):
        resolver("nowhere.png")


def test_a_range_of_padding_is_padding_in_memory_too(tmp_path, resolver):
    """No value is invented for what the scanner did not see; one of the range stands for all."""
    stored = dicom_factory.stored((12, 10)) // 2 + 500
    stored[:4], stored[:2] = 50, 0
    path = dicom_factory.write(
        tmp_path / "a.dcm", stored, PixelPaddingValue=0, PixelPaddingRangeLimit=50
    )
    result = resolver(path).numpy()
    is_padding = np.kron(stored <= 50, np.ones((4, 4), bool)).T
    assert ((result[0] == 0) == is_padding).all()

"""Tiled inference equals whole-image inference, whatever the sizes, ranks and bands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.data.utils import decollate_batch, list_data_collate
from monai.transforms import Orientation

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import downsample, resize_to
from monai_sr.geometry.target_grid import scaled_affine
from monai_sr.inferers import TiledInferer
from monai_sr.inferers.batch_meta import enlarged_meta
from monai_sr.networks import create_generator
from monai_sr.networks.registry import GENERATORS, GeneratorInfo
from monai_sr.transforms import ScaleToUnitd, load_image
from tests.network_factory import tiny

WHOLE = 10_000
AFFINE = np.array([[0, -2, 0, 7], [3, 0, 0, -4], [0, 0, 5, 1], [0, 0, 0, 1]], dtype=np.float64)


def enlarge(image, network, tile_size=WHOLE, **options):
    return TiledInferer(tile_size=tile_size, **options)(image, network)


def differing(first, second, bits):
    """Count stored integers that differ, apart from ties within the rounding error of float32."""
    levels = 2**bits - 1
    a, b = (x.double() * levels for x in (first, second))
    is_tie = ((a % 1) - 0.5).abs() < 2e-6 * levels
    assert float((a.round() - b.round()).abs().max()) <= 1
    return int(((a.round() != b.round()) & ~is_tie).sum())


def assert_tiles_equal_whole(image, network, tile_size, **options):
    whole = enlarge(image, network, **options)
    tiled = enlarge(image, network, tile_size, **options)
    assert tiled.shape == whole.shape
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)
    assert differing(tiled, whole, 8) == 0
    assert differing(tiled, whole, 16) == 0


@pytest.mark.parametrize("consistency", [0, 1, 2, 3])
@pytest.mark.parametrize("sizes", [(61, 47), (48, 17)])
def test_tiles_equal_the_whole_for_sizes_that_do_not_divide(sizes, consistency):
    image = torch.rand(1, 1, *sizes)
    assert_tiles_equal_whole(image, tiny(), 16, consistency=consistency)


@pytest.mark.parametrize("name", ["edsr", "srcnn", "bicubic", "bilinear", "nearest"])
def test_tiles_equal_the_whole_for_every_family(name):
    options = {"edsr": {"channels": 4, "num_blocks": 1}, "srcnn": {"filters": (4, 3)}}
    network = create_generator(name, in_channels=3, **options.get(name, {})).eval()
    assert_tiles_equal_whole(torch.rand(1, 3, 37, 29), network, 8)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 9), (9, 1), (2, 3), (40, 1)])
@pytest.mark.parametrize("scale", [2, 4])
def test_tiny_images_come_out_whole_and_finite(sizes, scale):
    image = torch.rand(1, 1, *sizes)
    result = enlarge(image, tiny(), scale=scale)
    assert result.shape == (1, 1, *(scale * s for s in sizes))
    assert torch.isfinite(result).all()
    assert_tiles_equal_whole(image, tiny(), 1 if max(sizes) < 9 else 4, scale=scale)


def test_a_3d_generator_takes_volumes_in_tiles():
    network = tiny(spatial_dims=3, scale=2, channels=4)
    image = torch.rand(1, 1, 21, 13, 11)
    assert_tiles_equal_whole(image, network, 8, consistency=1)
    assert enlarge(image, network, consistency=0).shape == (1, 1, 42, 26, 22)


def test_consistency_of_a_3d_generator_holds_along_all_axes():
    network = tiny(spatial_dims=3, scale=2, channels=4)
    image = torch.rand(1, 1, 10, 9, 8) * 0.5 + 0.25
    errors = []
    for steps in range(3):
        result = enlarge(image, network, consistency=steps, clip=None)
        errors.append(float((downsample(result, 2, (2, 3, 4)) - image).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 5


@pytest.mark.parametrize("sizes", [(42, 26, 44), (17, 26, 11), (30, 13, 33)])
def test_tiles_equal_the_whole_in_3d_for_sizes_that_are_no_multiples(sizes):
    network = tiny(spatial_dims=3, scale=2, channels=4)
    meta = {"affine": AFFINE, "sr_sizes": np.array(sizes)}
    image = MetaTensor(torch.rand(1, 1, 15, 13, 11), meta=meta)
    assert_tiles_equal_whole(image, network, 8, consistency=1)
    result = enlarge(image, network, 8)
    assert result.shape[2:] == sizes
    factors = [b / a for a, b in zip((15, 13, 11), sizes, strict=True)]
    assert np.allclose(np.asarray(result.meta["affine"]), scaled_affine(AFFINE, factors))
    assert "sr_sizes" not in result.meta


def test_a_3d_generator_doubles_twice_only_while_an_axis_lacks():
    network = tiny(spatial_dims=3, scale=2, channels=4)
    image = torch.rand(1, 1, 6, 5, 4)
    once = enlarge(image, network)
    assert torch.equal(enlarge(image, network, scale=4), enlarge(once, network))
    # Axes that have arrived after the first pass are resampled before the second.
    thick = MetaTensor(image, meta={"affine": AFFINE, "sr_sizes": np.array([6, 5, 16])})
    between = resize_to(once, (6, 5), (2, 3)).clamp(0, 1)
    expected = resize_to(enlarge(between, network), (6, 5), (2, 3)).clamp(0, 1)
    assert torch.equal(enlarge(thick, network).as_tensor(), expected)


@pytest.mark.parametrize("scale", [1.3, 2.5, 3, 3.9])
def test_any_scale_is_the_next_trained_one_resampled_by_area(scale):
    network, image = tiny(), torch.rand(1, 1, 20, 13)
    result = enlarge(image, network, 8, scale=scale)
    sizes = [int(20 * scale + 0.5), int(13 * scale + 0.5)]
    trained = 2 if scale < 2 else 4
    expected = resize_to(enlarge(image, network, scale=trained), sizes).clamp(0, 1)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_a_volume_is_enlarged_as_its_slices_are_alone(slice_axis):
    network, volume = tiny(), torch.rand(1, 1, 9, 7, 5)
    image = MetaTensor(volume, meta={"affine": AFFINE, "sr_slice_axis": slice_axis})
    result = enlarge(image, network, 4)
    for index in range(volume.shape[2 + slice_axis]):
        alone = enlarge(volume.select(2 + slice_axis, index), network)
        got = result.as_tensor().select(2 + slice_axis, index)
        torch.testing.assert_close(got, alone, rtol=0, atol=1e-5)
    factors = [1 if axis == slice_axis else 4 for axis in range(3)]
    assert np.allclose(np.asarray(result.meta["affine"]), scaled_affine(AFFINE, factors))


@pytest.mark.parametrize(("codes", "axis"), [("RAS", 2), ("LPS", 2), ("SAR", 0), ("ASR", 1)])
def test_slices_of_a_turned_volume_are_still_its_slices(codes, axis):
    """The geometry is MONAI's: ``Orientation`` turns, ``original_affine`` is the file's."""
    thick = np.diag([1.0, 1.5, 3.0, 1.0])
    meta = {"affine": thick, "original_affine": thick, "sr_slice_axis": 2}
    image = Orientation(codes, labels=None)(MetaTensor(torch.rand(1, 9, 7, 5), meta=meta))
    result = enlarge(image[None], tiny())
    assert result.shape[2 + axis] == image.shape[1 + axis] == 5
    assert sorted(result.shape[2:]) == [5, 28, 36]
    sizes = np.linalg.norm(np.asarray(result.meta["affine"])[:3, :3], axis=0)
    assert sizes.argmax() == axis
    assert np.allclose(np.sort(sizes), [0.25, 0.375, 3])


def test_slices_lie_on_the_last_axis_where_nothing_says_otherwise():
    assert enlarge(torch.rand(1, 1, 6, 5, 3), tiny()).shape == (1, 1, 24, 20, 3)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
def test_a_grey_generator_takes_every_band_alone(bands):
    network, image = tiny(1), torch.rand(1, bands, 11, 8)
    result = enlarge(image, network)
    alone = torch.cat([enlarge(image[:, b : b + 1], network) for b in range(bands)], dim=1)
    assert torch.equal(result, alone)


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
def test_a_color_generator_takes_single_bands_as_grey(bands):
    network, image = tiny(3), torch.rand(1, bands, 11, 8)
    result = enlarge(image, network)
    assert result.shape == (1, bands, 44, 32)
    together = 3 if bands == 4 else 0
    for b in range(together, bands):
        grey = enlarge(image[:, b : b + 1].repeat(1, 3, 1, 1), network).mean(1, keepdim=True)
        torch.testing.assert_close(result[:, b : b + 1], grey, rtol=0, atol=1e-6)
    if together:
        assert torch.equal(result[:, :3], enlarge(image[:, :3], network))


@pytest.mark.parametrize(("bands", "declared", "together"), [(3, 0, 0), (3, 1, 3), (5, 1, 3),
                                                             (4, 0, 0), (1, 1, 0)])  # fmt: skip
def test_colors_stay_together_where_the_file_declares_them(bands, declared, together):
    network, values = tiny(3), torch.rand(1, bands, 9, 8)
    result = enlarge(MetaTensor(values, meta={"sr_rgb": declared}), network).as_tensor()
    if together:
        assert torch.equal(result[:, :3], enlarge(values[:, :3], network))
    for b in range(together, bands):
        grey = enlarge(values[:, b : b + 1], network)
        torch.testing.assert_close(result[:, b : b + 1], grey, rtol=0, atol=1e-6)


def test_bands_keep_their_order_and_their_place():
    image = torch.zeros(1, 4, 6, 9)
    image[0, 3, 1, 7] = 1
    result = enlarge(image, create_generator("nearest", in_channels=3), consistency=0)
    expected = torch.zeros(1, 4, 24, 36)
    expected[0, 3, 4:8, 28:32] = 1
    assert torch.equal(result, expected)


def test_an_image_of_a_batch_does_not_depend_on_the_others():
    network, batch = tiny(), torch.rand(3, 1, 9, 14)
    together = enlarge(batch, network)
    alone = torch.cat([enlarge(image[None], network) for image in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_scale_2_of_an_x4_model_is_its_early_exit():
    network, image = tiny(scale=4), torch.rand(1, 1, 10, 7)
    with torch.no_grad():
        expected = network(image, 2).clamp(0, 1)
    result = enlarge(image, network, scale=2, consistency=0)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_consistency_brings_the_result_nearer_to_its_input():
    network, image = tiny(), torch.rand(1, 1, 16, 12) * 0.5 + 0.25
    errors = [
        float((downsample(enlarge(image, network, consistency=n), 4) - image).square().mean())
        for n in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 10


def test_values_stay_within_what_the_file_can_store():
    image = MetaTensor(torch.rand(1, 1, 8, 9) * 3 - 1, meta={"sr_clip": np.array([-0.25, 1.5])})
    result = enlarge(image, tiny())
    assert float(result.min()) == -0.25
    assert float(result.max()) == 1.5
    free = enlarge(image.as_tensor(), tiny(), clip=None)
    assert float(free.min()) < -0.25
    plain = enlarge(image.as_tensor(), tiny())
    assert float(plain.min()) == 0
    assert float(plain.max()) == 1


def test_every_image_of_a_batch_keeps_its_own_limits_and_geometry():
    samples = [
        {"image": MetaTensor(torch.rand(1, 6, 5) * 4 - 2, meta={"affine": a, "sr_clip": c})}
        for a, c in (
            (AFFINE, np.array([[-1.0, 2.0]])),
            (np.eye(4), np.array([[0.0, 0.5]])),
        )
    ]
    result = enlarge(list_data_collate(samples)["image"], tiny())
    assert (float(result[0].min()), float(result[0].max())) == (-1, 2)
    assert (float(result[1].min()), float(result[1].max())) == (0, 0.5)
    for matrix, source in zip(result.meta["affine"], (AFFINE, np.eye(4)), strict=True):
        assert np.allclose(np.asarray(matrix), scaled_affine(source, (4, 4)))


def test_batches_with_the_metadata_of_readers_are_taken(samples_dir):
    """MetaTensor's constructor refuses some of a batch's metadata: original_channel_dim twice."""
    loaded = ScaleToUnitd("image")({"image": load_image(samples_dir / "mri_sr/brain_mr.nii.gz")})
    image = loaded["image"][:, :12, :10, :3]
    result = enlarge(list_data_collate([{"image": image}, {"image": 1 - image}])["image"], tiny())
    assert result.is_batch
    parts = decollate_batch(result)
    for part, alone in zip(parts, (image, 1 - image), strict=True):
        assert torch.allclose(part, enlarge(alone[None], tiny())[0], atol=1e-6)
        assert part.meta["sr_files"] == image.meta["sr_files"]
        assert np.allclose(part.affine, scaled_affine(image.affine, (4, 4)))


@pytest.mark.parametrize("key", ["sr_slice_axis", "sr_rgb", "sr_mosaic"])
def test_batches_of_unlike_images_are_refused(key):
    samples = [{"image": MetaTensor(torch.rand(1, 6, 6, 6), meta={key: n})} for n in (1, 2)]
    with pytest.raises(OptionError, match=f"{key}.*use batch_size 1"):
        enlarge(list_data_collate(samples)["image"], tiny())


def test_geometry_and_scale_are_recorded():
    meta = {"affine": AFFINE, "original_affine": AFFINE, "spatial_shape": np.array([6, 5])}
    image = MetaTensor(torch.rand(1, 1, 6, 5), meta=meta)
    result = enlarge(image, tiny(), scale=2)
    expected = scaled_affine(AFFINE, (2, 2))
    assert np.allclose(np.asarray(result.meta["affine"]), expected)
    assert np.allclose(np.asarray(result.meta["original_affine"]), expected)
    assert np.allclose(np.asarray(result.meta["sr_source_affine"]), AFFINE)
    assert list(result.meta["spatial_shape"]) == [12, 10]
    assert result.meta["sr_scale"] == 2
    assert np.allclose(np.asarray(image.meta["affine"]), AFFINE), "the input was changed"


def test_a_slice_of_a_volume_may_still_carry_the_shape_of_the_volume():
    meta = {"spatial_shape": np.array([6, 5, 30])}
    assert list(enlarged_meta(meta, [4.0, 4.0], 4)["spatial_shape"]) == [24, 20, 30]


def test_affines_of_a_plane_stay_affines_of_a_plane():
    plane = np.array([[2.0, 0, 7], [0, 3, -4], [0, 0, 1]])
    result = np.asarray(enlarged_meta({"affine": plane}, [4.0, 4.0], 4)["affine"])
    full = np.array([[2.0, 0, 0, 7], [0, 3, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert np.allclose(result, scaled_affine(full, (4, 4))[np.ix_([0, 1, 3], [0, 1, 3])])


class _Halving(torch.nn.Module):
    """Averages 2 x 2 blocks and repeats: its grid must not move with the tile."""

    info = GeneratorInfo(paper="", multiple_of=2)
    scale, scales, halo, in_channels, spatial_dims = 2, (2,), 1, 1, 2

    def forward(self, image, scale=None):
        coarse = torch.nn.functional.avg_pool2d(image, 2)
        return torch.nn.functional.interpolate(coarse, scale_factor=4.0, mode="nearest")


def test_a_generator_that_halves_its_grid_finds_it_in_every_tile():
    assert_tiles_equal_whole(torch.rand(1, 1, 23, 18), _Halving(), 7, consistency=1)


def test_a_generator_that_sees_the_whole_image_warns_when_tiled(caplog):
    network = create_generator("nearest", in_channels=1)
    network.info = GeneratorInfo(paper="", is_local=False)
    enlarge(torch.rand(1, 1, 5, 4), network)
    assert not caplog.records
    enlarge(torch.rand(1, 1, 5, 4), network, 2)
    assert "sees the whole image" in caplog.text


def test_lower_precision_stays_close():
    network, image = tiny(), torch.rand(1, 1, 20, 15)
    exact, rough = (enlarge(image, network, dtype=d) for d in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert float((exact - rough).abs().max()) < 0.05
    assert not torch.equal(exact, rough)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"consistency": -1}, "consistency"),
        ({"consistency": 1.5}, "consistency"),
        ({"tile_size": 0}, "tile_size"),
        ({"tile_size": "wide"}, "tile_size"),
        ({"dtype": "int4"}, "precision"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, word):
    with pytest.raises(OptionError, match=word):
        TiledInferer(**options)


@pytest.mark.parametrize("scale", [1, 0.5, 4.5, 8, "two", float("nan"), True])
def test_a_scale_beyond_the_trained_ones_is_refused_with_those_that_were(scale):
    with pytest.raises(OptionError, match=r"trained for 2 and 4, got .*use --scale 4"):
        TiledInferer(scale).check(tiny())


def test_an_infinite_margin_is_no_limit():
    assert TiledInferer(2, overshoot=float("inf")).overshoot is None
    for wrong in (-0.1, float("nan"), "wide"):
        with pytest.raises(OptionError, match=r"overshoot: must be a number >= 0, or inf"):
            TiledInferer(2, overshoot=wrong)


def test_a_foreign_network_is_refused():
    with pytest.raises(OptionError, match="create_generator"):
        TiledInferer()(torch.rand(1, 1, 4, 4), torch.nn.Identity())


def test_a_generator_of_an_odd_number_of_channels_refuses_other_images():
    with pytest.raises(OptionError, match="2 channels for this model, got 3"):
        enlarge(torch.rand(1, 3, 4, 4), tiny(2))
    assert enlarge(torch.rand(1, 2, 4, 4), tiny(2)).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(("dims", "shape"), [(3, (1, 1, 4, 4)), (2, (1, 4, 4))])
def test_a_wrong_rank_is_refused(dims, shape):
    with pytest.raises(OptionError, match="spatial axes"):
        enlarge(torch.rand(shape), tiny(spatial_dims=dims, scale=2, channels=2))


def test_every_registered_family_declares_what_tiling_needs():
    assert all(GENERATORS.get(name).info.multiple_of >= 1 for name in GENERATORS)

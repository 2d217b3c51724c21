"""Laws of enlarged georeferences, against GDAL's own transformers."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine, GCPTransformer, RPCTransformer

from monai_sr.geometry.geotransform import (
    corner_transform,
    has_transform,
    is_georeferenced,
    pixel_affine,
    scaled_gcps,
    scaled_rpcs,
    scaled_transform,
    source_transform,
)
from monai_sr.geometry.target_grid import scaled_affine
from tests.image_factory import NORTH_UP, ROTATED, write_raster

steps = st.floats(-100, 100).filter(lambda value: abs(value) > 1e-3)
origins = st.floats(-1e7, 1e7)
transforms = st.builds(Affine, steps, steps, origins, steps, steps, origins)


def world(transform, column, row):
    a, b, c, d, e, f = transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def rpc_model():
    linear = [0.0] * 20
    one = [1.0, *[0.0] * 19]
    return RPC(
        height_off=0, height_scale=500, lat_off=45, lat_scale=0.5, long_off=7, long_scale=0.5,
        line_off=49.5, line_scale=50, samp_off=39.5, samp_scale=40,
        line_num_coeff=[0, 0, -1, *linear[3:]], line_den_coeff=one,
        samp_num_coeff=[0, 1, 0, *linear[3:]], samp_den_coeff=one,
    )  # fmt: skip


@given(transforms, st.sampled_from([2, 3, 4]))
def test_outer_corners_coincide(transform, scale):
    width, height = 7, 5
    new = scaled_transform(transform, (scale, scale))
    for column, row in ((0, 0), (width, 0), (0, height), (width, height)):
        np.testing.assert_allclose(
            world(new, column * scale, row * scale),
            world(transform, column, row),
            rtol=1e-12,
            atol=1e-6,
        )


@given(transforms)
def test_corner_and_center_conventions_are_inverse(transform):
    back = corner_transform(pixel_affine(transform))
    np.testing.assert_allclose(tuple(back), tuple(transform), rtol=1e-12, atol=1e-6)


@given(transforms, st.sampled_from([2, 4]))
def test_both_conventions_agree_after_scaling(transform, scale):
    by_center = scaled_affine(pixel_affine(transform), (scale, scale))
    by_corner = pixel_affine(scaled_transform(transform, (scale, scale)))
    np.testing.assert_allclose(by_center, by_corner, rtol=1e-12, atol=1e-6)


def test_pixel_center_equals_rasterio_xy():
    matrix = pixel_affine(ROTATED)
    x, y = rasterio.transform.xy(ROTATED, rows=3, cols=2)
    np.testing.assert_allclose(matrix @ [2, 3, 0, 1], [x, y, 0, 1])


def test_identity_means_no_georeference():
    assert not has_transform(Affine.identity())
    assert has_transform(Affine(1, 0, 1e-9, 0, 1, 0))
    assert (pixel_affine(Affine.identity()) == np.eye(4)).all()


def test_crop_starts_at_its_offset():
    new = scaled_transform(NORTH_UP, (2, 2), (3, 4))
    np.testing.assert_allclose(world(new, 0, 0), world(NORTH_UP, 3, 4))


def test_control_points_keep_their_ground():
    points = [
        GroundControlPoint(row=r, col=c, x=500_000 + 30 * c, y=4_600_000 - 30 * r, id=str(i))
        for i, (r, c) in enumerate([(0, 0), (0, 80), (100, 0), (100, 80)])
    ]
    new = scaled_gcps(points, (4, 4))
    assert [p.id for p in new] == [p.id for p in points]
    with GCPTransformer(points) as old_map, GCPTransformer(new) as new_map:
        np.testing.assert_allclose(
            new_map.xy(4 * 50, 4 * 40, offset="ul"), old_map.xy(50, 40, offset="ul")
        )


def test_rpc_keeps_ground_of_outer_edges():
    old, new = rpc_model(), scaled_rpcs(rpc_model(), (4, 4))
    assert (new.samp_off, new.samp_scale) == (159.5, 160)
    with RPCTransformer(old) as old_map, RPCTransformer(new) as new_map:
        for row, col in ((0, 0), (100, 80), (33, 71)):
            np.testing.assert_allclose(
                new_map.xy(4 * row, 4 * col, offset="ul"),
                old_map.xy(row, col, offset="ul"),
                atol=1e-7,
            )


def test_georeference_is_found_by_transform_or_reference_system(tmp_path):
    plain = write_raster(tmp_path / "plain.png")
    placed = write_raster(tmp_path / "placed.tif", transform=NORTH_UP, crs="EPSG:32633")
    with rasterio.open(placed) as dataset:
        assert is_georeferenced(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(plain) as dataset:
            assert not is_georeferenced(dataset)


@pytest.mark.parametrize(
    ("terms", "driver"),
    [
        ((4.6e-310, 0.0, 4.6e-310, 6.9e-310, 5e-324, 6.9e-310), "GTiff"),
        ((float("nan"), 0, 0, 0, 1, 0), "GTiff"),
        ((1, 0, float("inf"), 0, 1, 0), "GTiff"),
        ((2, 4, 0, 1, 2, 0), "GTiff"),
        ((2, 0, 0, 0, 2, 0), "PNM"),
    ],
)
def test_terms_that_are_unset_or_have_no_inverse_are_no_geotransform(terms, driver):
    dataset = SimpleNamespace(transform=Affine(*terms), driver=driver)
    assert not has_transform(source_transform(dataset))


def test_very_small_pixels_have_a_geotransform():
    dataset = SimpleNamespace(transform=Affine(1e-12, 0, 5, 0, -1e-12, 6), driver="GTiff")
    assert source_transform(dataset) == dataset.transform


def test_control_points_move_with_a_crop():
    point = GroundControlPoint(row=7.5, col=4.0, x=100.0, y=200.0)
    (new,) = scaled_gcps([point], (2, 4), (1.5, 0.5))
    assert (new.col, new.row, new.x, new.y) == (5, 28, 100, 200)

"""Volumes from file to file: every option keeps the image's outer edges where they are."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import rasterio
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from monai_sr import SuperResolver
from monai_sr.cli.main import main
from monai_sr.core.bundles import write_weights_sums
from monai_sr.functional.resize import resize_to
from monai_sr.transforms import SaveImageSRd
from monai_sr.upscaling.manifest import Manifest
from tests import dicom_factory
from tests.image_factory import ROTATED, pixels, write_nifti, write_raster
from tests.network_factory import tiny, tiny_bundle

OPTIONS = [
    {"scale": 2},
    {"scale": 4, "slice_axis": 0},
    {"scale": 2.5, "slice_axis": 1},
    {"scale": 2, "spatial_dims": 3},
    {"scale": 3, "spatial_dims": 3},
    {"spacing": 0.31},
    {"spacing": [0.5, None, 1.3]},
    {"spacing": 1.1, "spatial_dims": 3},
]
RESOLVERS = [
    SuperResolver.from_bundle("xray_sr", system="bicubic", device="cpu", **o) for o in OPTIONS
]


@pytest.fixture
def bundle(tmp_path):
    """Make a bundle for volumes with tiny weights."""
    folder = tiny_bundle(tmp_path / "bundles", "xray_sr")
    sizes = {"channels": 24, "num_blocks": 4, "cascade_channels": 8}
    network = tiny(1, 2, spatial_dims=3, **sizes)
    torch.save(network.state_dict(), folder / "models" / "model_3d.pt")
    write_weights_sums(folder)
    return folder


def outer_corners(affine, shape):
    """Locate the corners of the first and last voxels, in world coordinates."""
    ends = [(-0.5, n - 0.5) for n in (*shape[:3], 1, 1)[:3]]
    places = np.array(list(itertools.product(*ends)))
    return places @ affine[:3, :3].T + affine[:3, 3]


def enlarge(resolver, source, target):
    SaveImageSRd("pred", target.parent)({"pred": resolver(source), "output": str(target)})
    return nib.load(target)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    number=st.integers(0, len(OPTIONS) - 1),
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(["qform", "sform"]),
    flip=st.sampled_from([1, -1]),
)
def test_world_position_of_the_outer_corners_is_kept(tmp_path, number, seed, form, flip):
    random = np.random.default_rng(seed)
    affine = np.eye(4)
    rotation = Rotation.random(random_state=random).as_matrix() * (1, 1, flip)
    affine[:3, :3] = rotation * random.uniform((0.6, 0.6, 2.3), (1.1, 1.1, 4.0))
    affine[:3, 3] = random.uniform(-400, 400, 3)
    if form == "sform":  # which may be sheared
        affine[:3, :3] += random.uniform(-0.05, 0.05, (3, 3))
    codes = {"sform_code": int(form == "sform"), "qform_code": int(form == "qform")}
    source = write_nifti(tmp_path / "a.nii", pixels((6, 7, 5), "int16"), affine=affine, **codes)
    result = enlarge(RESOLVERS[number], source, tmp_path / "b.nii")
    before = nib.load(source)
    np.testing.assert_allclose(
        outer_corners(result.affine, result.shape),
        outer_corners(before.affine, before.shape),
        rtol=0,
        atol=1e-3,
    )
    assert (result.header["sform_code"], result.header["qform_code"]) == tuple(codes.values())
    steps = np.linalg.norm(result.affine[:3, :3], axis=0)
    np.testing.assert_allclose(result.header.get_zooms(), steps, rtol=1e-5)


def test_a_slice_keeps_its_place_too(tmp_path):
    for shape in ((6, 7), (6, 7, 1)):
        source = write_nifti(tmp_path / "a.nii", pixels(shape, "int16"))
        result = enlarge(RESOLVERS[5], source, tmp_path / "b.nii")
        assert result.shape == (17, 18, *shape[2:])
        corners = outer_corners(result.affine, result.shape)
        np.testing.assert_allclose(
            corners, outer_corners(nib.load(source).affine, shape), atol=1e-5
        )


@pytest.mark.parametrize("number", [0, 1, 3, 5, 7])
def test_every_time_point_and_color_is_enlarged_as_if_alone(tmp_path, number):
    resolver = RESOLVERS[number]
    values = pixels((6, 5, 4, 2), "uint8")
    # One intensity mapping for the whole file: that of uint8 is declared.
    colors = np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["R"], colors["B"] = values[..., 0], values[..., 1]
    series = enlarge(resolver, write_nifti(tmp_path / "t.nii", values), tmp_path / "t2.nii")
    rgb = enlarge(resolver, write_nifti(tmp_path / "c.nii", colors), tmp_path / "c2.nii")
    found = np.asarray(rgb.dataobj)
    for point, color in ((0, "R"), (1, "B")):
        source = write_nifti(tmp_path / "a.nii", values[..., point])
        alone = np.asarray(enlarge(resolver, source, tmp_path / "a2.nii").dataobj)
        assert np.array_equal(np.asarray(series.dataobj)[..., point], alone)
        assert np.array_equal(found[color], alone)
    assert not found["G"].any()


@pytest.mark.parametrize("number", [0, 3])
def test_alpha_of_two_levels_stays_so_and_what_it_hides_leaves_no_trace(tmp_path, number):
    colors = np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    colors["R"][:3], colors["A"][:3] = 200, 255
    source = write_nifti(tmp_path / "a.nii", colors)
    found = np.asarray(enlarge(RESOLVERS[number], source, tmp_path / "b.nii").dataobj)
    assert (found["A"][:6] == 255).all()
    assert not found["A"][6:].any()
    assert (found["R"][:6] == 200).all()


def test_all_slices_share_one_intensity_mapping(tmp_path):
    # Each slice is constant: by mappings of their own all would become equal.
    values = np.arange(0, 5000, 1000, dtype=np.int16) * np.ones((6, 7, 1), np.int16)
    for number in (0, 3):
        result = enlarge(
            RESOLVERS[number], write_nifti(tmp_path / "a.nii", values), tmp_path / "b.nii"
        )
        middle = np.asarray(result.dataobj)[:, :, result.shape[2] // 2]
        assert np.ptp(middle) == 0
    in_plane = np.asarray(enlarge(RESOLVERS[0], tmp_path / "a.nii", tmp_path / "b.nii").dataobj)
    assert (in_plane == values[0, 0]).all()


def test_values_of_a_spacing_are_those_of_the_stage_resampled_by_area(tmp_path):
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    source = write_nifti(tmp_path / "a.nii", pixels((9, 8, 3), "float32"), affine=affine)
    options = {"system": "nearest", "spacing": 0.4, "consistency": 0, "device": "cpu"}
    resolver = SuperResolver.from_bundle("xray_sr", **options)
    found = np.asarray(enlarge(resolver, source, tmp_path / "b.nii").dataobj)
    stored = torch.from_numpy(np.asarray(nib.load(source).dataobj, dtype=np.float64))
    # 1 mm to 0.4 mm: x2.5, by the x4 stage, low-pass filtered to 23 x 20.
    stage = stored.repeat_interleave(4, 0).repeat_interleave(4, 1)
    expected = resize_to(stage, (23, 20), (0, 1)).numpy()
    assert found.shape == (23, 20, 3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def run(*arguments):
    return main(["upscale", *map(str, arguments), "--device", "cpu"])


def only(folder):
    (path,) = (p for p in folder.iterdir() if p.name != Manifest.name)
    return path


@pytest.mark.parametrize(
    ("options", "name", "shape"),
    [
        (["--slice-axis", "0"], "v_x4.nii.gz", (6, 20, 16)),
        (["--slice_axis", "1", "--scale", "2.5"], "v_x2.5.nii.gz", (15, 5, 10)),
        (["--spacing", "0.41"], "v_0.41mm.nii.gz", (13, 10, 4)),
        (["--spacing", "0.45,0.4,2.5"], "v_0.45x0.4x2.5mm.nii.gz", (12, 10, 8)),
        (["--spacing", "[0.45,None,2.5]"], "v_0.45x-x2.5mm.nii.gz", (12, 5, 8)),
        (["--spatial_dims", "3"], "v_x2.nii.gz", (12, 10, 8)),
        (["--spatial-dims", "3", "--spacing", "0.9"], "v_0.9mm.nii.gz", (6, 4, 22)),
    ],
)
def test_the_command_takes_every_option(bundle, tmp_path, options, name, shape):
    source = write_nifti(tmp_path / "v.nii.gz", pixels((6, 5, 4), "int16"))
    assert run(source, "-o", tmp_path / "out", "--bundle", bundle, *options) == 0
    result = only(tmp_path / "out")
    assert result.name == name
    assert nib.load(result).shape == shape


def test_the_network_for_volumes_is_used_with_its_weights(bundle, tmp_path):
    source = write_nifti(tmp_path / "v.nii", pixels((6, 5, 4), "uint8"))
    resolver = SuperResolver.from_bundle(bundle, spatial_dims=3, consistency=0, device="cpu")
    network = tiny(1, 2, spatial_dims=3, channels=24, num_blocks=4, cascade_channels=8)
    unit = torch.from_numpy(np.asarray(nib.load(source).dataobj)).float()[None, None] / 255
    with torch.no_grad():
        expected = (network(unit).clamp(0, 1) * 255).round()[0]
    assert torch.equal(resolver(source).as_tensor(), expected)


def test_missing_weights_for_volumes_name_the_bundle_that_has_them(bundle, tmp_path, capsys):
    source = write_nifti(tmp_path / "v.nii")
    other = tiny_bundle(bundle.parent, "natural_sr")
    assert run(source, "-o", tmp_path / "out", "--bundle", other, "--spatial_dims", 3) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "natural_sr: this bundle has no weights for volumes" in line
    assert "use bundle xray_sr, or leave --spatial_dims out" in line
    assert not (tmp_path / "out").exists()


def test_a_refused_spacing_is_one_line_and_leaves_nothing(bundle, tmp_path, capsys):
    source = write_nifti(tmp_path / "v.nii")
    assert run(source, "-o", tmp_path / "out", "--bundle", bundle, "--spacing", 2) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "v.nii: spacing must be finer than the input's 0.9 x 0.8 x 5 mm, got 2 x 2 x -" in line
    assert [p.name for p in (tmp_path / "out").iterdir()] == [Manifest.name]


@pytest.mark.parametrize("spacing", [0.3, 0.25, [0.2, 0.37]])
def test_a_dicom_series_takes_a_pixel_spacing(tmp_path, spacing):
    folder = dicom_factory.write_series(tmp_path / "series")
    option = str(spacing).strip("[]")
    out = tmp_path / "out"
    arguments = ["--bundle", "xray_sr", "--system", "bicubic", "--spacing", option]
    assert run(folder, "-o", out, *arguments) == 0
    results = {d.InstanceNumber: d for d in map(pydicom.dcmread, only(out).iterdir())}
    columns_mm, rows_mm = (spacing, spacing) if isinstance(spacing, float) else spacing
    for file in Path(folder).iterdir():
        old = pydicom.dcmread(file)
        new = results[old.InstanceNumber]
        assert new.Columns == round(old.Columns * old.PixelSpacing[1] / columns_mm)
        assert new.Rows == round(old.Rows * old.PixelSpacing[0] / rows_mm)
        np.testing.assert_allclose(dicom_corners(new), dicom_corners(old), rtol=0, atol=1e-6)


def dicom_corners(dataset):
    """Locate the outer corners of an image, PS3.3 C.7.6.2.1.1."""
    across, down = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
    rows_mm, columns_mm = map(float, dataset.PixelSpacing)
    first = np.array(dataset.ImagePositionPatient, dtype=float)
    return [
        first + across * columns_mm * x + down * rows_mm * y
        for x in (-0.5, dataset.Columns - 0.5)
        for y in (-0.5, dataset.Rows - 0.5)
    ]


@pytest.mark.parametrize("scale", [1.5, 2.5, 3])
def test_a_geotiff_takes_any_scale(tmp_path, scale):
    source = write_raster(
        tmp_path / "a.tif", pixels((1, 8, 6), "uint16"), crs="EPSG:32633", transform=ROTATED
    )
    with rasterio.open(source, "r+") as dataset:
        dataset.write_mask(np.tri(8, 6, dtype=np.uint8) * 255)
    arguments = ["--bundle", "xray_sr", "--system", "bicubic", "--scale", scale]
    assert run(source, "-o", tmp_path / "out", *arguments) == 0
    with rasterio.open(source) as old, rasterio.open(only(tmp_path / "out")) as new:
        assert new.shape == (round(8 * scale), round(6 * scale))
        for corner in ((0, 0), (1, 0), (1, 1)):
            ends = [d.transform * (corner[0] * d.width, corner[1] * d.height) for d in (old, new)]
            np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-6)
        rows, columns = (
            np.floor((np.arange(n) + 0.5) * m / n).astype(int)
            for n, m in zip(new.shape, old.shape, strict=True)
        )
        assert np.array_equal(new.dataset_mask(), old.dataset_mask()[np.ix_(rows, columns)])

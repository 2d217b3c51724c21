"""Each image gets sizes and slice axis by its own geometry, or one line that says why not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sr.core.errors import OptionError
from monai_sr.inferers import SliceRestorer
from monai_sr.transforms import PlanGrid, PlanGridd, load_image
from monai_sr.transforms.grid import enlarged_axes, planned_sizes
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster


@pytest.fixture
def volume(tmp_path):
    """Read a volume of 0.9 x 0.8 x 5 mm."""
    return load_image(write_nifti(tmp_path / "volume.nii", pixels((8, 6, 5), "int16")))


@pytest.fixture
def series(tmp_path):
    """Read an oblique DICOM series."""
    return load_image(dicom_factory.write_series(tmp_path / "series"))


@pytest.mark.parametrize(
    ("slice_axis", "rank", "dims", "expected"),
    [(-1, 2, 2, (0, 1)), (0, 3, 2, (1, 2)), (1, 3, 2, (0, 2)), (2, 3, 2, (0, 1)),
     (-1, 3, 2, (0, 1)), (0, 3, 3, (0, 1, 2))],
)  # fmt: skip
def test_the_axes_in_plane_are_all_but_the_slice_axis(slice_axis, rank, dims, expected):
    assert enlarged_axes({"sr_slice_axis": slice_axis}, rank, dims) == expected


@pytest.mark.parametrize(
    ("options", "axis", "sizes"),
    [
        ({}, 2, [32, 24, 5]),
        ({"slice_axis": 0}, 0, [8, 24, 20]),
        ({"slice_axis": 1}, 1, [32, 6, 20]),
        ({"spatial_dims": 3}, 2, [32, 24, 20]),
        ({"spacing": 0.4}, 2, [18, 12, 5]),
        ({"spacing": [0.45, None, 2.5]}, 2, [16, 6, 10]),
        ({"spacing": 0.625, "spatial_dims": 3}, 2, [12, 8, 40]),
    ],
)
def test_options_decide_on_sizes_and_slice_axis(volume, options, axis, sizes):
    planned = PlanGrid(4, **options)(volume)
    assert planned_sizes(planned.meta, 3) == sizes
    assert planned.meta["sr_slice_axis"] == axis
    assert torch.equal(planned.as_tensor(), volume.as_tensor())
    assert "sr_sizes" not in volume.meta


def test_units_of_the_file_count(tmp_path):
    affine = np.diag([900.0, 800.0, 5000.0, 1.0])
    path = write_nifti(tmp_path / "a.nii", pixels((8, 6, 5), "int16"), affine=affine, xyzt_units=3)
    assert planned_sizes(PlanGrid(4, spacing=0.4)(load_image(path)).meta, 3) == [18, 12, 5]


def test_the_pixel_spacing_of_a_series_counts(series):
    # 0.7 mm between rows, 0.4 mm between columns.
    columns, rows, slices = series.shape[1:]
    sizes = planned_sizes(PlanGrid(4, spacing=0.2)(series).meta, 3)
    assert sizes == [columns * 2, round(rows * 3.5), slices]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"slice_axis": 0},
            "slice_axis must be 2, the axis of a DICOM series' files, got 0; leave",
        ),
        ({"spatial_dims": 3}, "must be a NIfTI volume .* convert the series to NIfTI, or use"),
    ],
)
def test_what_a_series_cannot_do_is_one_line(series, options, words):
    with pytest.raises(OptionError, match=words) as caught:
        PlanGrid(4, **options)(series)
    assert "\n" not in str(caught.value)
    assert PlanGrid(4, slice_axis=2)(series).meta["sr_slice_axis"] == 2


@pytest.mark.parametrize(
    ("spacing", "is_told"), [(0.4, True), ([None, None, 2.5], False), ([0.4, 0.4, 4.0], True)]
)
def test_tuning_that_changes_nothing_is_told(volume, caplog, spacing, is_told):
    slices = SliceRestorer("none.pt", tune=2)
    PlanGrid(4, spacing=spacing, slices=slices, tune=2)(volume)
    assert ("--tune changes nothing" in caplog.text) == is_told
    caplog.clear()
    PlanGrid(4, spacing=0.4, tune=2)(volume)
    assert "mri_sr and ct_sr do, where that axis is made finer" in caplog.text


def test_lengths_are_needed_for_a_spacing(tmp_path):
    unlocated = dicom_factory.write(tmp_path / "a.dcm")
    files = [write_raster(tmp_path / "a.png"), unlocated]
    files.append(write_nifti(tmp_path / "a.nii", affine=np.diag([500.0, 1, 1, 1])))
    for file in files:
        with pytest.raises(OptionError, match=rf"{file.name}: spacing needs a file .* use --scale"):
            PlanGrid(4, spacing=0.3)(load_image(file))
    with pytest.raises(OptionError, match="pass a MetaTensor or a path"):
        PlanGrid(4, spacing=0.3)(torch.rand(1, 5, 6))


def test_one_slice_has_no_other_slice_axis(tmp_path):
    image = load_image(write_nifti(tmp_path / "a.nii", pixels((8, 6, 1), "int16")))
    with pytest.raises(OptionError, match=r"a\.nii: is one slice across axis 2, got slice_axis 0"):
        PlanGrid(4, slice_axis=0)(image)
    with pytest.raises(OptionError, match=r"must be a NIfTI volume .*, got 2D"):
        PlanGrid(2, spatial_dims=3)(image)
    assert planned_sizes(PlanGrid(4, slice_axis=2)(image).meta, 2) == [32, 24]


@pytest.mark.parametrize("options", [{"slice_axis": 3}, {"slice_axis": True}, {"spatial_dims": 1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        PlanGrid(4, **options)


def test_images_in_memory_are_planned_by_their_affine():
    image = MetaTensor(torch.rand(1, 8, 6, 5), affine=np.diag([2.0, 2.0, 6.0, 1.0]))
    planned = PlanGridd("image", PlanGrid(4, spacing=1.0))({"image": image})["image"]
    assert planned_sizes(planned.meta, 3) == [16, 12, 5]
    plain = torch.rand(1, 5, 6)
    assert PlanGridd("image", PlanGrid(4))({"image": plain})["image"] is plain

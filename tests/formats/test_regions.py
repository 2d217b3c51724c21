"""Label maps of many values are told from pictures by the regions that the values form."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from monai_sr.formats.regions import LIKELY, SURE, region_share


def parcels(shape, count, *, mask=None, codes=None, dtype="int16"):
    """Divide a volume, or the mask in it, into the regions nearest to random places."""
    rng = np.random.default_rng(5)
    inside = np.ones(shape, bool) if mask is None else mask
    places = np.argwhere(inside)
    seeds = np.zeros(shape, int)
    seeds[tuple(places[rng.choice(len(places), count, replace=False)].T)] = np.arange(count) + 1
    nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)[1]
    names = np.arange(count + 1) if codes is None else np.append(0, codes)
    return np.where(inside, names[seeds[tuple(nearest)]], 0).astype(dtype)


def smooth(shape, levels, seed=0):
    """Draw a picture without noise: whole values of a smooth field."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return np.rint((field - field.min()) / np.ptp(field) * levels).astype("int16")


def by_hand(image, ground):
    """Count in the plain way what the function counts by tables."""
    equal, every = {}, {}
    for axis in (0, 1):
        moved = np.moveaxis(image, axis, 0)
        for a, b in zip(moved[1:].ravel(), moved[:-1].ravel(), strict=True):
            if ground in (a, b):
                continue
            for each in (a, b):
                every[each] = every.get(each, 0) + 1
                equal[each] = equal.get(each, 0) + int(a == b)
    values = set(image.ravel()) - {ground}
    return float(np.median([equal.get(v, 0) / max(every.get(v, 0), 1) for v in values]))


def test_the_share_is_the_median_over_values_of_equal_neighbors():
    image = parcels((24, 20), 15)
    image[:12] = 0
    assert region_share(image) == (len(np.unique(image)), pytest.approx(by_hand(image, 0)))
    moved = np.where(image == 0, -7, image.astype("int64") * 900_000)  # too far for a table
    assert region_share(moved) == region_share(image)


@pytest.mark.parametrize("count", [33, 100, 400])
@pytest.mark.parametrize("dtype", ["int16", "float32", ">i4"])
def test_regions_of_any_number_of_values_are_sure(count, dtype):
    found, share = region_share(parcels((40, 44, 30), count, dtype=dtype))
    assert found == count
    assert share > SURE


def test_a_thin_cortex_of_parcels_is_sure(shared_data):
    name = "ds002748_sub-01_T1w_brain.nii.gz"
    image = np.asarray(nib.load(shared_data / "mr" / name).dataobj)[::2, ::2, ::2]
    brain = ndimage.binary_fill_holes(image > 0)
    cortex = brain & ~ndimage.binary_erosion(brain)
    assert region_share(parcels(image.shape, 400, mask=cortex))[1] > SURE


@pytest.mark.parametrize(
    "image",
    [
        smooth((40, 44, 30), 40),  # neighbors differ by one level
        smooth((40, 44, 30), 900),
        np.random.default_rng(0).integers(0, 60, (30, 30, 20), "int16"),
        np.clip(smooth((40, 44, 30), 2000) - 900, 0, 255),  # a window: ends are flat
        np.where(smooth((40, 44, 30), 900) > 600, smooth((40, 44, 30), 400, 2), 0),  # thresholded
        parcels((30, 30, 20), 50) + 0.5,
        np.zeros((9, 9, 9), "int16"),
        np.full((9, 9), np.nan, "float32"),
    ],
)
def test_pictures_are_not_even_likely(image):
    assert region_share(image)[1] < LIKELY / 2


@pytest.mark.parametrize("folder", ["nifti", "mr", "ct"])
def test_no_real_volume_comes_near(shared_data, folder):
    paths = sorted((shared_data / folder).glob("*.nii.gz"))
    assert paths
    for path in paths:
        stored = np.asarray(nib.load(path).dataobj.get_unscaled())
        assert region_share(stored.reshape(*stored.shape[:3], -1)[..., 0])[1] < LIKELY / 2, path


def test_missing_values_are_background():
    image = parcels((40, 44), 60).astype("float32")
    image[:8] = np.nan
    image[8:10] = -9
    count, share = region_share(image, nodata=-9)
    assert count == len(np.unique(image[10:]))
    assert share > SURE

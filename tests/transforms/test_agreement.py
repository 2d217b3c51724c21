"""Codes are compared as codes are: equal or not."""

from __future__ import annotations

import math

import numpy as np
import torch

from monai_sr.functional import SliceProfile, reduce_slices, upsample
from monai_sr.transforms.agreement import code_agreement, slices_of, stored_agreement


def test_enlarged_codes_agree_with_those_they_are_made_from():
    lr = np.random.default_rng(0).integers(0, 12, (2, 5, 6))
    found = code_agreement(np.repeat(np.repeat(lr, 2, 1), 2, 2), torch.from_numpy(lr))
    assert found.bands == ((math.inf, 0.0),) * 2
    assert (found.lr_psnr, found.off_share, found.worst_off) == (math.inf, 0, 0)


def test_codes_that_differ_are_counted_and_the_first_is_named():
    lr = np.random.default_rng(0).integers(0, 12, (2, 5, 6)).astype(np.float32)
    lr[0, 0, 0] = np.nan  # missing in both
    stored = lr.copy()
    stored[1, 2, 3] += 1
    stored[1, 4, 0] += 1
    found = code_agreement(stored, torch.from_numpy(lr))
    assert (found.off_share, found.worst_at) == (2 / 30, (1, 2, 3))
    assert [share for _, share in found.bands] == [0, 2 / 30]
    assert math.isnan(found.lr_psnr)


def test_thinner_slices_are_compared_by_their_profile():
    profile = SliceProfile("gaussian")
    thin = torch.rand(1, 5, 6, 12, dtype=torch.float64)
    thick = reduce_slices(thin, 4, 3, profile)
    by_profile = stored_agreement(thin, thick, slices=(2, profile))
    assert by_profile.worst_off < 1e-12
    assert stored_agreement(thin, thick).lr_psnr < 40
    # In plane it is bicubic all the same.
    large = upsample(thick, 2, (1, 2))
    expected = stored_agreement(large, thick)
    assert stored_agreement(large, thick, slices=(2, profile)) == expected


def test_what_made_slices_thinner_tells_their_profile():
    slices = '{"profile": {"kind": "boxcar", "thickness": 0.8}, "restored_by": "splines"}'
    meta = {"sr_slices": slices, "sr_slice_axis": 1}
    assert slices_of(meta) == (1, SliceProfile("boxcar", 0.8))
    assert slices_of({"sr_slice_axis": 1}) is None

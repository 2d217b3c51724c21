"""Codes are compared as codes are: equal or not."""

from __future__ import annotations

import math

import numpy as np
import torch

from monai_sr.transforms.agreement import code_agreement


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

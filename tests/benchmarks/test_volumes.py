"""Volumes in the campaign: judged whole, against cubic splines."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from monai_sr.functional.resize import downsample
from tests.image_factory import write_nifti
from tests.training.test_measured_pairs import scene


def test_cubic_splines_are_exact_on_planes_and_keep_outer_edges(modules):
    x = torch.arange(8.0)
    lr = (x[:, None, None] + 2 * x[None, :, None] - x).expand(1, 1, 8, 8, 8)
    sr = modules.volumes.cubic_spline(lr, 2)
    fine = torch.arange(16.0) / 2 - 0.25  # the center of a fine voxel on the coarse grid
    expected = fine[:, None, None] + 2 * fine[None, :, None] - fine
    inner = (slice(5, -5),) * 3
    torch.testing.assert_close(sr[0, 0][inner], expected[inner], atol=0.05, rtol=0)


def test_figures_of_a_volume_are_those_of_numpy(modules):
    hr = torch.from_numpy(scene((36, 40, 32), 1)).float()[None, None]
    lr = downsample(hr, 2, (-3, -2, -1))
    sr = modules.volumes.cubic_spline(lr, 2)
    found = modules.volumes.measured_volume(sr, lr, hr, 2)
    inner = (0, 0, *(slice(2, -2),) * 3)
    error = np.mean((sr[inner].double().numpy() - hr[inner].double().numpy()) ** 2)
    assert found["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-6)
    assert found["lr_psnr"] > found["psnr"] + 5
    assert 0 < found["ssim"] < 1


def test_the_job_of_volumes_is_judged_on_whole_volumes_against_splines(modules, tmp_path):
    jobs, judge = modules.campaign_jobs, modules.campaign_judge
    campaign = jobs.read_campaign()
    (job,) = [job for job in campaign.jobs if job.spatial_dims == 3]
    assert job.shipped().name == "model_3d.pt"
    for folder, seed in (("train", 0), ("validation", 1)):
        smooth = scipy.ndimage.gaussian_filter(scene((36, 40, 32), seed), 1)
        (tmp_path / folder).mkdir()
        write_nifti(tmp_path / folder / "a.nii.gz", np.rint(4000 * smooth).astype(np.int16))
    campaign.data["mri_sr"] = {"dataset_dir": "train", "validation_dir": "validation"}
    found = judge.Judge(campaign, job, tmp_path)
    ((lr, hr),) = found.pairs
    assert (lr.shape, hr.shape) == ((1, 1, 18, 20, 16), (1, 1, 36, 40, 32))
    spline, ours = found.bicubic(), found.weights(job.shipped())
    enlarged = modules.volumes.cubic_spline(lr, 2)
    assert spline.psnr == modules.volumes.measured_volume(enlarged, lr, hr, 2)["psnr"]
    assert ours.psnr > spline.psnr - 1
    assert ours.lr_psnr > 40

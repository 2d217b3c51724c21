"""CT in Hounsfield units: images, windows, regions, rows and the tables."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import ct as script
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from ct_rows import (
    CHOSEN,
    CLEAN,
    CT_TABLE,
    DESCRIBED,
    FILE,
    INPUT,
    MEDIUM,
    ORIGINAL,
    CTRow,
    ct_section,
)
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from monai_sr.evaluation import load_benchmark
from monai_sr.upscaling.choice import choose_bundle

CT_SMALL = get_testdata_file("CT_small.dcm")
_LOW, _HIGH = -160, 240


@pytest.fixture
def choices():
    """Two slices of one patient in Hounsfield units, in place of the files that are measured."""
    found = script.load_choices()
    return found | {"images": {"small": {"file": "CT_small.dcm", "square": [8, 120]}}}


@pytest.fixture
def judge(choices, tmp_path):
    shutil.copy(CT_SMALL, tmp_path / "CT_small.dcm")
    (made,) = script.judges(choices, tmp_path, 2, tmp_path)
    return made


def test_dicom_is_read_in_hounsfield_units(choices, tmp_path):
    shutil.copy(CT_SMALL, tmp_path / "CT_small.dcm")
    slices = script.read_slices(tmp_path, choices["images"]["small"])
    assert slices.shape == (1, 112, 112)
    header = pydicom.dcmread(CT_SMALL)
    expected = apply_rescale(header.pixel_array, header)[8:120, 8:120]
    assert (slices[0] == expected).all()
    assert slices.dtype == np.float64


def test_nifti_is_read_by_slices_with_rows_first(tmp_path):
    stored = np.arange(4 * 6 * 10, dtype=np.int16).reshape(4, 6, 10)
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "a.nii")
    slices = script.read_slices(tmp_path, {"file": "a.nii", "step": 8})
    assert slices.shape == (2, 6, 4)
    assert (slices[1] == stored[:, :, 8].T).all()


def test_medium_input_has_the_noise_it_is_named_by(choices, judge):
    width = judge.high - judge.low
    flat = torch.full((1, 1, 200, 200), 0.5)
    spoiled = script.sensor(choices, width, is_hu=True).corrupt(flat, torch.tensor([0]))
    assert float((spoiled - flat).std() * width) == pytest.approx(20, rel=0.03)


def test_small_files_hold_whole_hounsfield_units_of_the_same_grid(judge):
    for condition in (CLEAN, MEDIUM):
        image = nibabel.load(judge.files[condition])
        assert image.shape == (56, 56, 1)
        assert image.get_data_dtype() == np.int16
        values = torch.from_numpy(image.get_fdata().T)
        assert torch.equal(values, judge.small[condition])
    assert not torch.equal(judge.small[CLEAN], judge.small[MEDIUM])


def test_figures_are_those_of_scikit_image(judge):
    torch.manual_seed(0)
    result = (judge.hr + 30 * torch.randn(judge.hr.shape)).round()
    (row,) = judge.rows("noise", CLEAN, result)
    ours, truth = (each[0, 2:-2, 2:-2].numpy() for each in (result, judge.hr))
    width = judge.high - judge.low
    expected = peak_signal_noise_ratio(truth, ours, data_range=width)
    assert row.psnr == pytest.approx(expected, abs=1e-9)
    ours, truth = (each.clip(_LOW, _HIGH) - _LOW for each in (ours, truth))
    expected = peak_signal_noise_ratio(truth, ours, data_range=_HIGH - _LOW)
    assert row.psnr_soft == pytest.approx(expected, abs=1e-9)
    _, places = structural_similarity(
        truth, ours, data_range=_HIGH - _LOW, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, win_size=11, full=True,
    )  # fmt: skip
    expected = places[5:-5, 5:-5].mean()  # of windows that lie inside
    assert row.ssim_soft == pytest.approx(expected, abs=1e-6)
    assert (row.lowest, row.highest) == (float(result.min()), float(result.max()))


def test_means_of_regions_are_those_of_the_pixels_below_their_small_ones():
    small = torch.tensor([[50.0, 400.0], [-700.0, -5000.0]])
    values = small.repeat_interleave(2, 0).repeat_interleave(2, 1) + 1
    regions = script.load_choices()["regions"]
    air, lung, fat, soft, bone = script.means(values, small, 2, regions)
    assert (lung, soft, bone) == (-699, 51, 401)
    assert math.isnan(air)
    assert math.isnan(fat)


def test_originals_and_inputs_are_described_and_not_judged(judge):
    rows = {(row.system, row.condition): row for row in script.originals(judge)}
    assert len(rows) == 4
    original, small = rows[ORIGINAL, CLEAN], rows[INPUT, CLEAN]
    assert math.isnan(original.psnr)
    assert original.lowest == judge.low
    assert small.soft == pytest.approx(original.soft, abs=5)


def test_rows_come_back_and_replace_their_own(judge, tmp_path):
    path = tmp_path / FILE
    rows = list(judge.rows("a", CLEAN, judge.hr + 1))
    CT_TABLE.write(path, rows)
    other = [dataclasses.replace(row, system="b") for row in rows]
    CT_TABLE.write(path, other)
    CT_TABLE.write(path, rows)
    found = CT_TABLE.read(path)
    assert [row.system for row in found] == ["a", "b"]
    for name in DESCRIBED:
        expected = getattr(rows[0], name)
        assert getattr(found[0], name) == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert CT_TABLE.read(tmp_path / "absent.csv") == []


def _row(system, condition, **figures):
    return CTRow(set="chest", image="0", scale=4, system=system, condition=condition, **figures)


def test_the_page_marks_the_best_and_leaves_out_weights_that_are_gone():
    rows = [
        _row("bicubic", CLEAN, psnr=30.0, soft=20.0),
        _row("other", CLEAN, psnr=33.0, soft=21.0),
        _row("gone", CLEAN, psnr=40.0, weights_sha256="0" * 64),
        _row(ORIGINAL, CLEAN, soft=22.0),
    ]
    text = "\n".join(ct_section(rows))
    assert "| other | **33.00** |" in text
    assert "| bicubic | 30.00 |" in text
    assert "gone" not in text
    assert "| original | - | - | - | 22.0 | - | - | - |" in text
    assert ct_section([]) == []


def test_the_page_names_the_bundle_that_ct_gets(tmp_path):
    assert choose_bundle(CT_SMALL).bundle == CHOSEN


def test_every_face_with_weights_is_measured_once_and_bicubic_first():
    found = script.candidates(["xray_sr", "mri_sr"], ["model", "fast"], 2, has_bicubic=True)
    names = [candidate.name for candidate in found]
    assert names == ["bicubic", "xray_sr", "xray_sr, fast", "mri_sr", "mri_sr, fast"]
    found = script.candidates(["mri_sr"], ["model"], 2, has_bicubic=False)
    assert [candidate.name for candidate in found] == ["mri_sr"]


def test_the_benchmark_has_two_persons_inside_of_the_circle(shared_data):
    benchmark = load_benchmark("CT")
    images = benchmark.images(shared_data)
    assert len(images) == len({image.patient for image in images}) == benchmark.expected == 2
    for name, image in zip(("chest, contrast", "head"), images, strict=True):
        chosen = script.load_choices()["images"][name]
        expected = script.read_slices(shared_data, chosen)[0]
        expected = (expected - expected.min()) / np.ptp(expected)
        assert image.path.name == Path(chosen["file"]).name
        np.testing.assert_allclose(benchmark.load(image)[0, 0], expected, atol=1e-6)


def test_who_was_trained_on_an_image_has_no_row_of_it(choices, tmp_path, monkeypatch):
    shutil.copy(CT_SMALL, tmp_path / "CT_small.dcm")
    images = {name: chosen | {"trained": ["mri_sr"]} for name, chosen in choices["images"].items()}
    told = choices | {"images": images, "bundles": ["xray_sr", "mri_sr"]}
    monkeypatch.setattr(script, "load_choices", lambda: told)
    monkeypatch.setattr(script, "write_table", lambda results, output: None)
    words = ["--root", str(tmp_path), "--scales", "2", "--faces", "fast"]
    assert script.main([*words, "--results", str(tmp_path)]) == 0
    named = {row.system for row in CT_TABLE.read(tmp_path / FILE)}
    assert "xray_sr, fast" in named
    assert "mri_sr, fast" not in named


def test_a_measurement_ends_in_the_table(choices, tmp_path, monkeypatch):
    shutil.copy(CT_SMALL, tmp_path / "CT_small.dcm")
    monkeypatch.setattr(script, "load_choices", lambda: choices | {"bundles": ["xray_sr"]})
    monkeypatch.setattr(script, "write_table", lambda results, output: None)
    told = ["--root", str(tmp_path), "--scales", "2", "--faces", "fast"]
    assert script.main([*told, "--results", str(tmp_path)]) == 0
    rows = {(row.system, row.condition): row for row in CT_TABLE.read(tmp_path / FILE)}
    assert rows["xray_sr, fast", CLEAN].psnr > rows["bicubic", CLEAN].psnr
    assert rows["xray_sr, fast", CLEAN].weights_sha256

"""Values on a circle are told from pictures by how they jump."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from monai_sr.formats import Facts, kind_of
from monai_sr.formats.wrapping import turn_of
from monai_sr.transforms import load_image
from tests.dicom_factory import write
from tests.image_factory import write_nifti, write_raster

ROWS, COLUMNS = np.mgrid[:60, :60]
AROUND = np.arctan2(ROWS - 29.4, COLUMNS - 29.4)
NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("image", "turn"),
    [
        (AROUND, 2 * np.pi),
        (AROUND + NOISE.normal(0, 0.02, AROUND.shape), 2 * np.pi),
        (np.where(ROWS < 20, 0, AROUND), 2 * np.pi),
        (np.where(ROWS < 20, np.nan, AROUND), 2 * np.pi),
        (np.rint(np.degrees(AROUND)) % 360, 360),
        ((330 + COLUMNS + ROWS // 2) % 365 + 1, 365),
        (COLUMNS % 24, 24),
    ],
)
def test_a_field_that_begins_anew_tells_its_turn(image, turn):
    assert turn_of([image]) == pytest.approx(turn, rel=0.02)
    assert turn_of([image.T]) == pytest.approx(turn, rel=0.02)


@pytest.mark.parametrize(
    "image",
    [
        data.camera(),
        data.text(),
        data.page(),
        data.checkerboard(),
        (ROWS // 8 % 2) * 255,
        gaussian_filter((ROWS // 8 % 2) * 255.0, 1),
        NOISE.uniform(0, 360, (60, 60)),
        ROWS * 6.0,
        np.zeros((9, 9)),
        np.full((9, 9), np.nan),
    ],
)
def test_pictures_do_not(image):
    assert turn_of([image]) is None


def test_codes_for_no_value_do_not_either():
    image = gaussian_filter(NOISE.normal(size=(60, 60)), 3) * 3000 + 1000
    image[10:14, 10:14], image[20:23, 20:23], image[30:40, 5:9] = 65530, 65528, 65529
    assert turn_of([image]) is None


def test_nodata_is_no_end_of_a_turn():
    image = np.where((ROWS + COLUMNS) % 20 < 2, 9999, ROWS + 0.01 * COLUMNS)
    assert turn_of([image], 9999) is None


@pytest.mark.parametrize(("scale", "kind"), [(180 / np.pi, "phase"), (12 / np.pi, "gray")])
def test_volumes_and_series_without_a_word_are_known_by_their_jumps(tmp_path, scale, kind, caplog):
    angles = (AROUND * scale).astype(np.float32)[..., None].repeat(3, 2)
    nifti = write_nifti(tmp_path / "a.nii", angles)
    with caplog.at_level(logging.WARNING):
        assert kind_of(load_image(nifti, "auto").meta) == kind
    assert ("begin anew after about" in caplog.text) == (kind == "gray")
    caplog.clear()
    assert kind_of(load_image(nifti, "intensity").meta) == "gray"
    assert not caplog.text


@pytest.mark.parametrize(("bits", "kind"), [(12, "phase"), (16, "gray")])
def test_dicom_that_does_not_say_phase_is_known_by_its_jumps(tmp_path, bits, kind, caplog):
    """Twelve bits hold one turn of 4096; of sixteen nobody says what they turn by."""
    turn = 4096 if bits == 12 else 2990
    stored = np.floor((AROUND / (2 * np.pi) + 0.5) * (turn - 0.1)).astype(np.uint16)
    path = write(tmp_path / "a.dcm", stored, bits=bits, modality="MR")
    with caplog.at_level(logging.WARNING):
        assert kind_of(load_image(path, "auto").meta) == kind
    assert ("begin anew after about 2990" in caplog.text) == (kind == "gray")


@pytest.mark.parametrize("scale", [0.5, 90 / np.pi])
def test_axes_without_a_sense_begin_anew_after_half_a_turn(tmp_path, scale):
    axes = (AROUND * scale).astype(np.float32)
    paths = [
        write_nifti(tmp_path / "a.nii", axes[..., None].repeat(3, 2)),
        write_raster(tmp_path / "a.tif", axes[None]),
    ]
    for path in paths:
        meta = load_image(path, "auto").meta
        assert kind_of(meta) == "phase"
        np.testing.assert_allclose(
            Facts(meta).declared_range, (-np.pi * scale, np.pi * scale), rtol=1e-6
        )
    # Phases of another kind may span no more than half a turn.
    phase = write_nifti(tmp_path / "b_part-phase.nii", np.linspace(0, 3.1, 600).reshape(20, 30, 1))
    assert not np.isfinite(Facts(load_image(phase, "auto").meta).declared_range).any()


@pytest.mark.parametrize(("scale", "bands"), [(1, [1]), (12 / np.pi, [])])
def test_phases_behind_magnitudes_keep_their_values_or_are_warned_of(
    tmp_path, scale, bands, caplog
):
    magnitude = gaussian_filter(NOISE.normal(size=(60, 60)), 2)
    volumes = np.stack([magnitude, AROUND * scale], -1).astype(np.float32)[:, :, None]
    meta = load_image(write_nifti(tmp_path / "a.nii", volumes), "auto").meta
    assert (kind_of(meta), Facts(meta).code_bands.tolist()) == ("gray", bands)
    assert ("band 2: its values begin anew after about 24" in caplog.text) == (not bands)

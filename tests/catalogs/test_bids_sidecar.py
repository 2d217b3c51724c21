"""What stays true of an image whose voxels become smaller, by the definitions of BIDS."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.catalogs.bids_sidecar import Grids, inherited, record_of, side_car, still_true
from monai_sr.core.errors import BadImageError
from tests.bids_factory import write_image

IN_PLANE = Grids((10, 20, 4), (40, 80, 4), (1.0, 1.0, 3.0), (0.25, 0.25, 3.0))
VOLUME = Grids((10, 20, 4), (20, 40, 8), (1.0, 1.0, 3.0), (0.5, 0.5, 1.5))
SLICES = {"SliceTiming": [0, 1, 2, 3], "SliceThickness": 3, "SpacingBetweenSlices": 3.0}


def test_times_of_slices_stay_while_the_slices_do():
    assert still_true(SLICES, IN_PLANE) == SLICES
    assert still_true(SLICES, VOLUME) == {}
    along_i = {**SLICES, "SliceEncodingDirection": "i-"}
    assert still_true(along_i, IN_PLANE) == {"SliceEncodingDirection": "i-"}


def test_a_voxel_moves_by_the_same_millimeters_after_unwarping():
    # Displacement in voxels = field in Hz x TotalReadoutTime x N / (N - 1) (FSL, topup).
    spacing, field, mm_before, mm_after = 0.0006, 30.0, 1.0, 0.25
    before = {"PhaseEncodingDirection": "j-", "EffectiveEchoSpacing": spacing,
              "TotalReadoutTime": spacing * 19, "ReconMatrixPE": 20,
              "BandwidthPerPixelPhaseEncode": 83.3}  # fmt: skip
    after = still_true(before, IN_PLANE)
    assert after["EffectiveEchoSpacing"] == spacing
    moved_before = field * before["TotalReadoutTime"] * 20 / 19 * mm_before
    moved_after = field * after["TotalReadoutTime"] * 80 / 79 * mm_after
    assert moved_after == pytest.approx(moved_before, rel=1e-12)
    assert set(before) - set(after) == {"ReconMatrixPE", "BandwidthPerPixelPhaseEncode"}


def test_readout_of_an_unknown_direction_is_left_out_and_of_a_kept_one_stays():
    assert still_true({"TotalReadoutTime": 0.01}, IN_PLANE) == {}
    assert still_true({"TotalReadoutTime": 0.01, "PhaseEncodingDirection": "x"}, IN_PLANE) == {
        "PhaseEncodingDirection": "x"
    }
    along_k = {"TotalReadoutTime": 0.01, "PhaseEncodingDirection": "k"}
    assert still_true(along_k, IN_PLANE) == along_k


def test_sizes_of_voxels_and_links_go_and_the_rest_stays():
    kept = {"EchoTime": 0.03, "Units": "rad", "Manufacturer": "Acme"}
    gone = {"PixelBandwidth": 90, "AcquisitionVoxelSize": [1, 1, 3], "dcmmeta_shape": [10, 20, 4],
            "IntendedFor": "bids::a", "Sources": ["bids::b"], "Resolution": "1 mm"}  # fmt: skip
    assert still_true({**kept, **gone}, IN_PLANE) == kept


def test_an_image_is_derived_and_names_of_its_own_data_set_stay_right():
    entries = {"ImageType": ["ORIGINAL", "PRIMARY"], "SpatialReference": {"a": "bids::sub-1/x"}}
    assert still_true(entries, IN_PLANE) == {
        "ImageType": ["DERIVED", "PRIMARY"],
        "SpatialReference": {"a": "bids:raw:sub-1/x"},
    }


def test_skull_is_as_the_input_says_and_as_scanned_in_raw_data():
    def told(entries, is_raw):
        return side_car(entries, IN_PLANE, {}, ["a.nii"], is_raw=is_raw).get("SkullStripped")

    assert told({"SkullStripped": True}, is_raw=True) is True
    assert told({}, is_raw=True) is False
    assert told({}, is_raw=False) is None  # nobody knows


def test_grids_are_in_millimeters(tmp_path):
    small = write_image(tmp_path / "a.nii", np.zeros((4, 6), np.int16))
    large = write_image(tmp_path / "b.nii", np.zeros((8, 12, 1, 2), np.int16))
    grids = Grids.of(small, large)
    assert (grids.before, grids.after) == ((4, 6, 1), (8, 12, 1))
    assert grids.factors() == [2, 2, 1]
    assert Grids((1,), (1,), (0.5, 1, 2), (0.125, 0.25, 2)).words() == (
        "voxels of 0.125 x 0.25 x 2 mm, enlarged from 0.5 x 1 x 2 mm"
    )


def test_numbers_that_json_lacks_become_null():
    made = record_of({"weights_sha256": "a", "size": "fast"}, Agreement={"LRPSNR": float("inf")})
    assert made == {"WeightsSHA256": "a", "Size": "fast", "Agreement": {"LRPSNR": None}}


@pytest.mark.parametrize(("text", "message"), [("{", "must be readable"), ("[1]", "got a list")])
def test_broken_side_car_is_named(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(BadImageError, match=f"a.json: .*{message}.*; mend it"):
        inherited([file])

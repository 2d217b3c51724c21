"""The factor of the interval is given for the weights it was fitted for, and for no others."""

from __future__ import annotations

import hashlib
import json

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.transforms import interval_factor


@pytest.fixture
def files(tmp_path):
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    entry = {
        "coverage": 0.9,
        "factors": {"2": 3.5, "4": 2.5},
        "consistency": 2,
        "overshoot": 1.0,
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"uncertainty": entry}))
    return metadata, weights


def test_the_factor_of_the_scale_is_given(files):
    assert [interval_factor(*files, scale, overshoot=1) for scale in (2, 4, 2.0)] == [3.5, 2.5, 3.5]


def test_a_fit_without_a_margin_is_known(files):
    entry = json.loads(files[0].read_text())
    entry["uncertainty"]["overshoot"] = None
    files[0].write_text(json.dumps(entry))
    assert interval_factor(*files, 2, overshoot=float("inf")) == 3.5
    with pytest.raises(OptionError, match="not fitted for these weights and options"):
        interval_factor(*files, 2, overshoot=1)


def test_what_was_fitted_before_margins_were_kept_is_taken_at_its_word(files):
    entry = json.loads(files[0].read_text())
    del entry["uncertainty"]["overshoot"]
    files[0].write_text(json.dumps(entry))
    assert interval_factor(*files, 2, overshoot=0.3) == 3.5


def test_nothing_is_read_where_it_is_not_asked_for():
    assert interval_factor("none.json", "none.pt", 4, enabled=False) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 3},
        {"scale": 4, "consistency": 0},
        {"scale": 4, "overshoot": 0.5},
        {"scale": 4, "overshoot": float("inf")},
        {"scale": 4, "others": ["srcnn"]},
    ],
)
def test_other_options_are_refused(files, options):
    with pytest.raises(OptionError, match=r"leave --uncertainty out, or fit it"):
        interval_factor(*files, **{"overshoot": 1, **options})


def test_other_weights_are_refused(files):
    metadata, weights = files
    weights.write_bytes(b"others")
    with pytest.raises(OptionError, match="fit_uncertainty"):
        interval_factor(metadata, weights, 4, overshoot=1)
    with pytest.raises(OptionError, match="fit_uncertainty"):
        interval_factor(metadata, None, 4, overshoot=1)

"""Intents say what values can be, or that there is no image."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.formats import Facts, kind_of
from monai_sr.transforms import ScaleToUnit, load_image
from monai_sr.transforms.intensity import to_stored
from tests.image_factory import write_nifti


@pytest.mark.parametrize(
    ("intent", "least", "most"), [(22, 0, 1), (7, 0, 1), (2, -1, 1), (4, 0, np.inf)]
)
@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [("float32", 1.0, 0.0), ("int16", 0.001, 0.0), ("uint8", 0.01, -1.0), ("int16", -0.001, 0.5)],
)
def test_results_stay_within_what_an_intent_allows(
    tmp_path, intent, least, most, dtype, slope, inter
):
    """A slope of 0.001 is stored as float32, so that its 1000 is 1.00000005."""
    real = np.linspace(max(least, 0), 1, 30).reshape(5, 3, 2)
    given = (real - inter) / slope
    stored = (given if dtype == "float32" else np.rint(given)).astype(dtype)
    path = write_nifti(tmp_path / "a.nii", stored, slope=slope, inter=inter, intent_code=intent)
    unit, _ = ScaleToUnit()(load_image(path))
    beyond = unit.as_tensor().clone()
    beyond[:, :2], beyond[:, 2:] = -0.4, 1.4
    found = to_stored(beyond, unit.meta) * slope + inter
    assert found.min() >= least - 1e-6
    assert found.max() <= most + 1e-6


def test_values_that_leave_what_an_intent_allows_are_no_bound(tmp_path):
    real = np.linspace(-0.1, 1, 30, dtype=np.float32).reshape(5, 3, 2)
    unit, _ = ScaleToUnit()(load_image(write_nifti(tmp_path / "a.nii", real, intent_code=22)))
    assert np.isinf(Facts(unit.meta).bounds).all()


@pytest.mark.parametrize("intent", [1008, 1009, 2002, 2007, 2008, 2009, 2016, 2017])
def test_coefficients_and_meshes_are_refused_unless_asked_for(tmp_path, intent):
    path = write_nifti(tmp_path / "a.nii", np.eye(6, dtype=np.float32), intent_code=intent)
    with pytest.raises(BadImageError, match=r"points or indices of a mesh \(intent .*--kind inten"):
        load_image(path, "auto")
    assert kind_of(load_image(path, "intensity").meta) == "gray"

"""Maps of uncertainty say the unit, the series and the number that are theirs."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from monai_sr.formats.dicom.map import write_parametric_map
from tests import dicom_factory as factory

pytest.importorskip("highdicom")


def _map(tmp_path, name="a", **tags):
    result = factory.write(tmp_path / f"{name}.dcm", **tags)
    target = tmp_path / f"{name}_uncertainty.dcm"
    write_parametric_map(result, target, np.full((1, 9, 6), 2, np.float32), {})
    return pydicom.dcmread(target)


def _unit(made):
    groups = [*made.SharedFunctionalGroupsSequence, *made.PerFrameFunctionalGroupsSequence]
    (item,) = [g.RealWorldValueMappingSequence[0] for g in groups
               if "RealWorldValueMappingSequence" in g]  # fmt: skip
    return item.MeasurementUnitsCodeSequence[0].CodeValue


@pytest.mark.parametrize(
    ("rescale_type", "unit"),
    [(None, "[hnsf'U]"), ("", "[hnsf'U]"), ("HU", "[hnsf'U]"), ("MGML", "1"), ("US", "1")],
)
def test_ct_is_in_hounsfield_units_unless_it_says_else(tmp_path, rescale_type, unit):
    tags = {} if rescale_type is None else {"RescaleType": rescale_type}
    assert _unit(_map(tmp_path, RescaleSlope=1, RescaleIntercept=0, **tags)) == unit


def test_maps_of_projections_are_series_of_their_own(tmp_path):
    """A series has one frame of reference, and two exposures share none."""
    made = [_map(tmp_path, n, modality="XA", InstanceNumber=i) for i, n in enumerate("ab", 1)]
    assert len({each.FrameOfReferenceUID for each in made}) == 2
    assert len({each.SeriesInstanceUID for each in made}) == 2


def test_maps_of_one_series_have_numbers_of_their_own(tmp_path):
    places = [factory.located(place.round(9)) for place in factory.slice_positions(2)]
    made = [_map(tmp_path, f"{i}", InstanceNumber=i, **p) for i, p in enumerate(places, 1)]
    assert len({each.SeriesInstanceUID for each in made}) == 1
    assert [each.InstanceNumber for each in made] == [1, 2]

"""One rule for the working precision, one way back to integers."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.core.dtypes import exact_float, to_integers
from monai_sr.core.errors import OutputError


@pytest.mark.parametrize("name", ["bool", "uint8", "int8", "uint16", "int16", "float16", "float32"])
def test_narrow_types_work_in_float32(name):
    assert exact_float(name) is np.float32


@pytest.mark.parametrize("name", ["uint32", "int32", "uint64", "int64", "float64"])
def test_wide_types_work_in_float64(name):
    assert exact_float(name) is np.float64


@pytest.mark.parametrize("name", ["uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_values_beyond_a_type_become_its_ends(name):
    limits = np.iinfo(name)
    ends = np.array([-1e30, 1e30])
    result = to_integers(ends, name, (float(limits.min), float(limits.max)), "a")
    assert result.dtype == name
    assert result.tolist() == [limits.min, limits.max]


def test_halves_are_rounded_to_even_and_clipped_to_what_the_file_holds():
    values = np.array([0.5, 1.5, 2.4, -3.0, 5000.0])
    assert to_integers(values, "uint16", (0.0, 4095.0), "a").tolist() == [0, 2, 2, 0, 4095]


def test_integers_of_another_type_are_clipped_too():
    assert to_integers(np.array([-7, 300]), "uint8", (0, 255), "a").tolist() == [0, 255]


def test_input_stays_as_it_was():
    values = np.array([0.6])
    to_integers(values, "uint8", (0, 255), "a")
    assert values.tolist() == [0.6]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_no_integer_can_hold_is_refused(value):
    with pytest.raises(OutputError, match=r"^a\.png: pixels must be finite.*uint8"):
        to_integers(np.array([1.0, value]), "uint8", (0, 255), "a.png")

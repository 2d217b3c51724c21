"""Names are unique, and an unknown one is answered with the nearest."""

from __future__ import annotations

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import Registry, unknown_name


@pytest.fixture
def fruits():
    registry = Registry("fruit")
    for name in ("pear", "apple", "apricot"):
        registry.add(name, name.upper())
    return registry


def test_an_entry_is_found_by_its_name(fruits):
    assert fruits.get("apple") == "APPLE"
    assert "apple" in fruits
    assert "plum" not in fruits


def test_names_are_listed_sorted_and_by_pattern(fruits):
    assert fruits.names() == list(fruits) == ["apple", "apricot", "pear"]
    assert fruits.names("ap*") == ["apple", "apricot"]


def test_a_name_is_taken_once(fruits):
    with pytest.raises(OptionError, match="'pear' is registered already"):
        fruits.add("pear", "other")
    assert fruits.get("pear") == "PEAR"


def test_an_unknown_name_is_answered_with_the_nearest_and_all(fruits):
    with pytest.raises(OptionError, match=r"did you mean 'apple'\? known: apple, apricot, pear"):
        fruits.get("aple")


def test_without_a_near_name_there_is_no_guess():
    assert "did you mean" not in str(unknown_name("option", "xyz", ["scale"]))

"""Pictures of an evaluation have a place of their own, whatever images and sets are called."""

from __future__ import annotations

from itertools import combinations

import pytest

from monai_sr.evaluation.pictures import slug

NAMES = (
    "a b", "a+b", "_a", "a", ".a", "ill/early", "ill_early", "\u8111", "\u5fc3", "\u8111 1", "1",
    "",
)  # fmt: skip


@pytest.mark.parametrize("pair", list(combinations(NAMES, 2)))
def test_names_that_differ_have_other_places(pair):
    first, second = map(slug, pair)
    assert first != second
    assert all(place.isascii() and place.strip("./") for place in (first, second))

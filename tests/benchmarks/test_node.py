"""The benchmark of the node notices what is lost, doubled or foreign."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

pytest.importorskip("pynetdicom")
from node import BROKEN_EVERY, counts, is_broken, study


def seen(accepted, derived, quarantined=0, deliveries=()):
    return counts(
        SimpleNamespace(quarantined=lambda: quarantined),
        SimpleNamespace(derived=derived, deliveries=Counter(deliveries)),
        SimpleNamespace(accepted=set(accepted)),
    )


def test_all_is_well_when_each_is_a_result_or_set_aside():
    row = seen("abc", {"a": {"1"}, "b": {"2"}}, quarantined=1, deliveries=["1", "2", "2"])
    assert row == {
        "accepted": 3, "sent": 2, "quarantined": 1, "lost": 0, "doubled": 0, "strangers": 0,
        "sent_again": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("derived", "quarantined", "name", "count"),
    [
        ({"a": {"1"}}, 0, "lost", 1),
        ({"a": {"1"}, "b": {"2"}}, 1, "lost", -1),  # in quarantine, too
        ({"a": {"1", "3"}, "b": {"2"}}, 0, "doubled", 1),
        ({"a": {"1"}, "z": {"2"}}, 0, "strangers", 1),
    ],
)
def test_what_is_wrong_is_counted(derived, quarantined, name, count):
    assert seen("ab", derived, quarantined)[name] == count


def test_studies_are_the_same_for_the_same_number_and_some_are_broken():
    first, again, other = study(3, 0), study(3, 0), study(4, 0)
    assert first == again
    assert first.StudyInstanceUID != other.StudyInstanceUID
    assert first.pixel_array.shape == (64, 64)
    number = next(n for n in range(BROKEN_EVERY) if is_broken(n))
    with pytest.raises(ValueError, match=r"(?i)pixel data"):
        _ = study(number, 0).pixel_array

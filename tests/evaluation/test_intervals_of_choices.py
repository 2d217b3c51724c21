"""Scores of blind comparisons equal those computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_sr.core.errors import OptionError
from monai_sr.evaluation.intervals import Choice, bradley_terry, score_systems


def choices(*shares, first="a", second="b", reader="r", image=None):
    return [Choice(reader, image or f"i{i}", first, second, s) for i, s in enumerate(shares)]


def test_a_score_is_the_mean_of_wins_and_half_ties():
    best, worst = score_systems(choices(1, 1, 0.5, 0, 1))
    assert (best.system, best.wins, best.ties, best.losses, best.score) == ("a", 3, 1, 1, 0.7)
    assert (worst.system, worst.wins, worst.ties, worst.losses) == ("b", 1, 1, 3)
    assert worst.score == pytest.approx(0.3)


def test_sides_do_not_matter():
    turned = [Choice(c.reader, c.image, c.second, c.first, 1 - c.share) for c in choices(1, 0.5, 0)]
    assert score_systems(turned) == score_systems(choices(1, 0.5, 0))


def test_strengths_of_two_systems_are_the_log_of_their_wins():
    # 6 wins to 2, and the added tie is half a win for each: log(6.5 / 2.5).
    a, b = score_systems(choices(*[1] * 6, *[0] * 2))
    assert a.strength - b.strength == pytest.approx(math.log(6.5 / 2.5), abs=1e-6)
    assert a.strength + b.strength == pytest.approx(0, abs=1e-9)


def test_strengths_fit_a_chain_of_pairs():
    # b and c never lose to each other more than they win; the likelihood separates along a chain.
    first, second = np.array([0] * 4 + [1] * 4), np.array([1] * 4 + [2] * 4)
    share = np.array([1, 1, 1, 0, 1, 1, 0, 0.0])
    found = bradley_terry(first, second, share, 3)
    assert found[0] - found[1] == pytest.approx(math.log(3.5 / 1.5), abs=1e-6)
    assert found[1] - found[2] == pytest.approx(0, abs=1e-6)


def test_a_system_that_always_wins_has_a_finite_strength():
    best, _ = score_systems(choices(1, 1, 1))
    assert best.strength == pytest.approx(math.log(3.5 / 0.5) / 2, abs=1e-6)


def test_one_answer_leaves_no_width_and_two_opposite_ones_all_of_it():
    (one, _) = score_systems(choices(1))
    assert (one.low, one.high) == (1, 1)
    (two, _) = score_systems(choices(1, 0))
    assert (two.low, two.high) == (0, 1)


def test_the_interval_of_many_images_is_that_of_a_share():
    # One reader, 100 images, half of them won: standard error 0.05.
    found = score_systems(choices(*[1] * 50, *[0] * 50))[0]
    assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)


def test_readers_who_disagree_widen_the_interval():
    agreeing = [c for r in "xyz" for c in choices(*[1] * 10, *[0] * 10, reader=r)]
    opposed = [c for r, s in zip("xy", (1, 0), strict=True) for c in choices(*[s] * 20, reader=r)]
    narrow, wide = score_systems(agreeing)[0], score_systems(opposed)[0]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_no_answer_is_refused():
    with pytest.raises(OptionError, match="judge some first"):
        score_systems([])

"""Figures against hand computation, and intervals against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.figures import holm, paired_p, percentile, share_of, wilson


def test_a_share_is_the_sum_of_parts_by_the_sum_of_wholes() -> None:
    share = share_of([(1, 2), (3, 4), (0, 0)])
    assert (share.value, share.count) == (4 / 6, 6)
    assert share.low == 1 / 2  # both draws (1, 2)
    assert share.high == 3 / 4


def test_of_nothing_there_is_no_share() -> None:
    assert share_of([]).count == share_of([(0, 0)]).count == 0


def test_where_all_agree_the_bounds_are_wilsons() -> None:
    share = share_of([(0, 1)] * 10)
    assert (share.value, share.low) == (0, 0)
    assert share.high == pytest.approx(0.2775, abs=1e-4)  # z²/(n + z²) = 3.8415/13.8415
    assert share_of([(2, 2)] * 10).low == pytest.approx(1 - 0.2775, abs=1e-4)


def test_wilsons_interval_of_a_published_example() -> None:
    """Newcombe 1998, table I: 81 of 263 give 0.2553 to 0.3662."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_the_interval_holds_the_true_share_about_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        share = share_of([(float(hit), 1.0) for hit in rng.random(80) < 0.3])
        held += share.low <= 0.3 <= share.high
    assert 178 <= held <= 199


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)).filter(lambda s: s[0] <= s[1]), min_size=1))
def test_bounds_lie_around_the_share_and_within_none_and_all(scores: list[tuple[float, float]]) -> None:
    share = share_of(scores)
    assert 0 <= share.low <= share.value + 1e-9
    assert share.value - 1e-9 <= share.high <= 1


def test_a_paired_difference_that_chance_makes_once_in_1024_is_found_about_as_often() -> None:
    """Ten cases all better: of the 1,024 ways to flip signs two are as extreme."""
    assert paired_p([0] * 10, [1] * 10) == pytest.approx(2 / 1024, abs=0.0015)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1, 0], [1, 0]), ([1, 0], [0, 1])])
def test_no_difference_is_no_evidence(first: list[float], second: list[float]) -> None:
    assert paired_p(first, second) == 1


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile([], 0.95) == 0

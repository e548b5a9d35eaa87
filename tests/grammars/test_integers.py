"""Ranges of integers, tried out number by number."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammars.integers import integer_between
from grammars.regexes import regex
from grammars.tree import NEVER, Node


def matches(node: Node, text: str) -> bool:
    pattern = re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: re.escape(chr(int(m.group(1), 16))), regex(node))
    return re.fullmatch(pattern, text) is not None


@given(low=st.integers(-1200, 1200), width=st.integers(0, 1500))
def test_a_range_admits_its_integers_and_no_others(low: int, width: int) -> None:
    node = integer_between(low, low + width)
    for value in [low - 1, low, low + width // 2, low + width, low + width + 1]:
        assert matches(node, str(value)) == (low <= value <= low + width)


@pytest.mark.parametrize(("low", "high"), [(0, 99), (-17, 123), (7, 7), (95, 1005), (-1000, -1)])
def test_small_ranges_are_exact(low: int, high: int) -> None:
    node = integer_between(low, high)
    assert [value for value in range(-1100, 1100) if matches(node, str(value))] == list(range(low, high + 1))


@given(bound=st.integers(-(10**30), 10**30), offset=st.integers(-(10**20), 10**20))
def test_half_open_ranges_hold_at_any_size(bound: int, offset: int) -> None:
    value = bound + offset
    assert matches(integer_between(bound, None), str(value)) == (value >= bound)
    assert matches(integer_between(None, bound), str(value)) == (value <= bound)


def test_an_empty_range_matches_nothing() -> None:
    assert integer_between(3, 2) == NEVER


def test_leading_zeros_are_no_integers() -> None:
    assert not matches(integer_between(0, 999), "007")

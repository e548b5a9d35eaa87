"""Numbers by bounds and multiples, as exact fractions."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import grammars
from tests.grammars.conftest import RandomWalk

_BOUNDS = st.decimals(-1000, 1000, places=3, allow_nan=False) | st.integers(-50, 50).map(Decimal)


@given(one=_BOUNDS, other=_BOUNDS, seed=st.integers(0, 10**6), is_low_open=st.booleans(), is_high_open=st.booleans())
def test_numbers_stay_between_their_bounds_even_as_doubles(
    one: Decimal, other: Decimal, seed: int, is_low_open: bool, is_high_open: bool
) -> None:
    low, high = float(min(one, other)), float(max(one, other))
    assume(low < high)
    schema = {
        "type": "number",
        "exclusiveMinimum" if is_low_open else "minimum": low,
        "exclusiveMaximum" if is_high_open else "maximum": high,
    }
    value = float(RandomWalk(seed).write(grammars.compile_schema(schema).node))
    assert low < value or (value == low and not is_low_open)
    assert value < high or (value == high and not is_high_open)


@given(low=st.integers(-300, 300), width=st.integers(0, 400), value=st.integers(-400, 400), step=st.integers(1, 60))
def test_a_multiple_between_bounds_is_admitted_and_nothing_else(low: int, width: int, value: int, step: int) -> None:
    schema = {"type": "integer", "minimum": low, "maximum": low + width, "multipleOf": step}
    wanted = low <= value <= low + width and value % step == 0
    try:
        grammar = grammars.compile(schema)
    except grammars.UnsatisfiableSchema:
        assert not wanted
        return
    assert grammars.check(grammar, str(value)).admitted == wanted


@given(seed=st.integers(0, 10**6), step=st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.5, 2.5, 0.003]))
def test_multiples_of_a_decimal_are_exact(seed: int, step: float) -> None:
    text = RandomWalk(seed).write(grammars.compile_schema({"type": "number", "multipleOf": step}).node)
    assert (Fraction(Decimal(text)) / Fraction(Decimal(repr(step)))).denominator == 1
    json.loads(text)


@given(
    low=st.integers(-30, 30), width=st.integers(1, 40), tenths=st.integers(-800, 800),
    low_open=st.booleans(), high_open=st.booleans(),
)  # fmt: skip
def test_decimals_are_admitted_within_their_bounds_only(
    low: int, width: int, tenths: int, low_open: bool, high_open: bool
) -> None:
    high = low + width
    schema = {
        "type": "number",
        "exclusiveMinimum" if low_open else "minimum": low,
        "exclusiveMaximum" if high_open else "maximum": high,
    }
    value = tenths / 10
    wanted = (value > low if low_open else value >= low) and (value < high if high_open else value <= high)
    assert grammars.check(grammars.compile(schema), f"{value:.1f}").admitted == wanted


@given(step=st.sampled_from([1, 0.1, 0.25, 2.5, 7]), value=st.decimals(-999, 999, places=4))
def test_a_number_that_may_be_no_multiple_is_judged_exactly(step: float, value: Decimal) -> None:
    grammar = grammars.compile({"type": "number", "not": {"multipleOf": step}})
    is_multiple = (Fraction(value) / Fraction(Decimal(repr(step)))).denominator == 1
    assert grammars.check(grammar, f"{value:f}").admitted != is_multiple


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"minimum": 0, "exclusiveMaximum": 1}, "0.99999999999999999999"),
        ({"exclusiveMaximum": 100}, "99." + 20 * "9"),
        ({"exclusiveMinimum": -1}, "-0.99999999999999999999"),
        ({"minimum": 0.25, "exclusiveMaximum": 1.5}, "1.49999999999999999999"),
        ({"minimum": 0.41, "exclusiveMaximum": 0.5}, "0.49999999999999999999"),
        ({"minimum": 0, "exclusiveMaximum": 0.0001}, "9.9999999999999999999e-05"),
        ({"exclusiveMinimum": 1e16}, "1e16"),
        ({"exclusiveMaximum": 9007199254740994}, "9007199254740993.9"),
    ],
    ids=str,
)
def test_digits_that_a_double_rounds_to_an_open_bound_are_not_written(bounds: dict[str, float], text: str) -> None:
    assert float(text) in bounds.values()
    assert not grammars.check(grammars.compile({"type": "number", **bounds}), text).admitted


def test_numbers_below_an_open_bound_are_written_with_as_many_digits_as_doubles_tell_apart() -> None:
    grammar = grammars.compile({"type": "number", "exclusiveMaximum": 100})
    for text in ("99", "99.5", "99.9999999999999", "98.99999999999999999999", "0", "-7.25"):
        assert grammars.check(grammar, text).admitted

"""Matches of calls with gold calls, by hand."""

import json
from difflib import SequenceMatcher
from typing import Any

import pytest

from evals.case import GoldCall, MadeCall
from evals.matching import match_calls

GOLD = GoldCall("book", {"city": "Rome", "people": 2}, {"city": ["Roma"]})


def made(name: str, **arguments: Any) -> MadeCall:
    return MadeCall(name, json.dumps(arguments), arguments)


@pytest.mark.parametrize(
    ("call", "right", "to_the_letter", "is_exact"),
    [
        (made("book", city="Rome", people=2), 2, 2, True),
        (made("book", city="Roma", people=2.0), 2, 2, True),
        (made("book", city=" roma", people="2"), 2, 0, True),
        (made("book", city="Paris", people=2), 1, 1, False),
        (made("book", city="Rome"), 1, 1, False),
        (made("book", city="Rome", people=2, more=1), 2, 2, False),
        (made("cancel", city="Rome", people=2), 0, 0, False),
        (MadeCall("book", "{oops", None), 0, 0, False),
    ],
)
def test_arguments_are_counted_one_by_one(call: MadeCall, right: int, to_the_letter: int, is_exact: bool) -> None:
    (match,) = match_calls((GOLD,), [call])
    assert (len(match.right_arguments), match.arguments_to_the_letter) == (right, to_the_letter)
    assert match.is_exact is is_exact


def test_a_call_without_arguments_is_right_when_its_name_is() -> None:
    (match,) = match_calls((GoldCall("list", {}),), [made("list")])
    assert match.is_exact
    (match,) = match_calls((GoldCall("list", {}),), [made("other")])
    assert not match.is_exact


def test_likeness_is_that_of_the_canonical_json() -> None:
    (match,) = match_calls((GOLD,), [made("book", people=3, city="Rome")])
    wanted, given = '{"city":"Rome","people":2}', '{"city":"Rome","people":3}'
    assert match.similarity == SequenceMatcher(None, given, wanted).ratio() == 50 / 52
    (match,) = match_calls((GOLD,), [made("cancel", city="Rome", people=2)])
    assert match.similarity == 0


def test_the_order_of_calls_does_not_matter_and_none_is_taken_twice() -> None:
    other = GoldCall("book", {"city": "Oslo", "people": 1})
    first, second = match_calls((GOLD, other), [made("book", city="Oslo", people=1), made("book", city="Rome")])
    assert (first.right_arguments, second.right_arguments) == ({"city"}, {"city", "people"})
    first, second = match_calls((GOLD, GOLD), [made("book", city="Rome", people=2)])
    assert first.is_exact
    assert second.made is None

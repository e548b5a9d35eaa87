"""The budget of a compilation: the same answer on every machine, whatever was compiled before."""

import pytest

import grammars
from grammars.effort import MOST_STEPS, limited, remembered, spend
from grammars.errors import LimitExceeded


def test_a_compilation_over_its_budget_is_refused() -> None:
    with limited(), pytest.raises(LimitExceeded):
        spend(MOST_STEPS + 1)


def test_every_compilation_has_its_own_budget() -> None:
    for _ in range(3):
        with limited():
            spend(MOST_STEPS - 1)


def test_what_is_remembered_costs_as_much_as_what_is_made() -> None:
    @remembered(8)
    def part(number: int) -> int:
        spend(MOST_STEPS // 3)
        return number

    @remembered(8)
    def whole(number: int) -> int:
        return part(number) + part(number + 1)

    for _ in range(2):  # made the first time, remembered the second
        with limited():
            assert whole(0) == 1
            assert part(0) == 0  # paid for already
        with limited(), pytest.raises(LimitExceeded):
            whole(0) + whole(2)


def test_a_costly_schema_is_refused_again_when_its_parts_are_remembered() -> None:
    patterns = [f"^.*{chr(97 + i)}.{{{6 + i % 5}}}{chr(98 + i)}.*$" for i in range(12)]
    schema = {"type": "string", "allOf": [{"pattern": pattern} for pattern in patterns]}
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            grammars.compile(schema)

"""Where values come from, case by case."""

from typing import Any

import pytest

from evals.provenance import trace_values

SCHEMA = {
    "properties": {
        "unit": {"enum": ["celsius", "kelvin"]},
        "count": {"type": "integer", "default": 7},
        "deep": {"properties": {"kind": {"const": "fixed"}}},
    }
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Today is 2026-03-02."},
    {"role": "user", "content": [{"type": "text", "text": "A party for two in New York, at 6 p.m."}]},
    {"role": "assistant", "content": "Shall I ask Ada?", "tool_calls": [{"function": {"arguments": '{"code":"QX7"}'}}]},
    {"role": "tool", "content": '{"email":"ada@example.org","price":12.0}'},
]


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("New York", "user"),
        ("new york", "user"),
        ("6 p.m", "user"),
        (2, "user"),
        (2.0, "user"),
        ("2026-03-02", "user"),
        ("ada@example.org", "result"),
        (12, "result"),
        ("Ada", "result"),
        ("QX7", "assistant"),
        ("celsius", "schema"),
        (7, "schema"),
        ("fixed", "schema"),
        (True, "schema"),
        (None, "schema"),
        ("art", "invented"),
        ("York New", "invented"),
        (99, "invented"),
        ("", "invented"),
        ("?", "invented"),
    ],
)
def test_a_value_comes_from_where_it_stands_first(value: Any, source: str) -> None:
    assert trace_values({"x": value}, SCHEMA, MESSAGES) == [source]


def test_every_scalar_is_traced_also_in_lists_and_objects() -> None:
    arguments = {"a": ["Ada", {"b": "celsius"}], "c": "nowhere"}
    assert trace_values(arguments, SCHEMA, MESSAGES) == ["result", "schema", "invented"]

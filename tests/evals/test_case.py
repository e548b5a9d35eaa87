"""What counts as a call, and as the same value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.case import Case, canonical, read_calls, read_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def message(arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]}


def test_a_message_without_calls_has_none() -> None:
    assert read_calls({"content": "hello"}) == read_calls({"tool_calls": None}) == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [('{"a": 1}', {"a": 1}), ("", None), ("[1]", None), ('{"a": NaN}', None), ('{"a"', None), ("[" * 100_000, None)],
)
def test_arguments_are_an_object_or_nothing(text: str, arguments: dict[str, Any] | None) -> None:
    (call,) = read_calls(message(text))
    assert (call.text, call.arguments) == (text, arguments)


def test_arguments_that_an_endpoint_sends_as_an_object_are_read_too() -> None:
    (call,) = read_calls(message({"a": 1}))
    assert call.arguments == {"a": 1}


def test_the_schema_of_a_tool_is_found_by_its_name() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    case = Case("1", "s", "g", [], tools)
    assert case.schema_of("f") == {"type": "object"}
    assert case.schema_of("g") is None


def test_key_order_and_the_kind_of_number_do_not_matter() -> None:
    assert canonical({"a": 2.0, "b": [1, {"d": 1, "c": 2}]}) == canonical({"b": [1.0, {"c": 2, "d": 1}], "a": 2})


@given(JSON_VALUES)
def test_the_canonical_text_has_the_same_value(value: Any) -> None:
    assert canonical(read_json(canonical(value))) == canonical(value)
    assert canonical(json.loads(json.dumps(value))) == canonical(value)

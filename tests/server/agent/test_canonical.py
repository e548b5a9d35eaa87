"""Spellings of the same call are one text."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.agent.canonical import approval_hash, call_key, canonical_arguments

SCHEMA = {"properties": {"unit": {"type": "string", "default": "celsius"}, "on": {"default": True}}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 2.0}, {"a": 2}),
        ({"city": "Ko\u0308ln"}, {"city": "Köln"}),
        ({"unit": "celsius"}, {}),
        ({"a": [{"x": 1.0, "y": None}]}, {"a": [{"y": None, "x": 1}]}),
    ],
)
def test_equal_calls_have_one_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert call_key("t", one, SCHEMA) == call_key("t", other, SCHEMA)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": "1"}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"on": 1}, {}),
        ({}, {"a": None}),
    ],
)
def test_different_calls_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert call_key("t", one, SCHEMA) != call_key("t", other, SCHEMA)
    assert call_key("t", one, SCHEMA) != call_key("u", one, SCHEMA)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_the_order_of_keys_never_matters(arguments: dict[str, Any]) -> None:
    turned = dict(reversed(arguments.items()))
    assert canonical_arguments(arguments, {}) == canonical_arguments(turned, {})


def test_an_approval_is_for_one_tool_version_arguments_and_principal() -> None:
    hashes = {
        approval_hash("rm", "1", {"path": "/a"}, "ann"),
        approval_hash("mv", "1", {"path": "/a"}, "ann"),
        approval_hash("rm", "2", {"path": "/a"}, "ann"),
        approval_hash("rm", "1", {"path": "/b"}, "ann"),
        approval_hash("rm", "1", {"path": "/a"}, "bob"),
    }
    assert len(hashes) == 5

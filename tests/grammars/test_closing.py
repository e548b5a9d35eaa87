"""Objects closed once over all that their schema is put together from, and never narrowed where complements count."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars

from .conftest import assert_what_is_written_validates
from .schemas import COMBINED_SCHEMAS


def _with(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]}


_KINDS = {"kind": {"enum": ["x", "y"]}}
_IS_X = {"properties": {"kind": {"const": "x"}}}
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({**_with("kind"), "properties": {**_KINDS, "a": {"type": "integer"}, "b": {"type": "integer"}},
      "if": _IS_X, "then": {"required": ["a"]}},
     [{"kind": "x", "a": 1}, {"kind": "y"}, {"kind": "y", "b": 1}], [{"kind": "x", "b": 1}, {"kind": "y", "c": 1}]),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}},
      "not": {"properties": {"a": {"minimum": 5}}}},
     [{"a": 1}, {"a": 1, "b": 0}], [{}, {"b": 0}, {"a": 7, "b": 0}, {"a": 1, "c": 0}]),
    ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}],
      "type": "object"},
     [{"a": 1}], [{"b": 1}, {"a": "s"}, {"a": 1, "b": 1}]),
    ({"oneOf": [{"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}}, _with("c")]},
     [{}, {"a": {}}, {"a": {"b": 1}}], [{"a": {"c": 1}}, {"a": {}, "c": 1}]),
    ({"allOf": [_with("a"), _with("b")]}, [{"a": 1, "b": 2}], [{"a": 1}, {"a": 1, "b": 2, "c": 3}]),
    ({"$ref": "#/$defs/base", "properties": {"b": {}}, "$defs": {"base": _with("a")}},
     [{"a": 1}, {"a": 1, "b": 2}], [{"b": 2}, {"a": 1, "c": 2}]),
    ({"type": "object", "properties": _KINDS, "required": ["kind"], "if": _IS_X, "then": _with("a"),
      "else": _with("b")},
     [{"kind": "x", "a": 1}, {"kind": "y", "b": 1}], [{"kind": "x", "b": 1}, {"kind": "x", "a": 1, "b": 1}]),
    ({"type": "object", "properties": {"c": {}}, "oneOf": [_with("a"), _with("b")]},
     [{"c": 0, "a": 1}, {"b": 2}], [{"c": 0}, {"a": 1, "b": 2}, {"a": 1, "d": 0}]),
    ({"type": "object", "properties": {"c": {}}, "allOf": [{**_with("a"), "additionalProperties": True}]},
     [{"a": 1}, {"c": 0, "a": 1, "d": 0}], [{"d": 0}]),
    ({"type": "object", "properties": {"kind": {"enum": list("abcdefghij")}}, "required": ["kind"],
      "allOf": [{"if": {"properties": {"kind": {"const": c}}}, "then": _with(f"of_{c}")} for c in "abcdefghij"]},
     [{"kind": "c", "of_c": 1}], [{"kind": "c"}, {"kind": "c", "of_c": 1, "z": 1}]),
    ({"type": "object", "properties": {"p": {"allOf": [_with("a"), _with("b")]}}},
     [{}, {"p": {"a": 1, "b": 2}}], [{"p": {"a": 1}}, {"p": {"a": 1, "b": 2, "c": 3}}, {"q": 1}]),
    ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, [{"b": 1}], [{"a": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "admitted", "refused"), CASES, ids=lambda value: json.dumps(value)[:70])
def test_a_closed_object_is_one_object_whatever_its_schema_is_made_of(
    schema: Any, admitted: list[Any], refused: list[Any]
) -> None:
    grammar = grammars.compile(schema, closed=True)
    for value in admitted:
        Draft202012Validator(schema).validate(value)
        assert grammars.check(grammar, json.dumps(value, separators=(",", ":"))).admitted, value
    for value in refused:
        assert not grammars.check(grammar, json.dumps(value, separators=(",", ":"))).admitted, value


@settings(suppress_health_check=list(HealthCheck))
@given(schema=COMBINED_SCHEMAS, seed=st.integers(0, 2**32))
def test_whatever_a_closed_grammar_writes_validates(schema: Any, seed: int) -> None:
    assert_what_is_written_validates(schema, seed, closed=True)


def test_keys_of_a_closed_object_keep_the_order_in_which_the_keywords_name_them() -> None:
    schema = {"allOf": [_with("a")], "properties": {"b": {}}, "required": ["b"], "type": "object"}
    grammar = grammars.compile(schema, closed=True)
    assert grammars.check(grammar, '{"a":1,"b":2}').admitted
    assert not grammars.check(grammar, '{"b":2,"a":1}').admitted

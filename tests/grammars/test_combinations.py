"""Schemas that combine schemas, judged as jsonschema judges them, by both engines."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import grammars
from grammars import CompiledGrammar

Admits = Callable[[CompiledGrammar, str], bool]


def _only(*names: str) -> dict[str, Any]:
    return {"properties": {name: {} for name in names}, "additionalProperties": False}


def _with(name: str) -> dict[str, Any]:
    return {"properties": {name: {}}, "required": [name]}


_A_OR_B = {"a": {"type": "integer"}, "b": {"type": "string"}}
CASES: list[tuple[Any, list[Any]]] = [
    ({"allOf": [{"minimum": 2}, {"maximum": 5}, {"type": "integer"}]}, [1, 2, 5, 6, 3.5, "x"]),
    ({"properties": _A_OR_B, "allOf": [{"required": ["b"]}]}, [{}, {"a": 1}, {"b": ""}, {"a": 1, "b": ""}]),
    ({"type": "object", "properties": _A_OR_B, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
     [{}, {"a": 1}, {"b": ""}, {"a": 1, "b": ""}, {"a": "x"}]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1, 1.5, "x"]),
    ({"oneOf": [{"type": "string", "maxLength": 2}, {"type": "string", "minLength": 2}]}, ["a", "ab", "abc", 1]),
    ({"oneOf": [
        {"properties": {"kind": {"const": "x"}, "v": {"type": "integer"}}, "required": ["kind", "v"]},
        {"properties": {"kind": {"const": "y"}, "v": {"type": "string"}}, "required": ["kind", "v"]},
     ], "type": "object"},
     [{"kind": "x", "v": 1}, {"kind": "x", "v": "a"}, {"kind": "y", "v": "a"}, {"kind": "z", "v": 1}, {"v": 1}]),
    ({"not": {"type": ["string", "null"]}}, [1, "x", None, {}, [], True]),
    ({"not": {"enum": ["a", 1, True]}}, ["a", "b", "", 1, 2, 1.5, True, False, {}]),
    ({"type": "object", "not": {"required": ["a"]}}, [{}, {"a": 1}, {"b": 1}]),
    ({"not": {"properties": {"a": {"type": "integer"}}}}, [{"a": 1}, {"a": "x"}, {}, 1, {"a": None, "b": 1}]),
    ({"not": {"properties": {"a": {}}, "additionalProperties": {"enum": [0, 1, 2]}, "type": "object"}},
     [{"": 8e19}, {"": 1}, {"b": 1.5}, {"b": 9, "c": 1e19}, {"b": 1, "c": 2}, 8e19]),
    ({"oneOf": [{"enum": [1466, 3]},
                {"oneOf": [{"const": 1466}, {"type": "number", "minimum": 0, "maximum": 1468}]}]},
     [1466, 3, 1467.006, 1467, 1468.5, 0, 1465.5]),
    ({"oneOf": [{"oneOf": [{"type": "integer", "minimum": 0, "maximum": 2}, {"type": "integer", "maximum": 1466}]},
                {"oneOf": [{"enum": [1466]}, {"type": "number", "maximum": 1467}]}]},
     [1466, 1, 3, 1466.006, 1467, 0.5, -1]),
    ({"not": {"minItems": 2}}, [[], [1], [1, 2], "x"]),
    ({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["t"]},
      "else": {"required": ["e"]}, "properties": {"k": {}, "t": {}, "e": {}}, "type": "object"},
     [{"k": 1}, {"k": 1, "t": 0}, {"k": 2}, {"k": 2, "e": 0}, {"e": 0}, {}]),
    ({"dependentRequired": {"a": ["b"]}, "properties": _A_OR_B}, [{"a": 1}, {"a": 1, "b": ""}, {"b": ""}, {}, 3]),
    ({"dependentSchemas": {"a": {"maxProperties": 1}}}, [{"a": 1}, {"b": 1, "c": 2}, {}]),
    ({"patternProperties": {"^x": {"type": "integer"}, "y$": {"type": "string"}}, "additionalProperties": False},
     [{}, {"x": 1}, {"x": "s"}, {"y": "s"}, {"y": 1}, {"xy": 1}, {"xy": "s"}, {"q": 1}]),
    ({"propertyNames": {"pattern": "^[a-z]+$"}}, [{}, {"a": 1}, {"A": 1}, {"a1": 1}]),
    ({"minProperties": 1, "maxProperties": 2, "properties": _A_OR_B},
     [{}, {"a": 1}, {"a": 1, "b": ""}, {"a": 1, "b": "", "c": 1}, {"c": 1}]),
    ({"type": "array", "contains": {"type": "integer"}}, [[], [1], ["a"], ["a", 1, "b"], [1, 2]]),
    ({"type": "array", "contains": {"const": 1}, "minContains": 2, "maxContains": 3, "maxItems": 5},
     [[], [1], [1, 1], [1, 2, 1], [1, 1, 1], [1, 1, 1, 1], [2, 2, 1, 1, 2], [2, 1, 2, 1, 2, 2]]),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 1},
     [[], [1], [1, "a"], ["a"], [1, "a", 2]]),
    ({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 1},
     [[], ["a"], ["b", "a"], ["c", "b", "a"], ["a", "a"], ["a", "b", "a"]]),
    ({"oneOf": [_only("a", "b"), _only("a", "c")], "type": "object"},
     [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"c": 1}, {"a": 1, "c": 1}, {"b": 1, "c": 1}, {"d": 1}]),
    ({"oneOf": [_only("a", "b"), _only("b", "c"), _only("c", "d")], "properties": {"a": {"type": "integer"}}},
     [{}, {"a": 1}, {"a": "x"}, {"b": 1}, {"c": 1}, {"a": 1, "b": 1}, {"b": 1, "c": 1}, {"c": 1, "d": 1}, {"e": 1}, 1]),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "not": {"anyOf": [_only("a"), _only("b")]}},
     [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"c": 1}, {"a": 1, "c": 1}, {"c": 1, "d": 2}]),
    ({"type": "object", "not": {"additionalProperties": {"type": "integer"}}},
     [{}, {"a": 1}, {"a": "x"}, {"a": 1, "b": "x"}, {"a": 1, "b": 2}]),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "not": {"additionalProperties": {"type": "integer"}}},
     [{}, {"a": 1}, {"a": "x"}, {"b": "x"}, {"a": "x", "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2, "c": None}]),
    ({"type": "object", "properties": {"a": {}}, "maxProperties": 2, "not": _only("a", "b")},
     [{}, {"a": 1}, {"b": 1}, {"c": 1}, {"a": 1, "c": 1}, {"d": 1, "c": 1}, {"a": 1, "c": 1, "d": 1}]),
    ({"type": "object", "not": {"type": "object", "not": {"additionalProperties": {"type": "integer"}}}},
     [{}, {"a": 1}, {"a": "x"}, {"a": 1, "b": "x"}, {"a": 1, "b": 2}]),
    ({"type": "object", "anyOf": [_with("a"), _with("b")], "unevaluatedProperties": False},
     [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"c": 1}, {"a": 1, "c": 1}]),
    ({"type": "object", "properties": {"k": {"type": "integer"}}, "if": {"required": ["k"]}, "then": _with("t"),
      "else": _with("e"), "unevaluatedProperties": {"const": 0}},
     [{}, {"e": 1}, {"k": 1, "t": 1}, {"k": 1, "t": 1, "e": 0}, {"k": 1, "t": 1, "e": 1}, {"k": 1}, {"e": 1, "t": 0}]),
    ({"type": "array", "allOf": [{"prefixItems": [{"type": "string"}]}], "unevaluatedItems": {"type": "null"}},
     [[], ["a"], [1], ["a", None], ["a", "b"], ["a", None, None]]),
    ({"type": "array", "contains": {"type": "integer"}, "unevaluatedItems": {"type": "string"}},
     [[], [1], ["a"], ["a", 1], [1, "a", 2], [1, None]]),
    ({"type": "number", "not": {"multipleOf": 1}}, [0, 1, 1.5, -0.25, 12345.5, 0.001, "x"]),
    ({"type": "number", "not": {"type": "integer", "multipleOf": 3, "maximum": 9}}, [3, 4, 12, -9, 0, 1.5, -9.0006]),
    ({"type": "number", "multipleOf": 0.5, "not": {"multipleOf": 1.5}, "minimum": -2},
     [0, 1.5, 0.5, 0.25, -2, -1.5, -2.5]),
    ({"type": "number", "minimum": 0.1, "maximum": 9.75, "not": {"type": "integer"}}, [0, 0.1, 1, 2.5, 9.75, 9.8, 3.0]),
    ({"type": "integer", "multipleOf": 7, "minimum": -20}, [-21, -14, 0, 7, 8, 70, 71]),
    ({"type": "number", "multipleOf": 0.5, "exclusiveMaximum": 3}, [0.5, 1, 0.3, 2.5, 3, -1.5]),
    ({"type": "number", "minimum": 0.25, "exclusiveMaximum": 1.5}, [0.2, 0.25, 0.3, 1, 1.4999, 1.5, 1.6]),
    ({"type": "string", "pattern": "^a", "maxLength": 3}, ["", "a", "abc", "abcd", "ba"]),
    ({"type": "string", "pattern": "^(?!no)[a-z]+$", "minLength": 2}, ["no", "nob", "yes", "y", "on"]),
    ({"allOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string", "maxLength": 3}, ["ab", "a", "cba", "abcd"]),
    ({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}, "additionalProperties": False}},
      "$ref": "#/$defs/n", "required": ["next"]}, [{}, {"next": {}}, {"next": {"next": {}}}, {"next": {"x": 1}}]),
    ({"$id": "http://example.org/root", "$ref": "item#leaf",
      "$defs": {"i": {"$id": "item", "$defs": {"l": {"$anchor": "leaf", "type": "integer"}}}}}, [1, "x"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "values"), CASES, ids=lambda value: json.dumps(value)[:70])
def test_every_value_is_judged_as_the_specification_says(
    schema: Any, values: list[Any], lark_admits: Admits, gbnf_admits: Admits
) -> None:
    validator = Draft202012Validator(schema)
    grammar = grammars.compile(schema)
    for value in values:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert lark_admits(grammar, text) == validator.is_valid(value), text
        assert gbnf_admits(grammar, text) == validator.is_valid(value), text


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "minProperties": 2}, "minProperties"),
        ({"type": "string", "pattern": "(a)\\1"}, "pattern"),
        ({"not": {"uniqueItems": True}}, "not"),
        ({"anyOf": [{"required": [c]} for c in "abcdefg"], "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"$schema": "https://example.com/mine", "type": "object"}, "$schema"),
    ],
    ids=str,
)
def test_what_no_grammar_holds_is_refused_in_strict_mode_and_widened_otherwise(schema: Any, keyword: str) -> None:
    with pytest.raises(grammars.UnsupportedSchema) as caught:
        grammars.compile(schema)
    assert caught.value.keyword == keyword
    if keyword != "not":
        assert keyword in [entry.keyword for entry in grammars.compile(schema, strict=False).report.widened]


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "pattern": "^a{3}$", "maxLength": 2},
        {"allOf": [{"pattern": "^a+$"}, {"pattern": "^b+$"}], "type": "string"},
        {"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19},
        {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"],
         "allOf": [{"properties": {"a": {"const": 2}}}]},
        {"type": "array", "items": {"const": 1}, "contains": {"const": 2}},
        {"not": {}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_a_contradiction_is_refused(schema: Any) -> None:
    with pytest.raises(grammars.UnsatisfiableSchema):
        grammars.compile(schema)


@pytest.mark.parametrize(
    ("schema", "admitted", "refused"),
    [
        ({"type": "string", "not": {"pattern": "\\bx\\b"}}, ["a", ""], [1]),
        ({"type": "object", "properties": {"o": {"type": "string", "not": {"pattern": "\\bx"}}}}, [{"o": "a"}], [1]),
        ({"oneOf": [{"type": "string", "pattern": "\\bx"}, {"type": "string", "minLength": 3}, {"type": "integer"}]},
         ["x", "abc", 4], [None, {}]),
        ({"type": "string", "if": {"pattern": "\\bx"}, "then": {"maxLength": 2}, "else": {"minLength": 5}},
         ["x", "abcde"], ["abc", 1]),
        ({"type": "object", "patternProperties": {"\\bx": {"type": "integer"}}, "additionalProperties": False,
          "properties": {"a": {"type": "integer"}}}, [{"x": 1}, {"a": 1, "x": 1}], [{"a": "s"}, 1]),
        ({"type": "object", "oneOf": [{"properties": {f"k{i}": {}}, "additionalProperties": False} for i in range(6)]},
         [{"k1": 1}], [7, [], "k1"]),
        ({"type": "array", "items": {"type": "object"}, "contains": {"pattern": "\\bx"}, "maxContains": 2},
         [[{}], [{}, {}, {}]], [1, [1], []]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_left_to_validation_admits_more_and_never_less(
    schema: Any, admitted: list[Any], refused: list[Any]
) -> None:
    grammar = grammars.compile(schema, strict=False)
    assert not grammar.report.is_exact
    for value in admitted:
        assert grammars.check(grammar, json.dumps(value, separators=(",", ":"))).admitted, value
    for value in refused:
        assert not grammars.check(grammar, json.dumps(value, separators=(",", ":"))).admitted, value

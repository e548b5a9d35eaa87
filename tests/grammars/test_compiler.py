"""What the compiler enforces, what it refuses and how it says so."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import grammars
from grammars import CompiledGrammar, Spacing, UnsatisfiableSchema, UnsupportedSchema

Admits = Callable[[CompiledGrammar, str], bool]

CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "string"}, ["", "a", 'q"\\\n', "🙂é"], [1, None, [], {}]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "🙂🙂", "\n\n\n"], ["a", "abcd", "🙂"]),
    ({"type": "string", "maxLength": 5000}, ["", "x" * 5000], ["x" * 5001]),
    ({"enum": ["a", 1, None, {"k": [True]}]}, ["a", 1, None, {"k": [True]}], ["b", 2, False, {}, {"k": []}]),
    ({"const": "x"}, ["x"], ["xy", ""]),
    ({"enum": ["a", "bcd", 7], "type": "string", "minLength": 2}, ["bcd"], ["a", 7]),
    ({"type": "integer"}, [0, -1, 12345678901234567890], [1.5, "1", True]),
    ({"type": "integer", "minimum": -3, "exclusiveMaximum": 11}, [-3, 0, 10], [-4, 11, 100]),
    ({"type": "number", "minimum": 0, "maximum": 2}, [0, 0.5, 1.999, 2, 2.0], [-0.5, 2.01, 3]),
    ({"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1}, [-0.99, 0, 0.5], [-1, 1, 1.0, -1.5]),
    ({"type": "boolean"}, [True, False], [None, "true", 1]),
    ({"type": "null"}, [None], [False, "null"]),
    ({"type": ["string", "null"]}, ["", None], [1]),
    ({"type": "array", "items": {"type": "boolean"}}, [[], [True], [True, False]], [[1], {}]),
    (
        {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2},
        [[None], [None, None]],
        [[], [None] * 3],
    ),
    ({"type": "array", "items": False}, [[]], [[1]]),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [None, 1.5]),
    ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}},
            "required": ["b"],
            "additionalProperties": False,
        },
        [{"b": ""}, {"a": 1, "b": ""}, {"b": "", "c": None}, {"a": 1, "b": "x", "c": None}],
        [{}, {"a": 1}, {"b": 1}, {"b": "", "d": 1}],
    ),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
        [{}, {"a": 1}, {"a": 1, "b": "x"}, {"ab": "y"}, {"": "z"}],
        [{"a": "x"}, {"b": 1}],
    ),
    ({"type": "object", "required": ["z"]}, [{"z": 1}, {"z": [], "a": 2}], [{}, {"a": 2}]),
    ({"properties": {"a": {"type": "string"}}}, [1, "x", {"a": "b"}, []], [{"a": 1}]),
    ({"minLength": 3}, ["abc", 1, None, {}], ["ab"]),
    (
        {"$ref": "#/$defs/tree", "$defs": {"tree": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
            "required": ["v"],
            "additionalProperties": False,
        }}},
        [{"v": 1}, {"v": 1, "next": None}, {"v": 1, "next": {"v": 2, "next": {"v": 3}}}],
        [{}, {"v": 1, "next": {}}],
    ),
    ({"type": "array", "items": {"$ref": "#"}}, [[], [[]], [[], [[]]]], [[1], {}]),
    (True, [1, "a", {"b": [None]}], []),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=lambda value: json.dumps(value)[:60])
def test_a_grammar_admits_what_the_schema_admits_and_nothing_else(
    schema: Any, valid: list[Any], invalid: list[Any], lark_admits: Admits, gbnf_admits: Admits
) -> None:
    grammar = grammars.compile(schema)
    for value in valid:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert lark_admits(grammar, text), text
        assert gbnf_admits(grammar, text), text
    for value in invalid:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert not lark_admits(grammar, text), text
        assert not gbnf_admits(grammar, text), text


@pytest.mark.parametrize("spacing", Spacing)
def test_spacing_is_enforced(spacing: Spacing, lark_admits: Admits) -> None:
    grammar = grammars.compile(
        {"type": "object", "required": ["a"], "properties": {"a": {"const": [1, 2]}}}, spacing=spacing
    )
    admitted = {text: lark_admits(grammar, text) for text in ('{"a":[1,2]}', '{"a": [1, 2]}', '{ "a" :\n[1,2] }')}
    assert (
        list(admitted.values())
        == {
            Spacing.COMPACT: [True, False, False],
            Spacing.SPACED: [False, True, False],
            Spacing.FLEXIBLE: [True, True, True],
        }[spacing]
    )


def test_an_unknown_assertion_is_refused_by_keyword_and_pointer() -> None:
    schema = {"type": "object", "properties": {"a/b": {"type": "string", "pattern": "(x)\\1"}}}
    with pytest.raises(UnsupportedSchema, match="pattern") as caught:
        grammars.compile(schema)
    assert caught.value.keyword == "pattern"
    assert caught.value.pointer == "/properties/a~1b"


def test_without_strict_an_unknown_assertion_is_widened_and_reported(lark_admits: Admits) -> None:
    grammar = grammars.compile({"type": "string", "pattern": "(x)\\1"}, strict=False)
    assert [entry.keyword for entry in grammar.report.widened] == ["pattern"]
    assert not grammar.report.is_exact
    assert lark_admits(grammar, '"y"')


def test_annotations_are_reported_and_not_refused() -> None:
    report = grammars.compile({"type": "string", "title": "T", "x-mine": 1, "format": "colour"}).report
    assert {entry.keyword for entry in report.annotations} == {"title", "x-mine", "format"}


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"const": 1, "type": "string"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    ],
    ids=json.dumps,
)
def test_a_schema_that_nothing_satisfies_is_refused(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchema):
        grammars.compile(schema)


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "text"}, "type"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"properties": []}, "properties"),
        ({"minLength": -1}, "minLength"),
        ({"required": "a"}, "required"),
        ([], "schema"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_refused_with_the_word_that_is_wrong(schema: Any, word: str) -> None:
    with pytest.raises(grammars.InvalidSchema, match=word):
        grammars.compile(schema)


def test_remote_references_are_never_followed() -> None:
    with pytest.raises(UnsupportedSchema, match="ref"):
        grammars.compile({"$ref": "http://localhost:1/schema.json"})


def test_a_schema_nested_too_deep_ends_in_a_clear_error() -> None:
    schema: Any = {"type": "string"}
    for _ in range(10_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises((grammars.LimitExceeded, grammars.InvalidSchema)):
        grammars.compile(schema)


def test_closed_objects_take_only_the_listed_keys(lark_admits: Admits) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert lark_admits(grammars.compile(schema), '{"a":1,"b":2}')
    closed = grammars.compile(schema, closed=True)
    assert not lark_admits(closed, '{"a":1,"b":2}')
    assert [entry.note for entry in closed.report.narrowed] == ["only the listed properties"]


def test_an_escaped_spelling_of_a_known_key_does_not_slip_through(lark_admits: Admits, gbnf_admits: Admits) -> None:
    grammar = grammars.compile({"type": "object", "properties": {"a": {"type": "integer"}}})
    for text in ('{"\\u0061":"no integer"}', '{"a":"x"}'):
        assert not lark_admits(grammar, text)
        assert not gbnf_admits(grammar, text)


def test_the_same_schema_is_compiled_once() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 17}}}
    assert grammars.compile(schema) is grammars.compile(json.loads(json.dumps(schema)))

"""Hostile schemas end in a clear error, soon and in little memory."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import grammars


def _nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def _exponential() -> Any:
    return {"allOf": [{"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(40)]}


def _dependencies() -> Any:
    return {"type": "object", "dependentRequired": {f"a{i}": [f"b{i}"] for i in range(60)}}


HOSTILE: dict[str, Callable[[], Any]] = {
    "10,000 deep": lambda: _nested(10_000),
    "300 deep": lambda: _nested(300),
    "2^40 alternatives": _exponential,
    "2^60 dependencies": _dependencies,
    "multiplied repetitions": lambda: {"type": "string", "pattern": "^(a{1,1000}){1,1000}$", "minLength": 3},
    "an exponential automaton": lambda: {"type": "string", "pattern": "a.{40}b", "maxLength": 90},
    "a long length": lambda: {"type": "string", "pattern": "^(ab|c)*d?$", "maxLength": 10**9},
    "a great least length": lambda: {"type": "string", "pattern": "^(ab|c)*$", "minLength": 10**9},
    "a property of characters that doesn't end": lambda: {"type": "string", "pattern": "^\\p{Lu$"},
    "a cycle without content": lambda: {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
    "a step with many remainders": lambda: {"type": "integer", "multipleOf": 1_000_003},
    "many overlapping branches": lambda: {
        "oneOf": [{"required": [f"k{i}"], "properties": {f"p{i}": {"type": "string"}}} for i in range(150)]
    },
}


@pytest.mark.timeout(20)  # a guard against hanging, not a measurement
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_ends_in_a_clear_error(name: str) -> None:
    schema = HOSTILE[name]()
    tracemalloc.start()
    try:
        with pytest.raises(grammars.GrammarError) as caught:
            grammars.compile(schema)
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 600


def test_large_bounds_stay_small() -> None:
    grammar = grammars.compile({"type": "string", "minLength": 100, "maxLength": 50_000})
    assert len(grammar.gbnf) < 5_000
    assert len(grammar.lark) < 5_000


def test_many_optional_keys_stay_linear() -> None:
    def size(count: int) -> int:
        properties = {f"key{i}": {"type": "string"} for i in range(count)}
        return len(grammars.compile({"type": "object", "properties": properties, "additionalProperties": False}).gbnf)

    assert size(400) < 5 * size(100)


def test_a_schema_of_real_size_compiles() -> None:
    properties = {f"field{i}": {"type": "array", "items": {"type": "integer", "minimum": i}} for i in range(300)}
    assert "field299" in grammars.compile({"type": "object", "properties": properties}).gbnf


def test_without_strict_a_schema_beyond_the_limits_is_left_to_validation() -> None:
    keys = {f"k{i}": {"type": "object", "properties": {f"p{j}": {} for j in range(100)}} for i in range(200)}
    schema = {"type": "object", "properties": keys}
    with pytest.raises(grammars.LimitExceeded):
        grammars.compile(schema)
    grammar = grammars.compile(schema, strict=False)
    assert [entry.keyword for entry in grammar.report.widened] == ["schema"]
    assert grammars.check(grammar, '{"k0":{"p0":1}}').admitted
    assert not grammars.check(grammar, "[]").admitted


@pytest.mark.parametrize("most", [1, 2])
def test_many_optional_keys_beside_a_greatest_count_are_written_in_both_languages(most: int) -> None:
    properties = {f"key{i}": {"type": "string"} for i in range(250)}
    schema = {"type": "object", "properties": properties, "maxProperties": most, "additionalProperties": False}
    grammar = grammars.compile(schema)
    assert grammars.check(grammar, '{"key249":"x"}').admitted
    assert not grammars.check(grammar, '{"key0":"x","key1":"x","key2":"x"}').admitted
    assert "key249" in grammar.lark

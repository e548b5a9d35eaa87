"""Schemas in parts, as documents have them, become whole ones that say the same and that a grammar can be made of."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars
from server.tools.openapi.merging import opened, whole

Json = dict[str, Any]


def has(name: str, *, needed: bool = False, **more: Any) -> Json:
    written: Json = {"type": "object", "properties": {name: {"type": "string"}}}
    return {**written, **({"required": [name]} if needed else {}), **more}


CASES: dict[str, tuple[Json, Json]] = {
    "two objects": (
        {"allOf": [has("a"), has("b", needed=True)], "description": "both"},
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"],
         "description": "both"},
    ),
    "one part": ({"allOf": [{"type": "string"}], "description": "x"}, {"type": "string", "description": "x"}),
    "no objects": ({"allOf": [{"type": "string"}, {"enum": ["a"]}]}, {"type": "string", "enum": ["a"]}),
    "common properties": (
        {**has("a"), "oneOf": [has("b", needed=True), {"required": ["a"]}]},
        {"oneOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        ]},
    ),
    "a base and variants": (
        {"allOf": [has("a"), {"oneOf": [has("b", needed=True)]}]},
        {"oneOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]}
        ]},
    ),
    "what can not be merged is open": (
        {"allOf": [has("a"), has("b", additionalProperties=False)]},
        {"allOf": [has("a", additionalProperties=True), has("b", additionalProperties=False)]},
    ),
    "no parts": (has("a"), has("a")),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_parts_become_a_whole(case: str) -> None:
    schema, wanted = CASES[case]
    assert whole(schema) == wanted


def test_the_whole_has_the_grammar_of_its_parts() -> None:
    schema = {"allOf": [has("a"), has("b", needed=True)]}
    for one in (schema, whole(schema)):
        compiled = grammars.compile(one, strict=False, closed=True)
        assert grammars.check(compiled, '{"a":"x","b":"y"}').admitted
        assert not grammars.check(compiled, '{"a":"x"}').admitted
        assert not grammars.check(compiled, '{"b":"y","c":1}').admitted


_LEAVES = st.sampled_from([
    has("a"), has("b", needed=True), has("a", needed=True), {"required": ["b"]}, {"type": "object"},
    {"properties": {"a": {"enum": ["x"]}}}, has("c", additionalProperties=False), {"minProperties": 1}, True, {},
    has("a", additionalProperties={"type": "string"}),
])  # fmt: skip
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        lambda base, key, parts: {**(base if isinstance(base, dict) else {}), key: parts},
        _LEAVES,
        st.sampled_from(["allOf", "oneOf", "anyOf"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def everywhere(schema: Any) -> Any:
    """From the inside out, as the reader of documents does it."""
    if not isinstance(schema, dict):
        return schema
    parts = {key: [everywhere(part) for part in schema[key]] for key in ("allOf", "oneOf", "anyOf") if key in schema}
    return whole({**schema, **parts})


@given(_SCHEMAS, st.integers(0, 2**32))
def test_a_whole_says_what_its_parts_say(schema: Any, seed: int) -> None:
    chance = random.Random(seed)
    before, after = Draft202012Validator(schema), Draft202012Validator(everywhere(schema))
    for _ in range(20):
        value = {name: chance.choice(["x", "y", 1]) for name in "abcd" if chance.random() < 0.5}
        assert before.is_valid(value) == after.is_valid(value)


def test_what_is_open_stays_what_it_was_otherwise() -> None:
    assert opened(has("a", additionalProperties=False)) == has("a", additionalProperties=False)
    assert opened(True) is True

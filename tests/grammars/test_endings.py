"""The shortest end is one, from every byte of every text; and no text of the grammar ends earlier."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars
from grammars import CompiledGrammar, Endings, LimitExceeded, Node
from grammars.tree import Rule, chars, other_chars

from .conftest import RandomWalk
from .schemas import COMBINED_SCHEMAS, SCHEMAS

Admits = Callable[[CompiledGrammar, str], bool]
_relaxed = settings(suppress_health_check=list(HealthCheck), max_examples=100)


def end_after(node: Node, text: str | bytes) -> bytes:
    place = Endings(node).begin().after(text.encode() if isinstance(text, str) else text)
    assert place is not None
    return place.end


def compiled(schema: Any) -> Node:
    return grammars.compile_schema(schema).node


@_relaxed
@given(schema=SCHEMAS, seed=st.integers(0, 2**32), data=st.data())
def test_any_beginning_of_any_text_is_brought_to_a_valid_end(
    schema: Any, seed: int, data: st.DataObject, lark_admits: Admits
) -> None:
    node = compiled(schema)
    text = RandomWalk(seed).write(node).encode()
    cut = data.draw(st.integers(0, len(text)))
    end = end_after(node, text[:cut])
    assert len(end) <= len(text) - cut
    whole = (text[:cut] + end).decode()
    Draft202012Validator(schema).validate(json.loads(whole))
    assert lark_admits(grammars.emit(node), whole)


@_relaxed
@given(schema=COMBINED_SCHEMAS, seed=st.integers(0, 2**32), data=st.data())
def test_combined_schemas_are_brought_to_an_end_too(
    schema: Any, seed: int, data: st.DataObject, lark_admits: Admits
) -> None:
    try:
        node = compiled(schema)
        text = RandomWalk(seed).write(node).encode()
    except (grammars.GrammarError, RecursionError):
        return
    cut = data.draw(st.integers(0, len(text)))
    end = end_after(node, text[:cut])
    assert len(end) <= len(text) - cut
    assert lark_admits(grammars.emit(node), (text[:cut] + end).decode())


@_relaxed
@given(schema=SCHEMAS, seed=st.integers(0, 2**32), cut=st.integers(0, 60), spoiled=st.binary(min_size=1, max_size=3))
def test_what_the_grammar_has_not_leads_nowhere(
    schema: Any, seed: int, cut: int, spoiled: bytes, lark_admits: Admits
) -> None:
    """Whatever has an end is admitted with it, also behind bytes that nobody chose for the grammar."""
    node = compiled(schema)
    beginning = RandomWalk(seed).write(node).encode()[:cut] + spoiled
    place = Endings(node).begin().after(beginning)
    if place is not None:
        assert lark_admits(grammars.emit(node), (beginning + place.end).decode())


@pytest.mark.parametrize(
    ("schema", "text", "end"),
    [
        ({"type": "string"}, '"Os', '"'),
        ({"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]}, "", '{"a":[]}'),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}, '{"a":[{"c"', ":0}]}"),
        ({"enum": ["metric", "us"]}, '"', 'us"'),
        ({"enum": ["metric", "us"]}, '"m', 'etric"'),
        ({"type": "string", "minLength": 4}, '"é', '000"'),
        ({"type": "integer", "minimum": 250}, "2", "50"),
        ({"type": ["boolean", "null"]}, "", "true"),
    ],
)
def test_the_end_is_the_shortest(schema: Any, text: str, end: str) -> None:
    assert end_after(compiled(schema), text).decode() == end


def test_a_character_is_finished_with_one_that_is_allowed() -> None:
    node = grammars.sequence(chars("aéêж"), grammars.literal("!"))
    assert end_after(node, "é".encode()[:1]) == "é".encode()[1:] + b"!"
    assert end_after(node, "ж".encode()[:1]) == "ж".encode()[1:] + b"!"
    assert Endings(node).begin().after("я".encode()[:1]) is None
    clef = "𝄞".encode()
    for cut in (1, 2, 3):
        whole = clef[:cut] + end_after(grammars.sequence(other_chars(chars("!")), grammars.literal("!")), clef[:cut])
        assert len(whole.decode()) == 2


def test_a_whole_text_is_at_its_end_though_more_may_follow() -> None:
    digits = grammars.repeat(chars("0123456789"), 1)
    place = Endings(digits).begin().after(b"12")
    assert place is not None
    assert place.is_end
    assert place.end == b""
    assert not Endings(digits).begin().is_end


def test_recursion_ends_where_it_can() -> None:
    value = Rule("value")
    value.define(grammars.choice(grammars.sequence(chars("["), value, chars("]")), grammars.literal("0")))
    assert end_after(value, "") == b"0"
    assert end_after(value, "[[[") == b"0]]]"


def test_a_grammar_without_a_finite_text_is_refused() -> None:
    endless = Rule("endless")
    endless.define(grammars.sequence(chars("a"), endless))
    with pytest.raises(LimitExceeded, match="no text"):
        Endings(endless)


def test_a_rule_that_begins_with_itself_is_refused_and_not_followed_for_ever() -> None:
    left = Rule("left")
    left.define(grammars.choice(grammars.sequence(left, chars("a")), grammars.literal("b")))
    with pytest.raises(LimitExceeded, match="ambiguous"):
        Endings(grammars.sequence(chars("!"), left))

"""The promise: every text of a grammar validates against its schema, in whichever engine it runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars
from grammars import CompiledGrammar, Spacing

from .conftest import RandomWalk, assert_what_is_written_validates
from .schemas import COMBINED_SCHEMAS, SCHEMAS

Admits = Callable[[CompiledGrammar, str], bool]
_relaxed = settings(suppress_health_check=list(HealthCheck))


@_relaxed
@given(schema=SCHEMAS, spacing=st.sampled_from(Spacing), seed=st.integers(0, 2**32))
def test_whatever_a_grammar_writes_validates(schema: Any, spacing: Spacing, seed: int) -> None:
    fragment = grammars.compile_schema(schema, spacing=spacing)
    text = RandomWalk(seed).write(fragment.node)
    Draft202012Validator(schema).validate(json.loads(text))


@_relaxed
@given(schema=COMBINED_SCHEMAS, seed=st.integers(0, 2**32))
def test_whatever_combined_schemas_write_validates(schema: Any, seed: int) -> None:
    assert_what_is_written_validates(schema, seed)


@_relaxed
@given(schema=COMBINED_SCHEMAS, seed=st.integers(0, 2**32))
def test_both_engines_admit_what_combined_schemas_write(
    schema: Any, seed: int, lark_admits: Admits, gbnf_admits: Admits
) -> None:
    try:
        fragment = grammars.compile_schema(schema)
    except grammars.GrammarError:
        return
    text = RandomWalk(seed).write(fragment.node)
    grammar = grammars.emit(fragment.node)
    assert lark_admits(grammar, text)
    assert gbnf_admits(grammar, text)


@_relaxed
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_both_engines_admit_what_the_grammar_writes(
    schema: Any, seed: int, lark_admits: Admits, gbnf_admits: Admits
) -> None:
    fragment = grammars.compile_schema(schema)
    grammar = grammars.emit(fragment.node)
    text = RandomWalk(seed).write(fragment.node)
    assert lark_admits(grammar, text)
    assert gbnf_admits(grammar, text)


@pytest.mark.parametrize("seed", range(40))
def test_any_json_value_is_written_and_admitted(seed: int, lark_admits: Admits, gbnf_admits: Admits) -> None:
    node = grammars.json_value()
    text = RandomWalk(seed).write(node)
    json.loads(text)
    assert lark_admits(grammars.emit(node), text)
    assert gbnf_admits(grammars.emit(node), text)

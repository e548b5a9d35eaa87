"""Under a budget every text of a grammar comes to a legal end, whatever the model wants to say."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars
from grammars import Endings
from server.engine.engine import _grammars
from server.engine.errors import AnswerTooLongError
from server.engine.guide import Grammars, Guide
from server.engine.model import Model
from server.engine.sequence import Event, Sequence, is_over
from server.engine.types import Constraint, Finished, GenerationRequest, Sampling, TextDelta, TokenLogprob
from tests.grammars.schemas import OBJECT_SCHEMAS

PROMPT = (5, 6, 7)
CALL = grammars.sequence(
    grammars.literal("<tool_call>"),
    grammars.compile_schema({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}).node,
    grammars.literal("</tool_call>"),
)
SHORTEST = '<tool_call>{"city":""}</tool_call>'
engines = pytest.mark.parametrize("engine", ["llguidance", "llama.cpp"])
_relaxed = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def both(model: Model) -> dict[str, Grammars]:
    return {engine: _grammars(model, engine) for engine in ("llguidance", "llama.cpp")}  # type: ignore[arg-type]


def constraint_of(node: grammars.Node, trigger: str | None = None) -> Constraint:
    compiled = grammars.emit(node)
    return Constraint(compiled.gbnf, compiled.lark, trigger, Endings(node))


def sequence_of(model: Model, engine: Grammars, constraint: Constraint, budget: int, **options: Any) -> Sequence:
    jumps = options.get("top_logprobs") is None
    guide = Guide(model.vocabulary, engine.matcher(constraint), constraint, jumps=jumps)
    request = GenerationRequest(PROMPT, Sampling(seed=1), constraint, max_tokens=budget, **options)
    return Sequence(request, guide, model.vocabulary, 4096)


def events_of(model: Model, sequence: Sequence, seed: int) -> Iterator[Event]:
    """What is said where the model's wishes are noise, and where it never ends by itself."""
    noise = np.random.default_rng(seed)
    events = sequence.begin()
    yield from events
    while not is_over(events):
        logits = noise.normal(0, 6, model.vocabulary.size).astype(np.float32)
        logits[list(model.vocabulary.end_tokens)] = -1000
        events = sequence.advance(logits)
        yield from events


def told(model: Model, sequence: Sequence, seed: int = 1) -> tuple[str, Finished]:
    events = list(events_of(model, sequence, seed))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]


def least(model: Model, engine: Grammars, constraint: Constraint) -> int:
    try:
        sequence_of(model, engine, constraint, 1)
    except AnswerTooLongError as error:
        return error.least
    return 1


@engines
@_relaxed
@given(schema=OBJECT_SCHEMAS, extra=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_every_text_is_whole_and_valid_within_its_budget(
    model: Model, both: dict[str, Grammars], engine: str, schema: dict[str, Any], extra: int, seed: int
) -> None:
    constraint = constraint_of(grammars.compile_schema(schema).node)
    budget = least(model, both[engine], constraint) + extra
    text, finished = told(model, sequence_of(model, both[engine], constraint, budget), seed)
    assert finished.reason in ("stop", "fitted")
    assert finished.usage.completion_tokens <= budget
    Draft202012Validator(schema).validate(json.loads(text))


@_relaxed
@given(schema=OBJECT_SCHEMAS, extra=st.integers(0, 20), seed=st.integers(0, 2**32))
def test_with_log_probabilities_every_token_has_one(
    model: Model, both: dict[str, Grammars], schema: dict[str, Any], extra: int, seed: int
) -> None:
    constraint = constraint_of(grammars.compile_schema(schema).node)
    budget = least(model, both["llguidance"], constraint) + extra
    sequence = sequence_of(model, both["llguidance"], constraint, budget, top_logprobs=0)
    events = list(events_of(model, sequence, seed))
    assert [e.token for e in events if isinstance(e, TokenLogprob)] == sequence.output
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    Draft202012Validator(schema).validate(json.loads(text))
    assert len(sequence.output) <= budget


@engines
def test_the_least_budget_is_enough_and_less_is_refused(model: Model, both: dict[str, Grammars], engine: str) -> None:
    constraint = constraint_of(CALL)
    enough = least(model, both[engine], constraint)
    assert enough == len(model.vocabulary.spelled(SHORTEST.encode()))
    text, finished = told(model, sequence_of(model, both[engine], constraint, enough))
    assert finished.usage.completion_tokens == enough
    assert isinstance(json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))["city"], str)
    with pytest.raises(AnswerTooLongError, match=f"at least {enough}"):
        sequence_of(model, both[engine], constraint, enough - 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_call_that_free_text_leaves_no_room_for_is_not_begun(
    model: Model, both: dict[str, Grammars], seed: int
) -> None:
    constraint = constraint_of(CALL, trigger="<tool_call>")
    sequence = sequence_of(model, both["llguidance"], constraint, 4)
    trigger = model.vocabulary.tokenize("<tool_call>")
    assert len(trigger) == 1
    logits = np.random.default_rng(seed).normal(0, 1, model.vocabulary.size).astype(np.float32)
    logits[trigger[0]] = 1000
    (finished,) = sequence.advance(logits)
    assert isinstance(finished, Finished)
    assert (finished.reason, sequence.output) == ("length", [])


@pytest.mark.parametrize("budget", [14, 20, 40])
def test_a_call_behind_free_text_is_whole_too(model: Model, both: dict[str, Grammars], budget: int) -> None:
    sequence = sequence_of(model, both["llguidance"], constraint_of(CALL, trigger="<tool_call>"), budget)
    (trigger,) = model.vocabulary.tokenize("<tool_call>")
    wish = np.zeros(model.vocabulary.size, dtype=np.float32)
    wish[trigger] = 1000
    events = sequence.advance(wish)
    noise = np.random.default_rng(3)
    while not is_over(events):
        events = sequence.advance(noise.normal(0, 6, model.vocabulary.size).astype(np.float32))
    text = b"".join(model.vocabulary.pieces[token] for token in sequence.output).decode()
    assert isinstance(json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))["city"], str)
    assert len(sequence.output) <= budget


def test_free_text_that_runs_out_is_cut_as_ever(model: Model, both: dict[str, Grammars]) -> None:
    sequence = sequence_of(model, both["llguidance"], constraint_of(CALL, trigger="<tool_call>"), 6)
    events: list[Event] = []
    (trigger,) = model.vocabulary.tokenize("<tool_call>")
    wish = np.zeros(model.vocabulary.size, dtype=np.float32)
    wish[[*model.vocabulary.end_tokens, trigger]] = -1000
    while not is_over(events):
        events = sequence.advance(wish)
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, len(sequence.output)) == ("length", 6)


@pytest.mark.parametrize("data", [b'"}', "né\n".encode(), b'\xa9"}', b"\xf0\x9d", b""])
def test_any_bytes_are_spelled_in_no_more_tokens_than_they_are(model: Model, data: bytes) -> None:
    tokens = model.vocabulary.spelled(data)
    assert b"".join(model.vocabulary.pieces[token] for token in tokens) == data
    assert len(tokens) <= len(data)

"""Both constraint engines hold the same grammars: llguidance, and llama.cpp's own sampler."""

import asyncio
import json
import re

import pytest

from server.engine.engine import GrammarEngine, _grammars
from server.engine.errors import InvalidGrammarError
from server.engine.guide import Grammars, Guide
from server.engine.model import Model
from server.engine.types import Constraint, GenerationRequest, Sampling

from .conftest import read, running_engine

CALL = 'root ::= "<tool_call>{\\"name\\":\\"get\\",\\"city\\":\\"" [a-z]{1,8} "\\"}</tool_call>"'
ENGINES = ("llguidance", "llama.cpp")


@pytest.fixture(params=ENGINES)
def grammars(request: pytest.FixtureRequest, model: Model) -> Grammars:
    return _grammars(model, request.param)


def test_the_mask_holds_what_may_come_and_nothing_else(model: Model, grammars: Grammars) -> None:
    pieces = model.vocabulary.pieces
    allowed = grammars.matcher(Constraint('root ::= [ab] "c"')).allowed().ids
    assert {pieces[token] for token in allowed} == {piece for piece in pieces if re.fullmatch(b"[ab]c?", piece)}


def test_the_end_is_allowed_where_the_text_may_end(model: Model, grammars: Grammars) -> None:
    matcher = grammars.matcher(Constraint('root ::= "a" "b"?'))
    ends = model.vocabulary.end_tokens
    assert not ends & set(matcher.allowed().ids.tolist())
    matcher.accept(list(model.vocabulary.tokenize("a", parse_special=False)))
    assert ends & set(matcher.allowed().ids.tolist())
    assert not matcher.is_complete
    matcher.accept(list(model.vocabulary.tokenize("b", parse_special=False)))
    assert matcher.is_complete


def test_control_tokens_are_no_text(model: Model, grammars: Grammars) -> None:
    vocabulary = model.vocabulary
    allowed = set(grammars.matcher(Constraint("root ::= [^x]{30}")).allowed().ids.tolist())
    controls = {token for token in range(vocabulary.size) if not vocabulary.pieces[token]}
    assert controls
    assert not allowed & controls


def test_what_is_asked_does_not_move_the_state(model: Model, grammars: Grammars) -> None:
    matcher = grammars.matcher(Constraint('root ::= "one two"'))
    tokens = list(model.vocabulary.tokenize("one two", parse_special=False))
    assert matcher.can_accept(tokens)
    assert not matcher.can_accept([*tokens[:-1], tokens[0]])
    matcher.accept(tokens)
    assert matcher.is_complete


def test_two_sequences_under_one_grammar_do_not_share_their_state(model: Model, grammars: Grammars) -> None:
    constraint = Constraint('root ::= "a" "b"')
    first, second = grammars.matcher(constraint), grammars.matcher(constraint)
    first.accept(list(model.vocabulary.tokenize("ab", parse_special=False)))
    assert first.is_complete
    assert not second.is_complete


def test_a_broken_grammar_is_refused_with_a_reason(grammars: Grammars) -> None:
    with pytest.raises(InvalidGrammarError, match="grammar can't be"):
        grammars.matcher(Constraint("root ::= (unclosed"))


def test_a_guide_without_a_trigger_is_free(model: Model, grammars: Grammars) -> None:
    constraint = Constraint(CALL, trigger="<tool_call>")
    assert Guide(model.vocabulary, grammars.matcher(constraint), constraint).allowed() is None


def test_free_text_ends_no_call_that_never_began(model: Model, grammars: Grammars) -> None:
    vocabulary = model.vocabulary
    (begin,), (end,) = vocabulary.tokenize("<tool_call>"), vocabulary.tokenize("</tool_call>")
    constraint = Constraint(CALL, trigger="<tool_call>")
    barred = ("</tool_call>", "<no token>", "<|end|>")
    guide = Guide(vocabulary, grammars.matcher(constraint), constraint, barred=barred, jumps=False)
    for token in (*vocabulary.tokenize("Now: "), begin):
        assert (allowed := guide.allowed()) is not None
        assert set(range(vocabulary.size)) - set(allowed.ids.tolist()) == {end}
        guide.follow(token)
    for token in vocabulary.tokenize('{"name":"get","city":"oslo"}', parse_special=False):
        guide.follow(token)
    assert (allowed := guide.allowed()) is not None
    assert end in allowed.ids


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("speculate", ["off", "lookup"])
async def test_answers_hold_at_any_temperature_several_at_once(
    model: Model, engine: GrammarEngine, speculate: str
) -> None:
    async with running_engine(model, grammar_engine=engine, speculate=speculate) as running:  # type: ignore[arg-type]
        prompt = running.tokenize("<|user|>Where?<|end|><|assistant|>")
        requests = [
            GenerationRequest(prompt, Sampling(seed=seed, temperature=2.0), Constraint(CALL), max_tokens=60)
            for seed in range(4)
        ]
        generations = [await running.submit(request) for request in requests]
        for text, finished in await asyncio.gather(*map(read, generations)):
            assert json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))["name"] == "get"
            assert finished.reason == "stop"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_lazy_grammar_begins_with_its_trigger(model: Model, engine: GrammarEngine) -> None:
    async with running_engine(model, grammar_engine=engine) as running:  # type: ignore[arg-type]
        prompt = running.tokenize("<|user|>Where?<|end|><|assistant|>")
        sampling = Sampling(temperature=0, logit_bias={running.tokenize("<tool_call>")[0]: 100.0})
        constraint = Constraint(CALL, trigger="<tool_call>")
        text, _ = await read(await running.submit(GenerationRequest(prompt, sampling, constraint, max_tokens=60)))
        assert json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))["name"] == "get"

"""Prompt lookup: it may only make things faster."""

import pytest

from server.engine.engine import Engine, EngineSettings
from server.engine.model import Model
from server.engine.speculation import Economy, Lookup, StepCost
from server.engine.types import Constraint, GenerationRequest, Sampling
from tests.server.engine.conftest import read

COPY = "one two three four five six seven eight nine ten. " * 3
NEVER_ENDS = {1: -100.0}
CHOICE = 'root ::= "{" pair (", " pair)* "}"\npair ::= "\\"" [a-z]{1,3} "\\": " [0-9]{1,4}\n'


def requests(engine: Engine, temperature: float) -> list[GenerationRequest]:
    found = []
    for number, text in enumerate((COPY, "a b a b a b a b a", COPY + "one two", '{"a": 12, "b": 12, "a": 12')):
        sampling = Sampling(temperature=temperature, seed=number, logit_bias=NEVER_ENDS)
        constraint = Constraint(CHOICE) if text.startswith("{") else None
        found.append(GenerationRequest(engine.tokenize(text), sampling, constraint, max_tokens=60))
    return found


async def answers(model: Model, mode: str, temperature: float) -> tuple[list[str], int]:
    engine = Engine(model, EngineSettings(threads=1, speculate=mode))  # type: ignore[arg-type]
    engine.start()
    try:
        # one after the other: with others in the batch, llama.cpp's kernels differ in the last bits
        texts = [(await read(await engine.submit(request)))[0] for request in requests(engine, temperature)]
        return texts, engine.stats.accepted_tokens
    finally:
        await engine.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
async def test_drafts_do_not_change_a_single_token(model: Model, temperature: float) -> None:
    """Also above 0: each position is drawn with the same random number from the same distribution."""
    plain, none = await answers(model, "off", temperature)
    drafted, accepted = await answers(model, "lookup", temperature)
    assert drafted == plain
    assert none == 0 < accepted or temperature > 0


def test_what_followed_the_last_two_tokens_is_proposed() -> None:
    lookup = Lookup()
    assert lookup.propose([1, 2, 3, 4, 1, 2], 3) == [3, 4, 1]
    assert lookup.propose([1, 2, 3, 4, 1, 2, 3, 4], 1) == [1]
    assert lookup.propose([1, 2, 3, 4, 1, 9], 3) == []
    assert lookup.propose([7, 8], 3) == []


def test_the_latest_occurrence_counts_and_tokens_may_be_taken_back() -> None:
    lookup = Lookup()
    assert lookup.propose([1, 2, 3, 1, 2, 4, 1, 2], 1) == [4]
    assert lookup.propose([1, 2, 3, 1, 2], 1) == []
    assert lookup.propose([5, 6, 1, 2], 2) == []


def test_drafts_stop_where_they_do_not_pay_and_are_tried_again() -> None:
    economy = Economy()
    lengths = []
    for _ in range(200):
        length = economy.length(0.3)
        lengths.append(length)
        if length:
            economy.learn(length, 0)
    assert lengths[0] > 0
    assert lengths.count(0) > 150
    assert any(lengths[20:])


def test_drafts_grow_where_they_are_right() -> None:
    economy = Economy()
    first = economy.length(0.1)
    for _ in range(20):
        economy.learn(4, 4)
    assert economy.length(0.1) > first


def test_the_cost_of_a_token_is_read_off_the_steps() -> None:
    cost = StepCost()
    for tokens in (1, 1, 2, 4, 8, 1, 3):
        cost.learn(tokens, 0.05 + 0.01 * tokens)
    assert cost.marginal == pytest.approx(0.01 / 0.06)

"""Guessing ahead: nothing changes but the number of steps."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.engine import Engine
from server.engine.lookup import PromptLookup
from server.engine.model import Model
from server.engine.speculation import BatchCost, HitRate, Speculation
from server.engine.types import Constraint, GenerationRequest, Sampling

from .conftest import read, running_engine

COPY = Constraint("root ::= [A-Za-z0-9: ]{1,60}")
LAZY = Constraint('root ::= "Oslo" (" Lima" | " Kewo") [.!]', trigger="Oslo")
FREE = (
    "Repeat: Lima 5:40 Kewo Oslo",
    "Write this again: 12 pm Zuhezi FQ598 Hinvu 9:40 K7TX",
    "Say Babu Kewo 12:40 ZXT45 Oslo Lima",
)
"""What the model that ships is sure of: a batch of another width rounds otherwise, which may turn a near tie."""


@pytest.fixture(autouse=True)
def _guesses_pay(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small model, or a busy machine, they may not; what is tested is what they do to the text."""
    if "model" in request.fixturenames:
        monkeypatch.setattr(BatchCost, "best_width", lambda _self, _rate, *, longest, **_: longest)


def ask(engine: Engine, text: str, **options: object) -> GenerationRequest:
    options.setdefault("max_tokens", 60)
    options.setdefault("sampling", Sampling(temperature=0))
    return GenerationRequest(engine.tokenize(f"<|user|>{text}<|end|><|assistant|>"), **options)  # type: ignore[arg-type]


async def answers(model: Model, *, speculates: bool, **options: object) -> tuple[list[str], int]:
    """The texts of three requests at once, and how many guesses were right."""
    async with running_engine(model) as engine:
        requests = [ask(engine, text, speculates=speculates, **options) for text in FREE]
        generations = [await engine.submit(request) for request in requests]
        texts = [text for text, _ in await asyncio.gather(*map(read, generations))]
        return texts, engine.stats.accepted_tokens


@pytest.mark.parametrize("constraint", [None, COPY, LAZY])
async def test_at_temperature_zero_the_texts_are_the_same(model: Model, constraint: Constraint | None) -> None:
    plain, _ = await answers(model, speculates=False, constraint=constraint)
    guessed, _ = await answers(model, speculates=True, constraint=constraint)
    assert guessed == plain


async def test_with_a_seed_the_same_random_numbers_draw_the_same_tokens(model: Model) -> None:
    sampling = Sampling(temperature=0.7, seed=11)
    plain, _ = await answers(model, speculates=False, sampling=sampling)
    guessed, _ = await answers(model, speculates=True, sampling=sampling)
    assert guessed == plain


async def test_copied_text_needs_fewer_steps(model: Model) -> None:
    async with running_engine(model) as engine:
        bias = dict.fromkeys(engine.tokenize(" na", parse_special=False)[-1:], 100.0)
        sampling = Sampling(temperature=0, logit_bias=bias)
        steps = []
        for speculates in (False, True):
            before = engine.stats.steps
            _, finished = await read(
                await engine.submit(ask(engine, "Sing.", sampling=sampling, speculates=speculates))
            )
            assert finished.usage.completion_tokens == 60
            steps.append(engine.stats.steps - before)
        assert steps[1] < steps[0] / 3
        assert engine.stats.accepted_tokens > 30


async def test_above_temperature_zero_the_distribution_is_the_same(model: Model) -> None:
    """A chi-squared test of two samples over the last two of twelve tokens, drawn from three."""
    counts: list[Counter[str]] = []
    async with running_engine(model) as engine:
        letters = {engine.tokenize(letter, parse_special=False)[-1]: 100.0 for letter in "xyz"}
        for speculates, first in ((False, 0), (True, 10_000)):
            requests = [
                ask(
                    engine,
                    "x y z",
                    max_tokens=12,
                    sampling=Sampling(temperature=4.0, seed=first + n, logit_bias=letters),
                    speculates=speculates,
                )
                for n in range(120)
            ]
            generations = [await engine.submit(request) for request in requests]
            texts = [text for text, _ in await asyncio.gather(*map(read, generations))]
            counts.append(Counter(text[-2:] for text in texts))
        assert engine.stats.drafted_tokens > engine.stats.accepted_tokens > 50
    pairs = counts[0] | counts[1]
    statistic = sum((counts[0][c] - counts[1][c]) ** 2 / (counts[0][c] + counts[1][c]) for c in pairs)
    assert len(pairs) > 3
    assert statistic < 26.1  # at most 8 degrees of freedom, p = 0.001


async def test_a_cache_without_room_for_guesses_still_answers(model: Model) -> None:
    async with running_engine(model, kv_cells=128, context_length=128, sequences=2) as engine:
        request = ask(engine, "one two one two one two one two", max_tokens=None, speculates=True)
        generations = [await engine.submit(request) for _ in range(3)]
        results = await asyncio.gather(*map(read, generations))
        assert len({text for text, _ in results}) == 1


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 8))
def test_a_guess_continues_an_earlier_occurrence(tokens: list[int], count: int) -> None:
    guess = PromptLookup().propose(tokens, count)
    assert len(guess) in (0, count)
    if guess:
        gram = tokens[-2:]
        whole = tokens + guess
        assert any(tokens[i : i + 2] == gram and whole[i + 2 : i + 2 + count] == guess for i in range(len(tokens) - 2))


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30), st.integers(0, 30))
def test_the_index_forgets_what_was_taken_back(one: list[int], other: list[int], kept: int) -> None:
    lookup = PromptLookup()
    lookup.propose(one, 4)
    tokens = one[:kept] + other
    if lookup.propose(tokens, 4):
        assert any(tokens[i : i + 2] == tokens[-2:] for i in range(len(tokens) - 2))


def measured(base: float, slope: float) -> BatchCost:
    cost = BatchCost()
    for tokens in range(1, 40):
        cost.observe(tokens, base + slope * tokens)
    return cost


def test_the_width_follows_the_hit_rate_and_the_cost() -> None:
    flat, steep = measured(0.040, 0.001), measured(0.001, 0.010)
    widths = [flat.best_width(HitRate(rate), longest=15, tokens=1, streams=1) for rate in (0.01, 0.5, 0.95)]
    assert 0 == widths[0] < widths[1] < widths[2] == 15
    assert steep.best_width(HitRate(0.5), longest=15, tokens=1, streams=1) == 0
    assert flat.best_width(HitRate(0.5), longest=15, tokens=40, streams=40) == 0


def test_a_width_never_tried_is_tried_once() -> None:
    cost = BatchCost()
    cost.observe(1, 0.010)
    assert cost.best_width(HitRate(0.9), longest=15, tokens=1, streams=1) == 15
    for width in range(2, 20):
        cost.observe(width, 0.5)
    assert cost.best_width(HitRate(0.9), longest=15, tokens=1, streams=1) == 0


def test_a_batch_too_wide_to_be_measured_is_not_taken_for_free() -> None:
    cost = BatchCost()
    for tokens in range(1, 129):
        cost.observe(tokens, 0.010 * tokens)
    assert cost.seconds(256) == pytest.approx(2.56, rel=0.05)
    assert cost.best_width(HitRate(0.5), longest=15, tokens=200, streams=16) == 0


class Wrong:
    def propose(self, _tokens: list[int], count: int) -> list[int]:
        return [9] * count


def test_a_sequence_stops_guessing_where_it_does_not_pay_and_begins_again_when_it_would() -> None:
    speculation, cost = Speculation(Wrong(), 7), measured(0.010, 0.004)
    tokens = [0] * 5
    tried = 0
    for _ in range(200):
        tried += bool(speculation.guess(tokens, cost, room=100, batch=1, streams=1))
        speculation.settle(0)
        tokens.append(0)
    assert tried <= 1
    for _ in range(40):
        speculation.guess(tokens, cost, room=100, batch=1, streams=1)
        hits = len(speculation.draft)
        speculation.settle(hits)
        tokens += [9] * (hits + 1)
    assert hits == 7

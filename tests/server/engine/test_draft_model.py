"""A draft model guesses: the texts stay the same, and guessing ends where it does not pay."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from server.engine.context import DecodeError, NoRoomError
from server.engine.draft_plan import DraftCost, DraftPlan
from server.engine.engine import Engine, EngineSettings
from server.engine.errors import ModelLoadError
from server.engine.model import Model
from server.engine.shared_vocabulary import count_shared
from server.engine.types import Constraint, GenerationRequest, Sampling
from tests.draft_models import write_deeper, write_exact, write_noisy, write_vocabulary
from tests.embedding_models import write_bert
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL, read
from tests.server.engine.test_speculation import COPY, FREE, LAZY, ask

WIDTH = 5


LONG = "Please copy Zunkusefo Tesbi Burpe VRTRMXS Zuhezi Hinvu Vorvilo Nintezene FQ598"
ENDLESS = Sampling(temperature=0, logit_bias={1: -100})


@pytest.fixture(scope="module")
def relatives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drafts by how well they guess."""
    folder = tmp_path_factory.mktemp("drafts")
    exact = write_exact(folder / "exact.gguf", MODEL)
    return {
        "itself": exact,
        "noisy": write_noisy(folder / "noisy.gguf", MODEL, 0.4),
        "wrong": write_noisy(folder / "wrong.gguf", MODEL, 8.0),
    }


@pytest.fixture(scope="module")
def model(relatives: dict[str, Path]) -> Iterator[Model]:
    """In the shipped 8-bit weights a batch of another width rounds otherwise, which may turn a near tie."""
    model = Model(relatives["itself"])
    yield model
    model.close()


@pytest.fixture
def always_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small model, or a busy machine, drafts may not pay; what is tested is what they do to the text."""
    monkeypatch.setattr(DraftPlan, "choose", lambda _self, candidates, _batch: (list(candidates), WIDTH))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each batch of the draft model."""
    seen: list[int] = []
    observe = DraftCost.observe
    monkeypatch.setattr(DraftCost, "observe", lambda self, n, seconds: (seen.append(n), observe(self, n, seconds))[1])
    return seen


@asynccontextmanager
async def drafting_engine(model: Model, draft: Path | None, **settings: int) -> AsyncIterator[Engine]:
    wanted = EngineSettings(threads=1, speculate="draft" if draft else "off", kv_type="f32", **settings)
    engine = Engine(model, wanted, Model(draft) if draft else None)
    engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def texts_of(engine: Engine, requests: list[GenerationRequest]) -> list[str]:
    generations = [await engine.submit(request) for request in requests]
    return [text for text, _ in await asyncio.gather(*map(read, generations))]


@pytest.mark.usefixtures("always_drafts")
@pytest.mark.parametrize("name", ["itself", "noisy", "wrong"])
@pytest.mark.parametrize("constraint", [None, COPY, LAZY])
async def test_at_temperature_zero_the_texts_are_the_same(
    model: Model, relatives: dict[str, Path], name: str, constraint: Constraint | None
) -> None:
    said = []
    for draft in (None, relatives[name]):
        async with drafting_engine(model, draft) as engine:
            said.append(await texts_of(engine, [ask(engine, text, constraint=constraint) for text in FREE]))
            stats = engine.stats
    assert said[0] == said[1]
    assert stats.drafted_tokens > 0
    if constraint is None and name == "itself":
        assert stats.drafted_tokens - stats.accepted_tokens <= len(FREE)  # ends of answers are no tokens of theirs
    if constraint is None and name == "wrong":
        assert stats.accepted_tokens < stats.drafted_tokens / 5


@pytest.mark.usefixtures("always_drafts")
async def test_a_model_that_guesses_itself_saves_its_steps(model: Model, relatives: dict[str, Path]) -> None:
    steps = []
    for draft in (None, relatives["itself"]):
        async with drafting_engine(model, draft) as engine:
            await texts_of(engine, [ask(engine, LONG)])
            steps.append(engine.stats.steps)
    assert steps[1] <= steps[0] / WIDTH


@pytest.mark.usefixtures("always_drafts")
async def test_with_a_seed_the_same_random_numbers_draw_the_same_tokens(
    model: Model, relatives: dict[str, Path]
) -> None:
    sampling = Sampling(temperature=0.7, seed=11)
    said = []
    for draft in (None, relatives["noisy"]):
        async with drafting_engine(model, draft) as engine:
            said.append(await texts_of(engine, [ask(engine, text, sampling=sampling) for text in FREE]))
    assert said[0] == said[1]


@pytest.mark.usefixtures("always_drafts")
@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=8.0, top_k=3), Sampling(temperature=8.0, top_k=4, top_p=0.9)]
)
async def test_above_temperature_zero_the_distribution_is_the_same(
    model: Model, relatives: dict[str, Path], sampling: Sampling
) -> None:
    """A chi-squared test of two samples, with seeds of their own, over three tokens, of which the second is guessed."""
    counts: list[Counter[str]] = []
    for draft, first in ((None, 0), (relatives["itself"], 10_000)):
        async with drafting_engine(model, draft, waiting=500) as engine:
            seeds = range(first, first + 500)
            question = "Where is the church?"
            requests = [ask(engine, question, max_tokens=3, sampling=replace(sampling, seed=seed)) for seed in seeds]
            counts.append(Counter(await texts_of(engine, requests)))
            stats = engine.stats
    assert 100 < stats.accepted_tokens < stats.drafted_tokens / 2
    assert is_one_distribution(*counts)


def is_one_distribution(one: Counter[str], other: Counter[str]) -> bool:
    """At p = 0.001, by the approximation of Wilson and Hilferty; what was seen less than 20 times is one class."""
    common = [text for text, count in (one + other).items() if count >= 20]
    pairs = [(one[text], other[text]) for text in common]
    pairs.append((one.total() - sum(a for a, _ in pairs), other.total() - sum(b for _, b in pairs)))
    freedom = len(pairs) - 1
    assert freedom > 3
    statistic = sum((a - b) ** 2 / (a + b) for a, b in pairs if a + b)
    spread = 2 / (9 * freedom)
    return statistic < freedom * (1 - spread + 3.09 * spread**0.5) ** 3


@pytest.mark.usefixtures("always_drafts")
async def test_several_streams_are_drafted_in_one_batch(model: Model, batches: list[int]) -> None:
    async with drafting_engine(model, MODEL) as engine:
        await texts_of(engine, [ask(engine, "Sing.", sampling=ENDLESS) for _ in range(6)])
        assert engine.stats.accepted_tokens > 200
    assert Counter(batches).most_common(1)[0][0] == 6


@pytest.mark.usefixtures("always_drafts")
async def test_the_draft_model_reads_long_prompts_in_chunks_and_shares_them(model: Model, batches: list[int]) -> None:
    async with drafting_engine(model, MODEL, prefill_chunk=32) as engine:
        request = ask(engine, " ".join(FREE) * 3, sampling=ENDLESS)
        assert len(request.prompt) > 200
        await texts_of(engine, [request])
        assert sum(count > WIDTH for count in batches) >= len(request.prompt) // 32
        assert max(batches) <= 32
        batches.clear()
        await texts_of(engine, [request])
        assert max(batches) <= WIDTH


@pytest.mark.usefixtures("always_drafts")
async def test_parked_and_cancelled_sequences_leave_the_others_what_they_say(
    model: Model, relatives: dict[str, Path]
) -> None:
    async with drafting_engine(model, None) as engine:
        alone = [(await texts_of(engine, [ask(engine, text, sampling=ENDLESS, max_tokens=120)]))[0] for text in FREE]
    async with drafting_engine(model, relatives["noisy"], kv_cells=256, context_length=256, prefill_chunk=16) as engine:
        requests = [ask(engine, text, sampling=ENDLESS, max_tokens=120) for text in FREE]
        generations = [await engine.submit(request) for request in requests]
        leaving = await engine.submit(ask(engine, "Go.", sampling=ENDLESS, max_tokens=None))
        await anext(leaving)
        await leaving.cancel()
        together = [text for text, _ in await asyncio.gather(*map(read, generations))]
        assert engine.stats.parked > 0
    assert together == alone


@pytest.mark.usefixtures("always_drafts")
async def test_adapters_are_drafted_for_by_the_same_model(
    model: Model, relatives: dict[str, Path], tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "one.gguf", MODEL, 1)
    said = []
    for draft in (None, relatives["itself"]):
        async with drafting_engine(model, draft) as engine:
            await engine.load_adapter("one", lora)
            requests = [ask(engine, text, adapter=name) for text in FREE[:2] for name in (None, "one")]
            said.append(await texts_of(engine, requests))
            assert bool(draft) == (engine.stats.accepted_tokens > 0)
    assert said[0] == said[1]


async def test_a_draft_model_that_guesses_wrong_switches_itself_off(
    model: Model, relatives: dict[str, Path], tmp_path: Path
) -> None:
    """Costs are real here: a target six times as deep would gladly be drafted for."""
    deep = Model(write_deeper(tmp_path / "deep.gguf", MODEL, 6))
    drafted = {}
    for name in ("itself", "wrong"):
        async with drafting_engine(deep, relatives[name]) as engine:
            await texts_of(engine, [ask(engine, FREE[0], sampling=ENDLESS)])
            before = engine.stats.drafted_tokens
            await texts_of(engine, [ask(engine, text, sampling=ENDLESS) for text in FREE[:2]])
            drafted[name] = engine.stats.drafted_tokens - before
    deep.close()
    assert drafted["wrong"] < 60  # of 120 tokens; measured times decide, so a busy machine tries more often


@pytest.mark.usefixtures("always_drafts")
@pytest.mark.parametrize("error", [DecodeError("it broke"), NoRoomError(), RuntimeError("a bug")])
async def test_a_draft_model_that_fails_costs_guesses_only_and_is_left_alone(
    model: Model, relatives: dict[str, Path], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with drafting_engine(model, None) as engine:
        plain = await texts_of(engine, [ask(engine, text, sampling=ENDLESS) for text in FREE])
    async with drafting_engine(model, relatives["itself"]) as engine:
        assert engine._drafts is not None
        context, calls = engine._drafts._context, []
        decode = context.decode

        def sometimes() -> None:
            calls.append(None)
            if len(calls) > 7:
                raise error
            decode()

        monkeypatch.setattr(context, "decode", sometimes)
        assert await texts_of(engine, [ask(engine, text, sampling=ENDLESS) for text in FREE]) == plain
        assert engine.stats.accepted_tokens > 0
        assert len(calls) == 7 + 3
        assert await texts_of(engine, [ask(engine, text, sampling=ENDLESS) for text in FREE]) == plain
        assert len(calls) == 7 + 3


@pytest.mark.usefixtures("always_drafts")
async def test_kept_prefixes_of_the_draft_model_make_room_for_what_runs(
    model: Model, relatives: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async with drafting_engine(model, relatives["itself"], kv_cells=256, context_length=256, sequences=1) as engine:
        for text in "abcdefgh":
            await texts_of(engine, [ask(engine, f"Repeat: {text.upper()}1 Lima 5:40 Kewo Oslo " * 3, max_tokens=40)])
        assert engine.stats.accepted_tokens > 8 * 30
    assert "can't guess" not in caplog.text


async def test_a_request_may_go_without(model: Model) -> None:
    async with drafting_engine(model, MODEL) as engine:
        await texts_of(engine, [ask(engine, FREE[0], speculates=False)])
        assert engine.stats.draft_seconds < 0.001


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: write_vocabulary(path, MODEL, {300: "zzzz"}), "token 300 is"),
        (lambda path: write_vocabulary(path, MODEL, {0: "<|zero|>"}), "special token 0"),
        (lambda path: write_vocabulary(path, MODEL, {}, padding=8, is_unused=False), "4,104 and 4,096 tokens"),
        (lambda path: write_vocabulary(path, MODEL, {}, eos_token_id=0, eot_token_id=0), "eos is token 1 and 0"),
        (lambda path: write_bert(path), "encoder"),
    ],
)
def test_a_model_that_speaks_otherwise_is_refused_with_the_reason(
    model: Model, tmp_path: Path, write: Callable[[Path], Path], words: str
) -> None:
    draft = Model(write(tmp_path / "other.gguf"))
    with pytest.raises(ModelLoadError, match=words):
        Engine(model, EngineSettings(threads=1), draft)
    draft.close()


@pytest.mark.parametrize("which", ["target", "draft"])
def test_a_recurrent_model_is_refused_on_either_side(model: Model, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None that ships is one; what llama.cpp would say of it is set by hand."""
    draft = Model(MODEL)
    monkeypatch.setattr(model if which == "target" else draft, "can_share_prefixes", False)
    with pytest.raises(ModelLoadError, match="is recurrent"):
        Engine(model, EngineSettings(threads=1), draft)
    draft.close()


def test_control_tokens_that_one_model_speaks_are_no_difference() -> None:
    target, draft = Model(MODEL), Model(MODEL)
    names = sorted(draft.vocabulary.control_names)
    target.vocabulary.speak(names)
    assert target.vocabulary.pieces != draft.vocabulary.pieces
    assert count_shared(target.vocabulary, draft.vocabulary) == draft.vocabulary.size
    target.close()
    draft.close()


@pytest.mark.usefixtures("always_drafts")
async def test_unused_rows_at_the_end_of_a_vocabulary_are_no_difference(model: Model, tmp_path: Path) -> None:
    padded = write_vocabulary(tmp_path / "padded.gguf", MODEL, {}, padding=64)
    async with drafting_engine(model, padded) as engine:
        await texts_of(engine, [ask(engine, FREE[0])])
        assert engine.stats.accepted_tokens > 0

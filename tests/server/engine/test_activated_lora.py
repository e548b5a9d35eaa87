"""aLoRA on a real engine: the base model up to the invocation, the adapter from there on, and KV shared accordingly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.adapter import Adapter, load_adapter
from server.engine.context import Context, ContextSettings
from server.engine.engine import Engine
from server.engine.model import Model
from server.engine.shared_prefix import Activated, reach
from server.engine.types import GenerationRequest, Sampling
from tests.draft_models import write_exact
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL, read, running_engine
from tests.server.engine.test_prefix_store import SYSTEM, one_life

GREEDY = Sampling(temperature=0, logit_bias={1: -100})
"""Never ends by itself: token 1 is <|end|>."""
TALK = "<|user|>What is the weather?<|end|><|assistant|>It rains.<|end|><|user|>Repeat: Lima 5:40 Kewo Oslo<|end|>"
COUNT = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """In 32-bit floats, so that what else is in a batch turns no near tie."""
    model = Model(write_exact(tmp_path_factory.mktemp("exact") / "exact.gguf", MODEL))
    yield model
    model.close()


@asynccontextmanager
async def exact_engine(model: Model, **settings: Any) -> AsyncIterator[Engine]:
    async with running_engine(model, kv_type="f32", **settings) as engine:  # type: ignore[arg-type]
        yield engine


@pytest.fixture(scope="module")
def invocation(model: Model) -> tuple[int, ...]:
    return model.vocabulary.tokenize("<|assistant|>")


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory, invocation: tuple[int, ...]) -> dict[str, Path]:
    """The same weights, plain and activated; and activated ones of other weights, or by what is in no prompt."""
    folder = tmp_path_factory.mktemp("loras")
    return {
        "plain": write_lora(folder / "plain.gguf", MODEL, 13),
        "late": write_lora(folder / "late.gguf", MODEL, 13, trigger=invocation),
        "other": write_lora(folder / "other.gguf", MODEL, 17, trigger=invocation),
        "never": write_lora(folder / "never.gguf", MODEL, 13, trigger=model.vocabulary.tokenize("xyzzy")),
    }


async def load_all(engine: Engine, files: dict[str, Path]) -> None:
    for name, path in files.items():
        await engine.load_adapter(name, path)


def ask(engine: Engine, adapter: str | None, text: str = TALK + "<|assistant|>", **options: int) -> GenerationRequest:
    return GenerationRequest(
        engine.tokenize(text), GREEDY, adapter=adapter, max_tokens=options.pop("count", COUNT), **options
    )


async def say(engine: Engine, adapter: str | None, **options: int) -> tuple[str, int]:
    """The text, and how many tokens needed no prefill."""
    text, finished = await read(await engine.submit(ask(engine, adapter, **options)))
    return text, finished.usage.cached_tokens


def reference(model: Model, adapter: Adapter, prompt: tuple[int, ...], start: int) -> str:
    """The definition, step by step: KV before `start` by the base model, all from there by the adapter."""
    context = Context(model, ContextSettings(cells=256, sequences=1, batch_tokens=256, threads=1, kv_type="f32"))
    tokens, done = list(prompt), 0
    for end in [start] * bool(start) + list(range(len(prompt), len(prompt) + COUNT)):
        context.use(adapter if done >= start else None)
        context.clear_batch()
        row = context.add(tokens[done:end], start=done, sequence=0, wants_logits=True)
        context.decode()
        done = end
        if end >= len(prompt):
            logits = context.logits(row).copy()
            logits[1] -= 100
            tokens.append(int(logits.argmax()))
    context.use(None)
    context.close()
    return b"".join(model.vocabulary.pieces[token] for token in tokens[len(prompt) :]).decode(errors="ignore")


async def test_it_acts_from_the_last_invocation_on_and_not_before(model: Model, files: dict[str, Path]) -> None:
    adapter = load_adapter(model, "late", files["late"])
    async with exact_engine(model) as engine:
        await load_all(engine, files)
        texts = {name: (await say(engine, name))[0] for name in (None, *files)}
        prompt = ask(engine, None).prompt
    assert len(set(texts.values())) == 4
    assert texts["never"] == texts[None]
    assert texts["late"] == reference(model, adapter, prompt, len(prompt) - 1)
    assert texts["plain"] == reference(model, adapter, prompt, 0)


async def test_the_part_before_it_is_shared_with_the_base_and_with_others(
    model: Model, files: dict[str, Path], invocation: tuple[int, ...]
) -> None:
    async with exact_engine(model) as engine:
        await load_all(engine, files)
        before = len(ask(engine, None).prompt) - len(invocation)
        alone = {}
        for first, second in ((None, "late"), ("late", "other"), ("other", None), ("late", "late"), ("plain", "late")):
            await engine.load_adapter("late", files["late"])  # with KV of its own
            alone[first] = (await say(engine, first))[0]
            text, cached = await say(engine, second)
            alone.setdefault(second, text)
            assert alone[second] == text
            assert cached >= before
    async with exact_engine(model) as engine:
        await load_all(engine, files)
        await say(engine, "plain")
        assert await say(engine, "late") == (alone["late"], 0)
        assert await say(engine, None) == (alone[None], before)


async def test_a_later_turn_moves_the_place_where_it_sets_in(model: Model, files: dict[str, Path]) -> None:
    async with exact_engine(model) as engine:
        await load_all(engine, files)
        first = TALK + "<|assistant|>"
        said, _ = await say(engine, "late")
        later = first + said + "<|end|><|user|>Thanks!<|end|><|assistant|>"
        _, finished = await read(await engine.submit(ask(engine, "late", later)))
        assert finished.usage.cached_tokens == len(engine.tokenize(first)) - 1


async def test_many_at_once_in_small_chunks_and_little_room_say_what_each_says_alone(
    model: Model, files: dict[str, Path]
) -> None:
    names = (None, *files)
    async with exact_engine(model) as engine:
        await load_all(engine, files)
        alone = [(await say(engine, name, count=60))[0] for name in names]
    async with exact_engine(model, prefill_chunk=8, kv_cells=150, context_length=150, draft_tokens=3) as engine:
        await load_all(engine, files)
        together = await asyncio.gather(*(say(engine, name, count=60, speculates=True) for name in names for _ in "ab"))
        assert engine.stats.parked > 0
    assert [text for text, _ in together] == [text for text in alone for _ in "ab"]


async def test_its_openings_on_disk_are_the_base_models(model: Model, files: dict[str, Path], tmp_path: Path) -> None:
    stored = tmp_path / "store"
    cold = await one_life(
        model, None, ("Say Babu Kewo 12:40", None), ("Say Babu Kewo 12:40", "lora"), adapter=files["late"]
    )
    await one_life(model, stored, ("Repeat: Lima 5:40 Kewo Oslo", "lora"), adapter=files["late"])
    for name, alone in ((None, cold[0][0]), ("lora", cold[1][0])):
        text, cached = (await one_life(model, stored, ("Say Babu Kewo 12:40", name), adapter=files["late"]))[0]
        assert text == alone
        assert cached == len(model.vocabulary.tokenize(SYSTEM + "<|end|>"))


namespaces = st.one_of(st.none(), st.sampled_from("ab"), st.builds(Activated, st.sampled_from("ab"), st.integers(1, 6)))


@given(namespaces, namespaces)
def test_what_is_shared_was_computed_by_the_same_weights(one: object, other: object) -> None:
    def computed_by(namespace: object, token: int) -> object:
        if isinstance(namespace, Activated):
            return namespace.adapter if token >= namespace.start else None
        return namespace

    same = [computed_by(one, token) == computed_by(other, token) for token in range(10)]
    wanted = same.index(False) if False in same else 10
    assert min(reach(one, other), 10) <= wanted
    if one is None or other is None or one == other:
        assert min(reach(one, other), 10) == wanted

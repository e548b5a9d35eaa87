"""The KV of finished requests waits outside of the cache, and nothing that is said changes."""

import pytest

from server.engine.engine import Engine
from server.engine.model import Model
from server.engine.types import GenerationRequest, Sampling
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL, read, running_engine

OPENING = "<|system|>You are a helpful assistant.<|end|>"
TOLD = [
    f"{verb}: {words}"
    for words in ("Lima 5:40 Kewo Oslo", "12 pm Zuhezi FQ598 Hinvu", "Babu Kewo 12:40 ZXT45")
    for verb in ("Repeat", "Say")
]


async def say(engine: Engine, text: str, adapter: str | None = None, count: int = 40) -> tuple[str, int]:
    """The answer, and how many tokens of the prompt were known."""
    prompt = engine.tokenize(f"{OPENING}<|user|>{text * 3}<|end|><|assistant|>")
    request = GenerationRequest(prompt, Sampling(temperature=0), max_tokens=count, adapter=adapter)
    text, finished = await read(await engine.submit(request))
    return text, finished.usage.cached_tokens


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
async def test_a_prompt_that_comes_again_gets_its_kv_back_and_says_the_same(model: Model, kv_type: str) -> None:
    async with running_engine(model, sequences=2, kv_type=kv_type) as engine:
        engine._worker._cache._idle_tokens = 0
        first = [await say(engine, text) for text in TOLD]
        assert engine.stats.kv_shelved_bytes > 0
        assert engine.stats.kv_cells_used < 150
        again = [await say(engine, text) for text in TOLD]
    for (text, _), (same, cached) in zip(first, again, strict=True):
        assert same == text
        assert cached > 60


@pytest.mark.parametrize("flash_attention", ["on", "off"])
async def test_what_comes_back_beside_a_long_answer_says_the_same(model: Model, flash_attention: str) -> None:
    """Its cells are where the other's are not, and it shares the opening with it."""
    async with running_engine(model, sequences=3, flash_attention=flash_attention, kv_type="f32") as engine:
        engine._worker._cache._idle_tokens = 0
        alone = [(await say(engine, text))[0] for text in TOLD]
        endless = Sampling(temperature=0, logit_bias={1: -100})
        prompt = engine.tokenize(f"{OPENING}<|user|>Sing.<|end|><|assistant|>")
        lasting = await engine.submit(GenerationRequest(prompt, endless, max_tokens=3000))
        await anext(lasting)
        for _ in range(2):
            beside = [await say(engine, text) for text in TOLD]
            assert [text for text, _ in beside] == alone
            assert min(cached for _, cached in beside) > 60
        assert engine.stats.running == 1
        await lasting.cancel()


async def test_without_memory_for_it_finished_requests_stay_in_the_cells(model: Model) -> None:
    async with running_engine(model, idle_kv_bytes=0) as engine:
        for text in TOLD:
            await say(engine, text)
        assert engine.stats.kv_shelved_bytes == 0
        assert engine.stats.kv_cells_used > 200
        assert all([(await say(engine, text))[1] > 60 for text in TOLD])


async def test_an_adapters_kv_comes_back_for_that_adapter_only(model: Model, tmp_path: object) -> None:
    lora = write_lora(tmp_path / "one.gguf", MODEL, 13)  # type: ignore[operator]
    async with running_engine(model, sequences=2) as engine:
        engine._worker._cache._idle_tokens = 0
        await engine.load_adapter("one", lora)
        alone = await say(engine, TOLD[0], "one", 8)  # few: random weights are sure of nothing for long
        for text in TOLD[1:]:
            await say(engine, text)
        assert (await say(engine, TOLD[0]))[1] < 30
        text, cached = await say(engine, TOLD[0], "one", 8)
        assert text == alone[0]
        assert cached > 60
        shelved = engine.stats.kv_shelved_bytes
        engine.unload_adapter("one")
        await say(engine, TOLD[1])
        assert engine.stats.kv_shelved_bytes < shelved
        await engine.load_adapter("one", lora)
        assert (await say(engine, TOLD[0], "one"))[1] == 0

"""LoRA adapters on a real engine: who gets which weights, and what becomes of the KV."""

import asyncio
import shutil
from pathlib import Path

import pytest

from server.engine.adapter_folder import AdapterFolder
from server.engine.engine import Engine, EngineSettings
from server.engine.errors import AdapterError, InvalidRequestError
from server.engine.model import Model
from server.engine.types import GenerationRequest, Sampling
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL, read, running_engine

GREEDY = Sampling(temperature=0, logit_bias={1: -100})
"""Never ends by itself: token 1 is <|end|>."""
TEXT = "The weather in Paris is"


async def say(engine: Engine, adapter: str | None = None, count: int = 16) -> str:
    request = GenerationRequest(engine.tokenize(TEXT), GREEDY, max_tokens=count, adapter=adapter)
    return (await read(await engine.submit(request)))[0]


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("loras")
    return [write_lora(folder / f"{seed}.gguf", MODEL, seed) for seed in (1, 2)]


async def test_an_adapter_changes_its_own_requests_only(model: Model, loras: list[Path]) -> None:
    async with running_engine(model) as engine:
        base = await say(engine)
        await engine.load_adapter("one", loras[0])
        await engine.load_adapter("nothing", loras[0], scale=0.0)
        assert await say(engine, "one") != base
        assert await say(engine, "nothing") == base
        assert await say(engine) == base


async def test_base_and_adapters_side_by_side_say_what_each_says_alone(model: Model, loras: list[Path]) -> None:
    async with running_engine(model) as engine:
        for name, path in zip(("one", "two"), loras, strict=True):
            await engine.load_adapter(name, path)
        # few words: further on two may be nearly as likely, and what stands beside them in a batch turns them
        alone = [await say(engine, name, 6) for name in (None, "one", "two")]
        together = await asyncio.gather(*(say(engine, name, 6) for name in (None, "one", "two") for _ in range(3)))
        assert together == [text for text in alone for _ in range(3)]
        assert len(set(alone)) == 3


async def test_no_adapter_starves_beside_a_crowd(model: Model, loras: list[Path]) -> None:
    async with running_engine(model) as engine:
        await engine.load_adapter("one", loras[0])
        crowd = [asyncio.create_task(say(engine, count=400)) for _ in range(6)]
        while engine.stats.running < 6:
            await asyncio.sleep(0.001)
        await say(engine, "one", 8)
        assert not any(task.done() for task in crowd)
        await asyncio.gather(*crowd)


async def test_the_prefix_cache_never_crosses_adapters(model: Model, loras: list[Path]) -> None:
    async with running_engine(model) as engine:
        await engine.load_adapter("one", loras[0])
        request = GenerationRequest(engine.tokenize(TEXT * 4), GREEDY, max_tokens=2)
        await read(await engine.submit(request))
        _, again = await read(await engine.submit(request))
        assert again.usage.cached_tokens > 0
        adapted = GenerationRequest(request.prompt, GREEDY, max_tokens=2, adapter="one")
        _, first = await read(await engine.submit(adapted))
        assert first.usage.cached_tokens == 0
        _, second = await read(await engine.submit(adapted))
        assert second.usage.cached_tokens > 0
        await engine.load_adapter("one", loras[1])
        _, reloaded = await read(await engine.submit(adapted))
        assert reloaded.usage.cached_tokens == 0


async def test_an_adapter_unloaded_while_it_is_used_serves_its_last_request(model: Model, loras: list[Path]) -> None:
    async with running_engine(model) as engine:
        await engine.load_adapter("one", loras[0])
        expected = await say(engine, "one", 40)
        running = asyncio.create_task(say(engine, "one", 40))
        while not engine.stats.running:
            await asyncio.sleep(0.001)
        engine.unload_adapter("one")
        with pytest.raises(InvalidRequestError, match="one"):
            await say(engine, "one")
        assert await running == expected
        assert await say(engine) != expected


async def test_an_adapter_unloaded_while_a_request_is_prepared_is_not_used_after_it_is_freed(
    model: Model, loras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(model, EngineSettings(threads=1, prefix_store=tmp_path))
    engine.start()
    await engine.load_adapter("one", loras[0])

    assert engine._prefixes is not None

    async def warm(*_: object) -> None:
        monkeypatch.undo()
        engine.unload_adapter("one")
        await say(engine)  # a step: what is retired is freed

    monkeypatch.setattr(engine._prefixes, "warm", warm)
    with pytest.raises(InvalidRequestError, match="one"):
        await engine.submit(GenerationRequest(engine.tokenize(TEXT), GREEDY, max_tokens=2, adapter="one"))
    await engine.close()


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: write_lora(path, MODEL, architecture="gemma"), "another base: 'gemma'"),
        (lambda path: write_lora(path, MODEL, width=24), "is for 24, but the model has"),
        (lambda path: write_lora(path, MODEL, trigger=(5, 5000)), "activated by the token 5000"),
        (lambda path: shutil.copy(MODEL, path), "not a LoRA"),
        (lambda path: path.write_bytes(b"GGUF\x03\x00\x00\x00 and then nothing"), "not a whole GGUF"),
        (lambda path: None, "does not exist"),
    ],
)
async def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    model: Model, tmp_path: Path, make: object, cause: str
) -> None:
    make(tmp_path / "x.gguf")  # type: ignore[operator]
    async with running_engine(model) as engine:
        with pytest.raises(AdapterError, match=cause):
            await engine.load_adapter("x", tmp_path / "x.gguf")
        assert await say(engine, count=2)


async def test_a_folder_is_served_as_its_files_come_change_and_go(
    model: Model, loras: list[Path], tmp_path: Path
) -> None:
    async with running_engine(model) as engine:
        folder = AdapterFolder(engine, tmp_path)

        async def names() -> list[str]:
            await folder.look()
            await folder.look()
            return sorted(adapter.name for adapter in engine.adapters)

        assert await names() == []
        shutil.copy(loras[0], tmp_path / "mine.gguf")
        (tmp_path / "broken.gguf").write_text("no adapter")
        assert await names() == ["mine"]
        first = await say(engine, "mine")
        shutil.copy(loras[1], tmp_path / "mine.gguf")
        assert await names() == ["mine"]
        assert await say(engine, "mine") != first
        (tmp_path / "mine.gguf").unlink()
        assert await names() == []

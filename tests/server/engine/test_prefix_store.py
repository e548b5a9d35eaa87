"""Prompt beginnings on disk: written whole, read by who made them, bounded, and put back where they save a prefill."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.engine.engine import Engine, EngineSettings
from server.engine.errors import PrefixStoreError
from server.engine.model import Model
from server.engine.prefix_store import Maker, PrefixStore, file_digest
from server.engine.types import GenerationRequest, Sampling
from tests.lora import write_lora

from .conftest import MODEL, read

MAKER = Maker("0123", "b1", "f16", "auto")
TOKENS = list(range(40))
SYSTEM = "<|system|>You are a patient guide who knows every street of the old town. " * 6


def store(folder: Path, maker: Maker = MAKER, limit: int = 10**6) -> PrefixStore:
    return PrefixStore(folder, "m", maker, limit)


def test_what_was_written_is_read_by_the_same_maker_only(tmp_path: Path) -> None:
    assert store(tmp_path).write(TOKENS, "", b"state")
    again = store(tmp_path)
    assert again.has(TOKENS, "")
    assert again.read(TOKENS, "") == b"state"
    assert again.read(TOKENS[:-1], "") is None
    assert again.read(TOKENS, "an adapter") is None
    for other in (
        replace(MAKER, model="4567"), replace(MAKER, engine="b2"), replace(MAKER, kv_type="q8_0"),
        replace(MAKER, flash_attention="off"),
    ):  # fmt: skip
        assert store(tmp_path, other).read(TOKENS, "") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "4567"}, "the model file is another one"),
        ({"engine": "b2"}, "made by llama.cpp b1, and this is b2"),
        ({"kv_type": "q8_0"}, "kv_type f16, and this is q8_0"),
    ],
)
def test_others_prefixes_are_refused_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    store(tmp_path).write(TOKENS, "", b"state")
    store(tmp_path).write(TOKENS, "an adapter", b"state")
    caplog.clear()
    store(tmp_path, replace(MAKER, **change))
    (message,) = caplog.messages
    assert message.startswith("2 prefixes in ")
    assert reason in message


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?", lambda b: b"?" + b, lambda b: b""])
def test_a_damaged_file_is_a_miss(tmp_path: Path, damage: Any) -> None:
    kept = store(tmp_path)
    kept.write(TOKENS, "", b"state")
    (path,) = tmp_path.glob("m/*")
    path.write_bytes(damage(path.read_bytes()))
    assert kept.read(TOKENS, "") is None
    assert kept.write(TOKENS, "", b"state")
    assert kept.read(TOKENS, "") == b"state"


def test_the_least_recently_used_leave_when_the_bound_is_reached(tmp_path: Path) -> None:
    kept = store(tmp_path, limit=4000)
    for number in range(3):
        assert kept.write([number, *TOKENS], "", bytes(800))
    assert kept.read([0, *TOKENS], "") is not None  # used: the second is now the oldest
    assert PrefixStore(tmp_path, "another model", MAKER, 4000).write(TOKENS, "", bytes(800))
    assert [kept.has([number, *TOKENS], "") for number in range(3)] == [True, False, True]
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.kv")) <= 4000
    assert not kept.write(TOKENS, "", bytes(5000))


def test_files_are_their_owners_only_and_nothing_unfinished_stays(tmp_path: Path) -> None:
    kept = store(tmp_path / "folder")
    kept.write(TOKENS, "", b"state")
    (path,) = (tmp_path / "folder" / "m").iterdir()
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PrefixStoreError, match="can't be used"):
        store(tmp_path / "file")


def test_a_change_anywhere_in_a_model_file_changes_its_digest(tmp_path: Path) -> None:
    data = MODEL.read_bytes()
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(data)
    same = file_digest(copy)
    assert same == file_digest(MODEL)
    tuned = bytearray(data)
    tuned[200_000:] = bytes(byte ^ 1 for byte in tuned[200_000:])
    copy.write_bytes(tuned)
    assert file_digest(copy) != same


def ask(engine: Engine, question: str, adapter: str | None = None) -> GenerationRequest:
    opening = engine.tokenize(SYSTEM + "<|end|>")
    prompt = (*opening, *engine.tokenize(f"<|user|>{question}<|end|><|assistant|>"))
    return GenerationRequest(
        prompt, Sampling(temperature=0), max_tokens=16, adapter=adapter, common_tokens=len(opening)
    )  # fmt: skip


async def one_life(
    model: Model, folder: Path | None, *requests: tuple[str, str | None], adapter: Path | None = None, **settings: Any
) -> list[tuple[str, int]]:
    """An engine from start to close: each answer and how many of its prompt's tokens were cached."""
    engine = Engine(model, EngineSettings(threads=1, sequences=4, prefix_store=folder, **settings))
    if adapter is not None:
        engine.preload_adapter("lora", adapter)
    engine.start()
    answers = []
    try:
        for question, name in requests:
            text, finished = await read(await engine.submit(ask(engine, question, name)))
            answers.append((text, finished.usage.cached_tokens))
    finally:
        await engine.close()
    return answers


async def test_the_next_engine_finds_the_opening_warm_and_says_the_same(model: Model, tmp_path: Path) -> None:
    cold = await one_life(model, None, ("Repeat: Lima 5:40 Kewo Oslo", None))
    assert cold[0][1] == 0
    await one_life(model, tmp_path, ("Say Babu Kewo 12:40", None))  # used once: stored at the end
    (path,) = tmp_path.glob("*/*.kv")
    warm = await one_life(model, tmp_path, ("Repeat: Lima 5:40 Kewo Oslo", None))
    opening = len(model.vocabulary.tokenize(SYSTEM + "<|end|>"))
    assert warm == [(cold[0][0], opening)]
    assert list(tmp_path.glob("*/*")) == [path]  # and is not stored again


async def test_a_hot_opening_is_stored_while_the_engine_runs(model: Model, tmp_path: Path) -> None:
    engine = Engine(model, EngineSettings(threads=1, sequences=2, prefix_store=tmp_path))
    engine.start()
    try:
        for number in range(3):
            assert bool(list(tmp_path.glob("*/*.kv"))) == (number > 1)
            await read(await engine.submit(ask(engine, f"Question {number}")))
            assert engine._prefixes is not None
            await engine._prefixes.finish()
    finally:
        await engine.close()


@pytest.mark.parametrize("settings", [{"kv_type": "q8_0"}, {"flash_attention": "off"}])
async def test_other_settings_use_and_keep_openings_of_their_own(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    await one_life(model, tmp_path, ("Say Babu Kewo 12:40", None))
    assert (await one_life(model, tmp_path, ("Say Babu Kewo 12:40", None), **settings))[0][1] == 0
    assert any("are not used: they were made with" in message for message in caplog.messages)
    assert (await one_life(model, tmp_path, ("Say Babu Kewo 12:40", None), **settings))[0][1] > 0
    assert len(list(tmp_path.glob("*/*.kv"))) == 2


async def test_an_adapters_opening_is_its_own(model: Model, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora.gguf", MODEL, seed=1)
    folder = tmp_path / "store"
    await one_life(model, folder, ("Say Babu Kewo 12:40", "lora"), adapter=lora)
    lives = await one_life(model, folder, ("Say Babu Kewo 12:40", None), ("Say Babu Kewo 12:40", "lora"), adapter=lora)
    assert lives[0][1] == 0
    assert lives[1][1] > 0
    write_lora(lora, MODEL, seed=2)
    assert (await one_life(model, folder, ("Say Babu Kewo 12:40", "lora"), adapter=lora))[0][1] == 0


async def test_where_there_is_no_room_for_a_stored_opening_it_is_computed(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trammel.prefixes")
    await one_life(model, tmp_path, ("Say Babu Kewo 12:40", None), context_length=512, kv_cells=512)
    engine = Engine(
        model, EngineSettings(threads=1, sequences=2, prefix_store=tmp_path, context_length=512, kv_cells=512)
    )
    engine.start()
    try:
        ends = dict.fromkeys(model.vocabulary.end_tokens, -100.0)
        long = GenerationRequest(engine.tokenize("<|user|>Hello" * 130), Sampling(logit_bias=ends), max_tokens=240)
        running = await engine.submit(long)
        await anext(running)
        text, finished = await read(await engine.submit(ask(engine, "Say Babu Kewo 12:40")))
        assert finished.reason in ("stop", "length")
        await read(running)
    finally:
        await engine.close()
    assert await one_life(model, None, ("Say Babu Kewo 12:40", None)) == [(text, 0)]

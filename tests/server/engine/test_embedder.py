"""Vectors against numpy's, alone and in a crowd, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from server.engine.embedder import Embedder, EmbedderSettings
from server.engine.engine import Engine
from server.engine.errors import (
    ContextLengthExceededError,
    EngineStoppedError,
    InvalidRequestError,
    ModelLoadError,
    QueueFullError,
)
from server.engine.model import Model
from tests.embedding_models import CLS, CONTEXT, SEP, WIDTH, bert_vector, bert_weights, write_bert, write_pooled

from .conftest import MODEL


@asynccontextmanager
async def embedder_of(path: Path, waiting: int = 8192) -> AsyncIterator[Embedder]:
    model = Model(path)
    embedder = Embedder(model, EmbedderSettings(threads=1, waiting=waiting))
    yield embedder
    await embedder.close()
    model.close()


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
async def test_a_bert_gives_what_numpy_computes(tmp_path: Path, pooling: str) -> None:
    async with embedder_of(write_bert(tmp_path / "bert.gguf", pooling)) as embedder:
        tokens = embedder.tokenize("weather paris tool")
        assert tokens == (CLS, 5, 6, 7, SEP)
        (vector,) = await embedder.embed([tokens])
        assert (embedder.dimensions, embedder.context_length, vector.shape) == (WIDTH, CONTEXT, (WIDTH,))
        np.testing.assert_allclose(vector, bert_vector(bert_weights(), list(tokens), pooling), atol=5e-3)


async def test_a_crowd_of_inputs_gives_what_each_gives_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    inputs = [random.integers(5, 10, random.integers(1, CONTEXT + 1)).tolist() for _ in range(150)]
    async with embedder_of(write_bert(tmp_path / "bert.gguf")) as embedder:
        callers = await asyncio.gather(*(embedder.embed(inputs[start : start + 30]) for start in range(0, 150, 30)))
        for tokens, vector in zip(inputs, np.concatenate(callers), strict=True):
            np.testing.assert_allclose(vector, bert_vector(bert_weights(), tokens), atol=5e-3)
        assert embedder.is_idle


async def test_a_model_that_generates_embeds_by_its_last_token(tmp_path: Path) -> None:
    async with embedder_of(write_pooled(tmp_path / "pooled.gguf", MODEL, "last")) as embedder:
        texts = ["The weather in Paris", "a tool call", "The weather in Rome", "The weather in Paris"]
        inputs = [embedder.tokenize(text) for text in texts]
        together = await embedder.embed(inputs)
        alone = np.concatenate([await embedder.embed([one]) for one in inputs])
        np.testing.assert_allclose(together, alone, atol=2e-2)
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
        assert together[0] @ together[3] > 0.999 > together[0] @ together[1]


async def test_inputs_that_cannot_be_embedded_are_refused_and_others_go_on(tmp_path: Path) -> None:
    async with embedder_of(write_bert(tmp_path / "bert.gguf"), waiting=3) as embedder:
        with pytest.raises(InvalidRequestError, match="empty"):
            await embedder.embed([[]])
        with pytest.raises(InvalidRequestError, match="0…9"):
            await embedder.embed([[10]])
        with pytest.raises(ContextLengthExceededError):
            await embedder.embed([[5] * (CONTEXT + 1)])
        with pytest.raises(QueueFullError):
            await embedder.embed([[5]] * 4)
        assert (await embedder.embed([[5] * CONTEXT])).shape == (1, WIDTH)
        assert (await embedder.embed([])).shape == (0, WIDTH)


async def test_a_caller_who_leaves_holds_nobody_up(tmp_path: Path) -> None:
    async with embedder_of(write_bert(tmp_path / "bert.gguf")) as embedder:
        leaver = asyncio.create_task(embedder.embed([[5] * CONTEXT] * 500))
        await asyncio.sleep(0)
        leaver.cancel()
        assert (await embedder.embed([[6]])).shape == (1, WIDTH)


async def test_a_closed_embedder_says_so(tmp_path: Path) -> None:
    async with embedder_of(write_bert(tmp_path / "bert.gguf")) as embedder:
        waiting = asyncio.create_task(embedder.embed([[5] * CONTEXT] * 200))
        await asyncio.sleep(0)
        await embedder.close()
        with pytest.raises(EngineStoppedError):
            await waiting
        with pytest.raises(EngineStoppedError):
            await embedder.embed([[5]])


def test_a_model_without_pooling_and_a_reranker_do_not_embed(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ModelLoadError, match="no pooling"):
        Embedder(model)
    reranker = Model(write_bert(tmp_path / "rank.gguf", "rank"))
    with pytest.raises(ModelLoadError, match="no pooling"):
        Embedder(reranker)
    with pytest.raises(ModelLoadError, match="an encoder"):
        Engine(reranker)
    reranker.close()

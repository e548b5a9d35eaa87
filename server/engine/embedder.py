"""Texts to vectors, by an embedding model: inputs of all callers are packed into batches, in the order they came.

The pooling (mean, first or last token) is what the file says. Vectors have length 1, so that a dot product is the
cosine of the angle, as OpenAI's do. Used by `/v1/embeddings`, and by retrieval without HTTP.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server.engine.context import Context, ContextSettings, DecodeError, NoRoomError
from server.engine.errors import (
    ContextLengthExceededError,
    EngineStoppedError,
    GenerationError,
    InvalidRequestError,
    ModelLoadError,
    QueueFullError,
    ShuttingDownError,
)
from server.engine.gguf_header import Header
from server.engine.model import Model
from server.engine.types import Pooling

Vector = NDArray[np.float32]

logger = logging.getLogger("trammel.engine")

_POOLING: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}
"""llama.h, enum llama_pooling_type; 4 is a reranker's score."""
_USUAL_CONTEXT = 2048
_SEQUENCES = 64


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """How much is computed at once."""

    context_length: int | Literal["model"] | None = None
    """Tokens of an input; "model" takes what the model was trained for, None that up to 2048. Memory for attention
    grows with its square."""
    waiting: int = 8192
    """Inputs that may wait; a request that would add more is refused with QueueFullError."""
    threads: int | None = None
    """None: all the processor's cores this process may use."""


def pooling_of(header: Header) -> Pooling | None:
    """How an embedding model pools; None for a file that is none."""
    return _POOLING.get(header.number("pooling_type") or 0)


class Embedder:
    """An embedding model, loaded. Lives in the event loop; llama.cpp runs in a thread of its own."""

    def __init__(self, model: Model, settings: EmbedderSettings = EmbedderSettings()) -> None:
        """Raises: ModelLoadError, if the model is no embedding model or its context can't be made."""
        pooling = pooling_of(model.header)
        if pooling is None:
            raise ModelLoadError(f"{model.path.name} is no embedding model: its metadata names no pooling")
        trained = model.train_context or _USUAL_CONTEXT
        wanted = trained if settings.context_length == "model" else settings.context_length or _USUAL_CONTEXT
        self.model = model
        self.pooling = pooling
        self.context_length = min(wanted, trained)
        """Tokens of an input; a position the model was not trained for means nothing."""
        self.dimensions = model.embedding_size
        """Numbers in a vector."""
        self._settings = settings
        self._context = Context(
            model,
            ContextSettings(
                cells=self.context_length,
                sequences=_SEQUENCES,
                batch_tokens=self.context_length,
                threads=settings.threads or len(os.sched_getaffinity(0)),
                pooling=pooling,
            ),
        )
        self._thread = ThreadPoolExecutor(1, "trammel-embedder")
        self._waiting: deque[tuple[Sequence[int], asyncio.Future[Vector]]] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        return self._runner is None

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Token ids of an input, with what the model wants around it (such as [CLS] and [SEP])."""
        return self.model.vocabulary.tokenize(text, parse_special=False, add_special=True)

    async def embed(self, inputs: Sequence[Sequence[int]]) -> Vector:
        """Vectors of tokenized inputs. Shape (inputs, dimensions); each of length 1.

        Raises: InvalidRequestError, ContextLengthExceededError, QueueFullError, GenerationError, EngineStoppedError.
        """
        for tokens in inputs:
            self._check(tokens)
        if self._is_closed:
            raise EngineStoppedError
        if len(self._waiting) + len(inputs) > self._settings.waiting:
            raise QueueFullError(len(self._waiting), retry_after=1.0)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Vector]] = [loop.create_future() for _ in inputs]
        self._waiting.extend(zip(inputs, futures, strict=True))
        if self._runner is None and futures:
            self._runner = loop.create_task(self._run())
        vectors = await asyncio.gather(*futures)
        return np.stack(vectors) if vectors else np.empty((0, self.dimensions), np.float32)

    def stop(self) -> None:
        """End after the batch under way; who waits gets ShuttingDownError."""
        self._is_closed = True
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(ShuttingDownError())
        self._waiting.clear()

    async def close(self) -> None:
        """Stop, and free llama.cpp's memory. The model stays loaded."""
        self.stop()
        await asyncio.to_thread(self._thread.shutdown)
        self._context.close()

    def _check(self, tokens: Sequence[int]) -> None:
        size = self.model.vocabulary.size
        if not tokens:
            raise InvalidRequestError("input", "An input is empty.")
        if not all(0 <= token < size for token in tokens):
            raise InvalidRequestError("input", f"An input has token ids outside 0…{size - 1}.")
        if len(tokens) > self.context_length:
            raise ContextLengthExceededError(len(tokens), self.context_length)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next_batch():
                try:
                    vectors = await loop.run_in_executor(self._thread, self._compute, [tokens for tokens, _ in batch])
                except Exception as error:
                    logger.exception("a batch of embeddings failed")
                    _fail([future for _, future in batch], error)
                    continue
                for (_, future), vector in zip(batch, vectors, strict=True):
                    if vector is None:
                        _fail([future], DecodeError("the model gave no finite vector"))
                    elif not future.done():
                        future.set_result(vector)
        finally:
            self._runner = None

    def _next_batch(self) -> list[tuple[Sequence[int], asyncio.Future[Vector]]]:
        """As many waiting inputs as fit, without those nobody waits for any more."""
        batch: list[tuple[Sequence[int], asyncio.Future[Vector]]] = []
        room = self.context_length
        while self._waiting and len(batch) < _SEQUENCES:
            tokens, future = self._waiting[0]
            if not future.done():
                if len(tokens) > room:
                    break
                batch.append((tokens, future))
                room -= len(tokens)
            self._waiting.popleft()
        return batch

    def _compute(self, inputs: list[Sequence[int]]) -> list[Vector | None]:
        self._context.clear_batch()
        for number, tokens in enumerate(inputs):
            others = len(tokens) - 1  # pooling takes the output of every token
            self._context.add(list(tokens), start=0, sequence=number, wants_logits=True, guessed=others)
        try:
            self._context.decode()
            return [_normalized(self._context.embedding(number)) for number in range(len(inputs))]
        finally:
            self._context.clear_memory()


def _fail(futures: list["asyncio.Future[Vector]"], error: Exception) -> None:
    """Each caller gets an exception of its own: one object raised twice gathers tracebacks."""
    for future in futures:
        if not future.done():
            known = isinstance(error, (DecodeError, NoRoomError))
            text = f"Embedding failed: {error}" if known else "Embedding failed by a fault of the server; see its log."
            future.set_exception(GenerationError(text))


def _normalized(vector: Vector) -> Vector | None:
    """None for a vector that is no direction."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or not length:
        return None
    return (vector / np.float32(length)).astype(np.float32)

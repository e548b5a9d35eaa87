"""The engine as asyncio sees it: submit a request, read its events.

All decoding happens in the worker's thread. The event loop and the thread meet in two places only: the worker's
mailbox, and one `call_soon_threadsafe` a step that brings all events of that step.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Literal

from server.engine.adapter import Adapter, check_adapter, load_adapter
from server.engine.context import Context, ContextSettings
from server.engine.draft_model import DraftModel
from server.engine.errors import (
    ContextLengthExceededError,
    EngineStoppedError,
    InvalidRequestError,
    ModelLoadError,
    PrefixStoreError,
    QueueFullError,
)
from server.engine.grammar_matcher import GrammarCache
from server.engine.guide import Grammars, Guide
from server.engine.kv_cache import KvCache
from server.engine.kv_shelf import KvShelf
from server.engine.lookup import PromptLookup
from server.engine.model import Model
from server.engine.native_matcher import NativeGrammars
from server.engine.prefix_keeper import PrefixKeeper
from server.engine.prefix_store import PrefixStore, maker_of
from server.engine.scheduler import SchedulerSettings
from server.engine.sequence import Event, Sequence
from server.engine.speculation import Guessing, Speculation, SpeculationMode
from server.engine.timings import Timings
from server.engine.types import Constraint, EngineStats, Finished, FlashAttention, GenerationRequest, KvType
from server.engine.worker import Outbox, Worker

logger = logging.getLogger("trammel.engine")

GrammarEngine = Literal["llguidance", "llama.cpp"]
_STOP_SECONDS = 10.0
_PIECES = 256
"""Pieces of prompts whose tokens are remembered: the same system text and tools come with every request."""
_USUAL_CONTEXT = 8192
_IDLE_TOKENS = 64
"""What finished requests may hold of the cache while others run: a greeting's KV is not worth moving."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much the engine does at once."""

    context_length: int | Literal["model"] | None = None
    """Tokens a request may have in all, prompt and answer; "model" takes what the model was trained for, None takes
    that up to 8192."""
    kv_cells: int | None = None
    """Tokens the KV cache holds over all requests; None gives every sequence its whole context, up to 65,536."""
    sequences: int = 16
    """Requests decoded together."""
    waiting: int = 128
    """Requests that may wait; the next is refused with QueueFullError."""
    batch_tokens: int = 2048
    prefill_chunk: int = 256
    """Prompt tokens in a step while others are being answered."""
    threads: int | None = None
    """None: all the processor's cores this process may use."""
    grammar_engine: GrammarEngine = "llguidance"
    aligns: bool = True
    """Choices under a grammar are taken back where it forbids what the model would say after them."""
    speculate: SpeculationMode = "off"
    """Where guesses of the next tokens come from; without a draft model, `draft` looks them up."""
    request_timeout: float | None = None
    """Seconds a request may take, waiting included; its own timeout may only be shorter. None: as long as it takes."""
    draft_tokens: int = 15
    """Guesses at once, at most."""
    prefix_store: Path | None = None
    """A folder that keeps the KV of prompts' common beginnings over a restart."""
    prefix_store_bytes: int = 2**30
    idle_kv_bytes: int = 2**30
    """Ordinary memory for the KV of finished requests, where it is out of the way; 0: it stays in the cache's cells."""
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"

    def sizes(self, trained: int) -> tuple[int, int]:
        """Tokens of a request and of the KV cache, for a model trained to look back `trained` tokens (0: unknown)."""
        trained = trained or _USUAL_CONTEXT
        length = trained if self.context_length == "model" else self.context_length or min(trained, _USUAL_CONTEXT)
        return length, max(length, self.kv_cells or min(length * self.sequences, 65_536))

    def context(self, cells: int) -> ContextSettings:
        """A context for so many tokens over all requests."""
        return ContextSettings(
            cells=cells,
            sequences=2 * self.sequences,  # the other half keeps finished prefixes warm
            batch_tokens=self.batch_tokens,
            threads=self.threads or len(os.sched_getaffinity(0)),
            kv_type=self.kv_type,
            flash_attention=self.flash_attention,
        )


def _grammars(model: Model, engine: GrammarEngine) -> Grammars:
    vocabulary = model.vocabulary
    if engine == "llama.cpp":
        return NativeGrammars(vocabulary)
    return GrammarCache(vocabulary.mask_tokenizer, vocabulary.size)


def _can_move_kv(model: Model) -> bool:
    """Whether a sequence's KV can be taken out, put back and cut at any token."""
    return model.can_share_prefixes and not model.has_window


def _opening(
    prompt: Tokens[int], common: int, adapter: Adapter | None, activation: int
) -> tuple[tuple[int, ...], Adapter | None]:
    """What of a prompt others have as well, and what computes its KV: an aLoRA only what is after its invocation."""
    is_late = adapter is not None and activation > 0
    return tuple(prompt[: min(common, activation) if is_late else common]), None if is_late else adapter


class Generation(AsyncIterator[Event]):
    """One running request: iterate over its events. The last is Finished."""

    def __init__(self, sequence: Sequence, worker: Worker) -> None:
        self._sequence = sequence
        self._worker = worker
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._is_over = False

    def receive(self, event: Event | Exception) -> None:
        self._events.put_nowait(event)

    async def __anext__(self) -> Event:
        """Raises: GenerationError or EngineStoppedError, if the generation broke off."""
        if self._is_over:
            raise StopAsyncIteration
        event = await self._events.get()
        if isinstance(event, Exception):
            self._is_over = True
            raise event
        self._is_over = isinstance(event, Finished)
        return event

    @property
    def output(self) -> tuple[int, ...]:
        """The tokens generated, once it is over."""
        return tuple(self._sequence.output)

    async def cancel(self) -> None:
        """The sequence leaves the batch within one step. Calling it again, or after the end, does nothing."""
        if not self._is_over:
            self._worker.cancel(self._sequence)


class Engine:
    """A loaded model that answers many requests at once."""

    def __init__(self, model: Model, settings: EngineSettings = EngineSettings(), draft: Model | None = None) -> None:
        """Make the context; `start` then begins to work. Raises: ModelLoadError.

        `draft`: a smaller model that guesses ahead; the engine frees it when it is closed.
        """
        if not model.can_generate:
            raise ModelLoadError(f"{model.path.name} is an encoder: it can't generate text")
        self.model = model
        self.settings = settings
        self.context_length, cells = settings.sizes(model.train_context)
        self._context = Context(model, settings.context(cells))
        self._drafts = None if draft is None else self._draft_model(draft, settings.context(cells))
        self._tokenized = lru_cache(_PIECES)(model.vocabulary.tokenize)
        self._grammars = _grammars(model, settings.grammar_engine)
        self._generations: dict[Sequence, Generation] = {}
        self._adapters: dict[str, Adapter] = {}
        self._rejected = 0
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        cache = self._kv_cache(self._context)
        self._worker = Worker(
            self._context,
            cache,
            SchedulerSettings(
                sequences=settings.sequences,
                cells=cells,
                batch_tokens=settings.batch_tokens,
                prefill_chunk=settings.prefill_chunk,
            ),
            self._deliver_from_thread,
            self._drafts,
        )

        self._prefixes = self._prefix_keeper(cache)

    def _kv_cache(self, context: Context) -> KvCache:
        slots, model = 2 * self.settings.sequences, self.model
        # a GPU's attention hardly minds cells of others, and copying them out of it is slow
        if not self.settings.idle_kv_bytes or not _can_move_kv(model) or model.is_offloaded:
            return KvCache(context, slots, shares_prefixes=model.can_share_prefixes)
        shelf = KvShelf(self.settings.idle_kv_bytes)
        logger.info("%s: up to %d MiB more for idle KV", model.path.name, shelf.most_bytes // 2**20)
        return KvCache(context, slots, shelf=shelf, idle_tokens=_IDLE_TOKENS)

    def _prefix_keeper(self, cache: KvCache) -> PrefixKeeper | None:
        """Raises: PrefixStoreError."""
        folder, model, settings = self.settings.prefix_store, self.model, self.settings
        if folder is None:
            return None
        if not _can_move_kv(model):
            logger.warning("%s: no prefixes are stored: its KV can't be cut at any token", model.path.name)
            return None
        try:
            maker = maker_of(model.path, settings.kv_type, settings.flash_attention)
            store = PrefixStore(folder, model.path.stem, maker, settings.prefix_store_bytes)
        except PrefixStoreError:
            self._free()
            raise
        return PrefixKeeper(store, cache, self._worker)

    @property
    def keeps_prefixes(self) -> bool:
        """Whether it is of use to know a request's `common_tokens`."""
        return self._prefixes is not None

    def _draft_model(self, draft: Model, sizes: ContextSettings) -> DraftModel:
        settings = self.settings
        try:
            return DraftModel(draft, self.model, sizes, longest=settings.draft_tokens, chunk=settings.prefill_chunk)
        except ModelLoadError:
            self._context.close()
            raise

    def start(self) -> None:
        """Start the thread. The running event loop is the one that will get the events."""
        self._loop = asyncio.get_running_loop()
        self._worker.start()

    @property
    def is_full(self) -> bool:
        """The next request would be refused."""
        return len(self._generations) >= self.settings.sequences + self.settings.waiting

    @property
    def in_flight(self) -> int:
        """Generations that wait or run."""
        return len(self._generations)

    @property
    def stats(self) -> EngineStats:
        return replace(self._worker.stats(), rejected=self._rejected)

    @property
    def timings(self) -> Timings:
        """How long its clients waited, and for what; it grows while it is read."""
        return self._worker.timings

    def tokenize(self, *pieces: str, parse_special: bool = True) -> tuple[int, ...]:
        """Token ids of a prompt; the model's BOS is put in front if it wants one and the text hasn't got it.

        No token spans two pieces.
        """
        vocabulary = self.model.vocabulary
        tokens = tuple(chain.from_iterable(self._tokenized(piece, parse_special=parse_special) for piece in pieces))
        if vocabulary.add_bos and vocabulary.bos >= 0 and tokens[:1] != (vocabulary.bos,):
            return (vocabulary.bos, *tokens)
        return tokens

    async def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request.

        Raises: InvalidRequestError, ContextLengthExceededError, InvalidGrammarError, QueueFullError,
        EngineStoppedError.
        """
        self._check(request)
        guide = await self._guide(request.constraint, request.barred, jumps=request.top_logprobs is None)
        if self._prefixes is not None:
            adapter, activation = self._adapter(request.adapter, request.prompt)
            await self._prefixes.warm(*_opening(request.prompt, request.common_tokens, adapter, activation))
        in_flight = len(self._generations)
        if self.is_full:
            self._rejected += 1
            raise QueueFullError(in_flight, retry_after=max(1.0, in_flight / self.settings.sequences))
        adapter, activation = self._adapter(request.adapter, request.prompt)  # again: it may be gone or another by now
        speculation = self._speculation(request)
        limits = [limit for limit in (request.timeout, self.settings.request_timeout) if limit is not None]
        request = replace(request, timeout=min(limits, default=None))
        sequence = Sequence(
            request,
            guide,
            self.model.vocabulary,
            self.context_length,
            adapter,
            activation,
            speculation,
            aligns=self._aligns(request),
        )
        generation = Generation(sequence, self._worker)
        self._generations[sequence] = generation
        try:
            self._worker.submit(sequence)
        except EngineStoppedError:
            del self._generations[sequence]
            raise
        return generation

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The adapters that requests may name."""
        return tuple(self._adapters.values())

    def preload_adapter(self, name: str, path: Path, scale: float = 1.0) -> None:
        """Like `load_adapter`, before `start`."""
        check_adapter(self.model, name, path)
        adapter = self._adapters[name] = load_adapter(self.model, name, path, scale)
        if self._prefixes is not None:
            self._prefixes.know(adapter)

    async def load_adapter(self, name: str, path: Path, scale: float = 1.0) -> Adapter:
        """Serve an adapter. One of the same name is replaced: requests under way keep the old one.

        Raises: AdapterError, EngineStoppedError.
        """
        await asyncio.to_thread(check_adapter, self.model, name, path)
        future = self._worker.between_steps(partial(load_adapter, self.model, name, path, scale))
        adapter = await asyncio.wrap_future(future)
        if self._prefixes is not None:
            await asyncio.to_thread(self._prefixes.know, adapter)
        replaced = self._adapters.get(name)
        self._adapters[name] = adapter
        if replaced is not None:
            self._worker.retire(replaced)
        return adapter

    def unload_adapter(self, name: str) -> None:
        """No new request gets it; its memory is freed when the last request with it is over. Raises: KeyError."""
        self._worker.retire(self._adapters.pop(name))

    def discard(self) -> None:
        """Free an engine that was never started, and its model."""
        self._free()
        self.model.close()

    @property
    def fault(self) -> BaseException | None:
        """What the thread has died of; None while it lives, and if it was stopped."""
        return self._worker.fault

    def stop(self) -> None:
        """End the thread after the step under way; requests that are not done get ShuttingDownError."""
        self._worker.stop()

    async def close(self) -> bool:
        """Stop, and free llama.cpp's memory. False if a step takes too long: then the memory is still in use."""
        self._worker.stop()
        if self._worker.ident is not None:
            await asyncio.to_thread(self._worker.join, _STOP_SECONDS)
        if self._worker.is_alive():
            return False
        if self._prefixes is not None and not self.fault and not self._is_closed:
            await self._prefixes.finish()
            await asyncio.to_thread(self._prefixes.save_rest)
        self._is_closed = True
        self._free()
        return True

    def _free(self) -> None:
        self._context.close()
        if self._drafts is not None:
            self._drafts.close()

    def _check(self, request: GenerationRequest) -> None:
        size = self.model.vocabulary.size
        if not request.prompt:
            raise InvalidRequestError("messages", "The prompt is empty.")
        if not all(0 <= token < size for token in request.prompt):
            raise InvalidRequestError("prompt", f"The prompt has token ids outside 0…{size - 1}.")
        for token in request.sampling.logit_bias:
            if not 0 <= token < size:
                raise InvalidRequestError("logit_bias", f"This model has no token {token} (0…{size - 1}).")
        if len(request.prompt) >= self.context_length:
            raise ContextLengthExceededError(len(request.prompt), self.context_length)

    def _adapter(self, name: str | None, prompt: tuple[int, ...]) -> tuple[Adapter | None, int]:
        """The adapter of that name, and the token of the prompt from which on it acts. None if nothing invokes it."""
        if name is None:
            return None, 0
        if name not in self._adapters:
            raise InvalidRequestError("model", f"There is no adapter {name!r}.")
        start = self._adapters[name].start_in(prompt)
        return (None, 0) if start is None else (self._adapters[name], start)

    def _aligns(self, request: GenerationRequest) -> bool:
        """Where what was said can be taken back, and no bias decides what is."""
        return self.settings.aligns and self.model.can_share_prefixes and not request.sampling.logit_bias

    def _speculation(self, request: GenerationRequest) -> Guessing | None:
        """A model whose KV can't be cut (recurrent ones) can't take a wrong guess back."""
        wanted = self.settings.speculate != "off" if request.speculates is None else request.speculates
        if not wanted or not self.model.can_share_prefixes or self.settings.draft_tokens < 1:
            return None
        if self._drafts is not None:
            return self._drafts.speculation()
        return Speculation(PromptLookup(), self.settings.draft_tokens)

    async def _guide(self, constraint: Constraint | None, barred: tuple[str, ...], *, jumps: bool) -> Guide:
        if constraint is None:
            return Guide(self.model.vocabulary, barred=barred)
        matcher = await asyncio.to_thread(self._grammars.matcher, constraint)
        return Guide(self.model.vocabulary, matcher, constraint, barred=barred, jumps=jumps)

    def _deliver_from_thread(self, outbox: Outbox) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._deliver, outbox)

    def _deliver(self, outbox: Outbox) -> None:
        for sequence, event in outbox:
            generation = self._generations.get(sequence)
            if generation is None:
                continue
            generation.receive(event)
            if isinstance(event, (Finished, Exception)):
                del self._generations[sequence]
            if isinstance(event, Finished) and self._prefixes is not None:
                opening = _opening(sequence.tokens, sequence.common_tokens, sequence.adapter, sequence.activation)
                self._prefixes.used(*opening)

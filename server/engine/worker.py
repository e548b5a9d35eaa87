"""The one thread that owns the llama.cpp context: it takes commands, runs steps and hands out events.

A step is: admit, plan, decode, sample. The thread never stops for a bad sequence: what goes wrong with one is that
one's last event. It stops only when it is told to, or by a fault of our own, and then says so to everyone waiting.
"""

import logging
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Several
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from server.engine.adapter import Adapter, free_adapter
from server.engine.context import Context, DecodeError, NoRoomError
from server.engine.errors import EngineStoppedError, GenerationError
from server.engine.kv_cache import KvCache
from server.engine.scheduler import Scheduler, SchedulerSettings, Share
from server.engine.sequence import Event, Sequence, is_over
from server.engine.types import EngineStats

logger = logging.getLogger("trammel.engine")

_SMALL_STEP = 64
"""Tokens; larger steps hold prompts and say nothing about decoding."""
Result = TypeVar("Result")
Outbox = list[tuple[Sequence, Event | Exception]]


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    decoded_tokens: int = 0
    sampled_tokens: int = 0
    forced_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    failed: int = 0
    decode_seconds: float = 0.0
    step_seconds: float = 0.0


def _common(one: Several[int], other: Several[int]) -> int:
    """Length of the beginning that two have in common."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))


class Worker(threading.Thread):
    """Runs the continuous batch until `stop`."""

    def __init__(
        self, context: Context, cache: KvCache, settings: SchedulerSettings, deliver: Callable[[Outbox], None]
    ) -> None:
        """`deliver` is called from this thread, once a step, with what happened to whom."""
        super().__init__(name="trammel-engine", daemon=True)
        self._context = context
        self._cache = cache
        self._scheduler = Scheduler(cache, settings)
        self._deliver = deliver
        self._outbox: Outbox = []
        self._mailbox = threading.Condition()
        self._submitted: list[Sequence] = []
        self._cancelled: list[Sequence] = []
        self._errands: list[Callable[[], None]] = []
        self._retired: list[Adapter] = []
        self._is_stopping = False
        self._counters = _Counters()

    def submit(self, sequence: Sequence) -> None:
        """Raises: EngineStoppedError."""
        with self._mailbox:
            if self._is_stopping:
                raise EngineStoppedError
            self._submitted.append(sequence)
            self._mailbox.notify()

    def cancel(self, sequence: Sequence) -> None:
        """The sequence leaves before the next step."""
        with self._mailbox:
            self._cancelled.append(sequence)
            self._mailbox.notify()

    def between_steps(self, act: Callable[[], Result]) -> "Future[Result]":
        """Run something that must not happen while the context decodes. Raises: EngineStoppedError."""
        future: Future[Result] = Future()

        def errand() -> None:
            try:
                future.set_result(act())
            except BaseException as error:
                future.set_exception(error)

        with self._mailbox:
            if self._is_stopping:
                raise EngineStoppedError
            self._errands.append(errand)
            self._mailbox.notify()
        return future

    def retire(self, adapter: Adapter) -> None:
        """Free an adapter once the last sequence that uses it is over."""
        with self._mailbox:
            self._retired.append(adapter)
            self._mailbox.notify()

    def stop(self) -> None:
        """End after the step under way; whoever is not done gets EngineStoppedError."""
        with self._mailbox:
            self._is_stopping = True
            self._mailbox.notify()

    @property
    def waiting(self) -> int:
        """Requests that no batch place has been found for yet."""
        return len(self._submitted) + len(self._scheduler.waiting)

    def stats(self) -> EngineStats:
        counters = self._counters
        return EngineStats(
            steps=counters.steps,
            decoded_tokens=counters.decoded_tokens,
            sampled_tokens=counters.sampled_tokens,
            forced_tokens=counters.forced_tokens,
            cached_tokens=counters.cached_tokens,
            drafted_tokens=counters.drafted_tokens,
            accepted_tokens=counters.accepted_tokens,
            rejected=0,
            failed=counters.failed,
            kv_cells=self._scheduler.cells,
            kv_cells_used=self._cache.cells_used,
            running=len(self._scheduler.running),
            waiting=self.waiting,
            parked=self._scheduler.parked,
            decode_seconds=counters.decode_seconds,
            step_seconds=counters.step_seconds,
            is_alive=self.is_alive() and not self._is_stopping,
        )

    def run(self) -> None:
        try:
            while self._take_commands():
                self._step()
                self._flush()
        except Exception:
            logger.exception("the engine thread died")
        finally:
            self._give_up()

    def _take_commands(self) -> bool:
        """Read the mailbox, waiting if there is nothing else to do. False: time to stop."""
        with self._mailbox:
            while not self._has_mail and self._scheduler.is_idle:
                self._mailbox.wait()
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
            errands, self._errands = self._errands, []
            retired, self._retired = self._retired, []
            self._scheduler.waiting.extend(submitted)
            is_stopping = self._is_stopping
        for sequence in cancelled:
            if sequence in self._scheduler.running or sequence in self._scheduler.waiting:
                self._post(sequence, sequence.cancel())
        for errand in errands:
            errand()
        self._free(retired)
        return not is_stopping

    @property
    def _has_mail(self) -> bool:
        return bool(self._is_stopping or self._submitted or self._cancelled or self._errands or self._retired)

    def _free(self, retired: list[Adapter]) -> None:
        """Adapters still in use come back after the next step."""
        in_use = {sequence.adapter for sequence in (*self._scheduler.running, *self._scheduler.waiting)}
        kept = [adapter for adapter in retired if adapter in in_use]
        for adapter in retired:
            if adapter not in in_use:
                self._cache.forget(adapter)
                self._context.use(None)
                free_adapter(adapter)
        if kept:
            with self._mailbox:
                self._retired.extend(kept)

    def _step(self) -> None:
        started = time.perf_counter()
        for sequence in self._scheduler.admit():
            self._counters.cached_tokens += sequence.cached_tokens or 0
            self._post(sequence, self._guarded(sequence, sequence.begin))
        rows = self._decode()
        for share, row in rows:
            self._sample(share, row)
        self._counters.step_seconds += time.perf_counter() - started

    def _sample(self, share: Share, row: int) -> None:
        """Draw the next token and, as long as the draft has it too, the ones after it."""
        sequence, draft = share.sequence, share.draft
        known = len(sequence.tokens)
        row -= len(draft)
        right = 0
        while True:
            events = self._guarded(sequence, partial(self._advance, sequence, row + right))
            self._counters.sampled_tokens += 1
            added = sequence.tokens[known + right :] if len(sequence.tokens) > known + right else []
            matched = _common(added, draft[right:])
            right += matched
            is_on_draft = bool(added) and matched == len(added) and right < len(draft) + 1
            if is_over(events) or not is_on_draft or sequence.slot is None:
                break
            self._outbox.extend((sequence, event) for event in events)
        if draft:
            sequence.learn(len(draft), right)
            self._counters.drafted_tokens += len(draft)
            self._counters.accepted_tokens += right
        if sequence.slot is not None:  # wrong drafts go, and a rollback may reach behind what is decoded
            self._cache.truncate(sequence.slot, min(known + right, len(sequence.tokens) - 1))
        self._post(sequence, events)

    def _advance(self, sequence: Sequence, row: int) -> list[Event]:
        return sequence.advance(self._context.logits(row))

    def _decode(self) -> list[tuple[Share, int]]:
        """Run one batch. Returns the shares whose sequences can be sampled now, each with its last row."""
        while shares := self._scheduler.plan():
            rows = self._fill(shares)
            started = time.perf_counter()
            try:
                self._context.use(shares[0].sequence.adapter)
                self._context.decode()
            except NoRoomError:
                if not self._scheduler.make_room():
                    self._fail(shares[0].sequence, GenerationError("The context's KV cache is full."))
                continue
            except DecodeError as error:
                for share in shares:
                    self._fail(share.sequence, GenerationError(f"Decoding failed: {error}"))
                return []
            seconds = time.perf_counter() - started
            self._counters.decode_seconds += seconds
            if self._context.count <= _SMALL_STEP:
                self._scheduler.cost.learn(self._context.count, seconds)
            self._counters.steps += 1
            self._counters.decoded_tokens += self._context.count
            for share in shares:
                if share.sequence.slot is not None:
                    share.sequence.slot.length += share.count + len(share.draft)
            return rows
        return []

    def _fill(self, shares: list[Share]) -> list[tuple[Share, int]]:
        self._context.clear_batch()
        rows: list[tuple[Share, int]] = []
        for share in shares:
            slot = share.sequence.slot
            if slot is None:
                raise RuntimeError("a planned sequence has no slot")
            tokens = [*share.sequence.tokens[slot.length : slot.length + share.count], *share.draft]
            wanted = 1 + len(share.draft) if share.is_whole else 0
            row = self._context.add(tokens, start=slot.length, sequence=slot.id, wanted=wanted)
            if share.is_whole:
                rows.append((share, row))
        return rows

    def _guarded(self, sequence: Sequence, act: Callable[[], list[Event]]) -> list[Event]:
        """What a sequence's own code does, or its failure as that sequence's last event."""
        try:
            return act()
        except GenerationError as error:
            self._fail(sequence, error)
        except Exception:
            logger.exception("a generation failed")
            self._fail(sequence, GenerationError("The generation failed by a fault of the server; see its log."))
        return []

    def _post(self, sequence: Sequence, events: list[Event]) -> None:
        self._outbox.extend((sequence, event) for event in events)
        if is_over(events):
            self._counters.forced_tokens += sequence.forced_tokens
            self._scheduler.remove(sequence)

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        self._outbox.append((sequence, error))
        self._counters.failed += 1
        self._scheduler.discard(sequence)

    def _flush(self) -> None:
        if self._outbox:
            outbox, self._outbox = self._outbox, []
            self._deliver(outbox)

    def _give_up(self) -> None:
        with self._mailbox:
            self._is_stopping = True
            left = [*self._scheduler.running, *self._scheduler.waiting, *self._submitted]
            self._submitted = []
            errands, self._errands = self._errands, []
        for errand in errands:
            errand()
        self._scheduler.running.clear()
        self._scheduler.waiting.clear()
        self._outbox.extend((sequence, EngineStoppedError()) for sequence in left)
        self._flush()

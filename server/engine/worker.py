"""The one thread that owns the llama.cpp context: it takes commands, runs steps and hands out events.

A step is: admit, plan, decode, sample. The thread never stops for a bad sequence: what goes wrong with one is that
one's last event, and where a step of several fails, each of them is decoded alone until it is known which one it was.
The thread stops only when it is told to, or by a fault of our own (`fault`), and then says so to everyone waiting.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from server.engine.adapter import Adapter, free_adapter
from server.engine.context import Context, DecodeError, NoRoomError
from server.engine.draft_model import DraftModel
from server.engine.draft_plan import Batch
from server.engine.errors import (
    DeadlineExceededError,
    EngineStoppedError,
    GenerationError,
    NotFiniteError,
    ShuttingDownError,
)
from server.engine.kv_cache import KvCache, Slot
from server.engine.scheduler import Scheduler, SchedulerSettings, Share
from server.engine.sequence import Event, Sequence, is_over
from server.engine.shared_prefix import common_prefix
from server.engine.speculation import BatchCost
from server.engine.timings import Timings
from server.engine.types import EngineStats

logger = logging.getLogger("trammel.engine")

Result = TypeVar("Result")
Outbox = list[tuple[Sequence, Event | Exception]]


@dataclass(frozen=True, slots=True)
class _Row:
    """Logits of a step."""

    sequence: Sequence
    row: int
    """Of its last known token."""
    is_sampled: bool
    """The next token can be drawn from it."""
    judged: int = 0
    """Prompt tokens up to this row whose logits are there as well, itself included."""
    start: int = 0
    """Place of the first of those."""
    unseen: range = range(0)
    """Rows of the tokens before those that the sequence has not seen the logits of."""


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    decoded_tokens: int = 0
    sampled_tokens: int = 0
    forced_tokens: int = 0
    taken_back: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    failed: int = 0
    decode_seconds: float = 0.0
    step_seconds: float = 0.0


class Worker(threading.Thread):
    """Runs the continuous batch until `stop`."""

    def __init__(
        self,
        context: Context,
        cache: KvCache,
        settings: SchedulerSettings,
        deliver: Callable[[Outbox], None],
        drafts: DraftModel | None = None,
    ) -> None:
        """`deliver` is called from this thread, once a step, with what happened to whom."""
        super().__init__(name="trammel-engine", daemon=True)
        self._context = context
        self._cache = cache
        self._scheduler = Scheduler(cache, settings)
        self._deliver = deliver
        self._drafts = drafts
        self._outbox: Outbox = []
        self._mailbox = threading.Condition()
        self._submitted: list[Sequence] = []
        self._cancelled: list[Sequence] = []
        self._errands: list[Callable[[], None]] = []
        self._retired: list[Adapter] = []
        self._is_stopping = False
        self.fault: BaseException | None = None
        """What the thread died of."""
        self.timings = Timings()
        self._counters = _Counters()
        self._cost = BatchCost()

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
            if not future.set_running_or_notify_cancel():
                return  # whoever asked has gone
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
        """End after the step under way; whoever is not done gets ShuttingDownError."""
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
            taken_back=counters.taken_back,
            cached_tokens=counters.cached_tokens,
            drafted_tokens=counters.drafted_tokens,
            accepted_tokens=counters.accepted_tokens,
            rejected=0,
            failed=counters.failed,
            kv_cells=self._scheduler.cells,
            kv_cells_used=self._cache.cells_used,
            kv_shelved_bytes=self._cache.shelved_bytes,
            running=len(self._scheduler.running),
            waiting=self.waiting,
            parked=self._scheduler.parked,
            decode_seconds=counters.decode_seconds,
            draft_seconds=self._drafts.seconds if self._drafts else 0.0,
            step_seconds=counters.step_seconds,
            is_alive=self.is_alive() and not self._is_stopping,
        )

    def run(self) -> None:
        try:
            self._context.warm_up()
            while self._take_commands():
                self._step()
                self._flush()
        except BaseException as error:
            self.fault = error
            logger.critical("the engine thread died", exc_info=True)
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
        self._expire()
        for errand in errands:
            errand()
        self._free(retired)
        return not is_stopping

    def _expire(self) -> None:
        """End those whose time is over."""
        now = time.monotonic()
        for sequence in [*self._scheduler.running, *self._scheduler.waiting]:
            if sequence.deadline is not None and sequence.deadline <= now:
                try:
                    self._post(sequence, sequence.expire())
                except DeadlineExceededError as error:
                    self._outbox.append((sequence, error))
                    self._scheduler.remove(sequence)

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
            if not sequence.has_begun:
                self.timings.queue.observe(time.monotonic() - sequence.arrived)
            self._counters.cached_tokens += sequence.cached_tokens or 0
            self._post(sequence, self._guarded(sequence, sequence.begin))
        suspects: list[Sequence] = []
        rows = self._decode()
        now = time.monotonic()
        for row in rows:
            sequence = row.sequence
            try:
                is_over_already = row.judged and self._judge(row)
                if row.is_sampled and not is_over_already:
                    self.timings.note_tokens(sequence.arrived, sequence.sampled_at, now)
                    sequence.sampled_at = now
                    self._post(sequence, self._guarded(sequence, partial(self._sample, row)))
                    sequence.is_suspect = False
            except NotFiniteError:
                suspects.append(sequence)
        if suspects:
            self._suspect(suspects, NotFiniteError())
        self._counters.step_seconds += time.perf_counter() - started

    def _judge(self, row: _Row) -> bool:
        """Look at a prompt's own logits. Returns whether the sequence is over with it. Raises: NotFiniteError."""
        first = row.row + 1 - row.judged
        look = partial(
            row.sequence.judge_prompt, row.start, lambda number: self._context.logits(first + number), row.judged
        )
        events = self._guarded(row.sequence, look)
        self._post(row.sequence, events)
        return is_over(events)

    def _sample(self, row: _Row) -> list[Event]:
        """Draw a token, and one more for every token of the draft that was guessed right."""
        sequence = row.sequence
        unseen = [self._context.logits(number) for number in row.unseen]
        draft = sequence.speculation.draft if sequence.speculation else []
        known, drawn = len(sequence.tokens), sequence.drawn
        unchanged, said, steps = known, 0, 0
        events: list[Event] = []
        while not is_over(events) and said <= len(draft) and sequence.tokens[known:] == draft[:said]:
            try:
                events += sequence.advance(self._context.logits(row.row + said), () if said else unseen)
            except NotFiniteError:
                if not said:
                    raise
                break  # what was said before stands; the next step shows whether it was the guess
            steps += 1
            unchanged = min(unchanged, sequence.unchanged)
            if unchanged < known or sequence.unseen:  # taken back behind the draft, or not to be kept for the moment
                break
            said = len(sequence.tokens) - known
        self._counters.sampled_tokens += sequence.drawn - drawn
        accepted = common_prefix(draft, sequence.tokens[known:]) if unchanged == known else 0
        if sequence.slot is not None:
            last = sequence.unseen.start if sequence.unseen else len(sequence.tokens)
            self._keep(sequence.slot, known + len(draft), min(unchanged + accepted, last - 1))
        if sequence.speculation is not None:
            self._counters.drafted_tokens += len(draft)
            self._counters.accepted_tokens += accepted
            compared = min(len(draft), max(0, len(sequence.tokens) - known))
            sequence.speculation.settle(accepted, compared, steps - 1)
        return events

    def _keep(self, slot: Slot, decoded: int, length: int) -> None:
        """Of the `decoded` tokens of a slot, its KV stays for the first `length`."""
        slot.length = decoded
        self._cache.truncate(slot, length)

    def _decode(self) -> list[_Row]:
        """Run one batch. Returns the rows that have logits."""
        guesses = True
        while shares := self._narrowed(self._scheduler.plan()):
            rows = self._fill(shares, guesses=guesses)
            started = time.perf_counter()
            try:
                self._context.use(shares[0].sequence.active_adapter)
                self._context.decode()
            except NoRoomError:
                if guesses:  # those are the first to go
                    guesses = False
                elif not self._scheduler.make_room():
                    self._fail(shares[0].sequence, GenerationError("The context's KV cache is full."))
                continue
            except DecodeError as error:
                self._suspect([share.sequence for share in shares], GenerationError(f"Decoding failed: {error}."))
                return []
            elapsed = time.perf_counter() - started
            self._cost.observe(self._context.count, elapsed)
            self._counters.decode_seconds += elapsed
            self._counters.steps += 1
            self._counters.decoded_tokens += self._context.count
            for share in shares:
                share.sequence.served = self._counters.steps
                if share.sequence.slot is not None:
                    share.sequence.slot.length += share.count
            return rows
        return []

    def _narrowed(self, shares: list[Share]) -> list[Share]:
        """A few of the sequences, where several narrow steps take less time than one: those that waited longest."""
        if any(share.count > 1 or not share.is_whole or share.sequence.speculation for share in shares):
            return shares
        group = self._cost.best_group(len(shares))
        return sorted(shares, key=lambda share: share.sequence.served)[:group] if group < len(shares) else shares

    def _fill(self, shares: list[Share], *, guesses: bool) -> list[_Row]:
        self._context.clear_batch()
        total = self._context.room
        spare = total - sum(share.count for share in shares)
        streams = sum(share.is_whole for share in shares)
        rows: list[_Row] = []
        if guesses and self._drafts is not None:
            whole = [share.sequence for share in shares if share.is_whole and not share.sequence.unseen]
            self._drafts.prepare(whole, self._cost, Batch(total - spare, streams, spare))
        for share in shares:
            slot = share.sequence.slot
            if slot is None:
                raise RuntimeError("a planned sequence has no slot")
            tokens = share.sequence.tokens[slot.length : slot.length + share.count]
            draft: list[int] = []
            places = share.sequence.unseen
            is_there = share.is_whole and places.start > slot.length  # if they come in the step
            before = range(places.start - 1 - slot.length, places.stop - 1 - slot.length) if is_there else range(0)
            if share.is_whole and share.sequence.speculation is not None and not share.sequence.unseen:
                room = min(spare, share.sequence.room - 1) if guesses else 0
                draft = share.sequence.speculation.guess(
                    share.sequence.tokens, self._cost, room=room, batch=total - spare, streams=streams
                )
                spare -= len(draft)
            row = self._context.add(
                tokens + draft,
                start=slot.length,
                sequence=slot.id,
                wants_logits=share.is_whole,
                guessed=len(draft),
                wanted=range(share.count) if share.sequence.judge is not None else before,
            )
            judged = share.count if share.sequence.judge is not None else 0
            if share.is_whole or judged:
                first = row + 1 - share.count
                unseen = range(first + before.start, first + before.stop) if before else before
                rows.append(_Row(share.sequence, row, share.is_whole, judged, slot.length, unseen))
        return rows

    def _guarded(self, sequence: Sequence, act: Callable[[], list[Event]]) -> list[Event]:
        """What a sequence's own code does, or its failure as that sequence's last event."""
        try:
            return act()
        except NotFiniteError:
            raise
        except GenerationError as error:
            self._fail(sequence, error)
        except Exception:
            logger.exception("a generation failed")
            self._fail(sequence, GenerationError("The generation failed by a fault of the server; see its log."))
        return []

    def _suspect(self, sequences: list[Sequence], error: GenerationError) -> None:
        """A step of these failed: each gets a step of its own, on wiped cells. One that had it is the cause."""
        logger.warning(
            "%s The KV cache is wiped, and the %d that run begin again.", error, len(self._scheduler.running)
        )
        for sequence in sequences:
            if sequence.is_suspect:
                self._fail(sequence, error)
            sequence.is_suspect = True
        self._scheduler.restart()

    def _post(self, sequence: Sequence, events: list[Event]) -> None:
        self._outbox.extend([(sequence, event) for event in sequence.release(events)])
        if is_over(events):
            self._counters.forced_tokens += sequence.forced_tokens
            self._counters.taken_back += sequence.taken_back
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
        cause = EngineStoppedError if self.fault else ShuttingDownError
        self._outbox.extend((sequence, cause()) for sequence in left)
        self._flush()

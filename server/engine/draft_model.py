"""A second, smaller model that guesses what the first will say, in a context of its own.

It reads the same tokens and takes the likeliest next one, again and again; the guesses of all sequences are made
together, one batch a token. It knows nothing of grammars, sampling or adapters: what it says is only ever a guess,
judged by the target like any other (server/engine/speculation.py). Its KV is kept like the target's, prefixes shared.
Whatever fails in it costs guesses, never an answer.
"""

import logging
import time
from dataclasses import dataclass, replace

from server.engine.context import Context, ContextSettings, DecodeError, NoRoomError
from server.engine.draft_plan import Batch, DraftCost, DraftPlan
from server.engine.errors import ModelLoadError
from server.engine.kv_cache import KvCache, Slot
from server.engine.model import Model
from server.engine.sequence import Sequence
from server.engine.shared_prefix import common_prefix
from server.engine.shared_vocabulary import DifferentVocabularyError, count_shared
from server.engine.speculation import BatchCost, HitRate

logger = logging.getLogger("trammel.engine")

_TAIL = 256
"""Tokens at the end of what the draft model has read that may have been taken back since."""
_MEMORY = 0.98
"""Of the hit rate over all sequences, with which a new one begins."""
_MOST_FAILURES = 3
"""In a row; after that it is left alone."""


class DraftSpeculation:
    """The guessing of one sequence by a draft model."""

    def __init__(self, overall: HitRate) -> None:
        """`overall`: what all sequences of the model learn together."""
        self._overall = overall
        self.rate = HitRate(overall.share)
        self.last_tried = 0
        self.proposal: list[int] = []
        """Guesses made for the coming batch."""
        self.draft: list[int] = []
        """Guesses in the batch that is decoding."""

    def guess(self, tokens: list[int], cost: BatchCost, *, room: int, batch: int, streams: int) -> list[int]:  # noqa: ARG002
        """What `DraftModel.prepare` has guessed, cut to `room`; kept as `draft`."""
        self.draft, self.proposal = self.proposal[: max(0, room)], []
        return self.draft

    def settle(self, accepted: int, compared: int | None = None, saved: int | None = None) -> None:
        """The draft has been compared with what was drawn; see Guessing."""
        if self.draft:
            compared = len(self.draft) if compared is None else compared
            self.rate.learn(compared, accepted, saved)
            self._overall.learn(compared, accepted, saved)
        self.draft = []


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sequence as the plan sees it."""

    sequence: Sequence
    speculation: DraftSpeculation
    slot: Slot

    @property
    def rate(self) -> HitRate:
        return self.speculation.rate

    @property
    def behind(self) -> int:
        return len(self.slot.tokens) - self.slot.length

    @property
    def left(self) -> int:
        return self.sequence.room

    @property
    def last_tried(self) -> int:
        return self.speculation.last_tried


class DraftModel:
    """Guesses for many sequences at once. One thread owns it, the target's."""

    def __init__(self, model: Model, target: Model, settings: ContextSettings, *, longest: int, chunk: int) -> None:
        """`settings`: the target's, over as many sequences. `longest`: tokens a guess; `chunk`: prompt tokens a step.

        Raises: ModelLoadError, if the model can't guess for this target.
        """
        self._shared = _shared_tokens(model, target)
        self._context = Context(model, replace(settings, cells=draft_cells(settings, longest)))
        self._cache = KvCache(self._context, settings.sequences)
        self._longest, self._chunk = longest, chunk
        self._ends = model.vocabulary.end_tokens
        self._model = model
        self._slots: dict[Sequence, Slot] = {}
        self._overall = HitRate(memory=_MEMORY)
        self._cost = DraftCost()
        self._plan: DraftPlan | None = None
        self._prepared = 0
        self._failures = 0
        self.seconds = 0.0
        """Spent on guessing."""

    def speculation(self) -> DraftSpeculation:
        """For a new sequence."""
        return DraftSpeculation(self._overall)

    def prepare(self, sequences: list[Sequence], cost: BatchCost, batch: Batch) -> None:
        """Guess for those of the sequences for whom it pays, whose last token is about to be decoded."""
        self._release_ended()
        if self._failures >= _MOST_FAILURES:
            return
        started = time.perf_counter()
        if self._plan is None:
            self._plan = DraftPlan(cost, self._cost, self._longest)
        candidates = [one for sequence in sequences if (one := self._candidate(sequence))]
        chosen, width = self._plan.choose(candidates, batch) if candidates else ([], 0)
        if chosen:
            self._prepared += 1
            try:
                self._guess(chosen, width)
            except Exception as error:  # it is the target's thread, and guesses can be done without
                self._fail(repr(error))
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Free the context and the model."""
        self._context.close()
        self._model.close()

    def _candidate(self, sequence: Sequence) -> _Candidate | None:
        """None while its prompt is prefilled: the first token should not wait for guesses."""
        speculation = sequence.speculation
        if not isinstance(speculation, DraftSpeculation) or sequence.is_prefilling or sequence.room < 2:
            return None
        slot = self._slots.get(sequence)
        if max(sequence.tokens[-_TAIL:] if slot else sequence.tokens) >= self._shared:
            return None
        if slot is None:
            slot = self._slots[sequence] = self._cache.take(list(sequence.tokens))
        else:
            self._follow(slot, sequence.tokens)
        return _Candidate(sequence, speculation, slot)

    def _follow(self, slot: Slot, tokens: list[int]) -> None:
        """Forget guesses that were wrong, and append what has been said since."""
        floor = max(0, slot.length - _TAIL)
        kept = floor + common_prefix(slot.tokens[floor : slot.length], tokens[floor : slot.length])
        kept = min(kept, len(tokens) - 1)
        self._cache.truncate(slot, kept)
        slot.tokens[kept:] = tokens[kept:]

    def _release_ended(self) -> None:
        """The draft KV of who has ended, or was parked, stays as long as there is room."""
        for sequence in [one for one in self._slots if one.slot is None]:
            self._cache.release(self._slots.pop(sequence))

    def _guess(self, chosen: list[_Candidate], width: int) -> None:
        """Fill in the proposals. The first batch also reads what is new; who is too far behind only reads."""
        started = time.perf_counter()
        rows = self._add_unread(chosen)
        while self._decode():
            following = []
            for one, row in rows:
                one.slot.length = len(one.slot.tokens)
                token = int(self._context.logits(row)[: self._shared].argmax())
                one.speculation.proposal.append(token)
                if len(one.speculation.proposal) < min(width, one.left - 1) and token not in self._ends:
                    one.slot.tokens.append(token)
                    following.append(one)
            now = time.perf_counter()
            self._cost.observe(self._context.count, now - started)
            started = now
            self._context.clear_batch()
            rows = [(one, self._add(one, 1, is_last=True)) for one in following]
            if not rows:
                self._failures = 0
                return

    def _add_unread(self, chosen: list[_Candidate]) -> list[tuple[_Candidate, int]]:
        """Put what each has not read into the batch. Returns those that are read to the end, with their rows."""
        self._context.clear_batch()
        chunk = self._chunk
        rows: list[tuple[_Candidate, int]] = []
        for one in sorted(chosen, key=lambda candidate: candidate.behind):
            one.speculation.last_tried = self._prepared
            count = min(one.behind, max(chunk, 1), self._context.room)
            chunk -= count
            if count:
                is_last = count == one.behind
                row = self._add(one, count, is_last=is_last)
                one.slot.length += 0 if is_last else count
                if is_last:
                    rows.append((one, row))
        return rows

    def _add(self, one: _Candidate, count: int, *, is_last: bool) -> int:
        slot = one.slot
        tokens = slot.tokens[slot.length : slot.length + count]
        return self._context.add(tokens, start=slot.length, sequence=slot.id, wants_logits=is_last)

    def _decode(self) -> bool:
        """Run the batch. False if that failed."""
        while True:
            try:
                self._context.decode()
            except NoRoomError:
                if self._cache.evict():
                    continue
                reason = "its KV cache is full"
            except DecodeError as error:
                reason = str(error)
            else:
                return True
            self._fail(reason)
            return False

    def _fail(self, reason: str) -> None:
        """What it has read is not to be trusted any more."""
        self._failures += 1
        logger.warning("the draft model %s can't guess: %s", self._model.path.name, reason)
        for slot in self._slots.values():
            self._cache.drop(slot)
        self._slots.clear()


def draft_cells(settings: ContextSettings, longest: int) -> int:
    """What a draft model's KV cache must hold beside a target's context: guesses take cells too."""
    return settings.cells + settings.sequences * (longest + 1)


def _shared_tokens(model: Model, target: Model) -> int:
    """Raises: ModelLoadError."""
    if not model.can_generate:
        raise ModelLoadError(f"{model.path.name} can't draft: it is an encoder")
    for one in (model, target):
        if not one.can_share_prefixes:
            raise ModelLoadError(
                f"{model.path.name} can't draft for {target.path.name}: the state of {one.path.name} is recurrent, and "
                "a wrong guess could not be taken back from it"
            )
    try:
        return count_shared(target.vocabulary, model.vocabulary)
    except DifferentVocabularyError as error:
        raise ModelLoadError(
            f"{model.path.name} can't draft for {target.path.name}: their vocabularies differ ({error})"
        ) from error

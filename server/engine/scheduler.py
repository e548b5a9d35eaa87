"""Decides which tokens of which sequences go into the next batch.

Continuous batching (Orca, https://www.usenix.org/conference/osdi22/presentation/yu): sequences join and leave between
steps. Decode comes first: whoever has begun to answer gets the next token in every step, and prompts are prefilled in
chunks with the room that is left, so that a long prompt slows the others' streams by one chunk a step at most.
"""

from dataclasses import dataclass

from server.engine.adapter import Adapter
from server.engine.kv_cache import KvCache
from server.engine.sequence import Sequence
from server.engine.shared_prefix import common_prefix, reach
from server.engine.waiting_queue import WaitingQueue

_SHORTEST_TURN, _LONGEST_TURN = 2, 8
"""Steps that the streams of one adapter get before those of the next, as many as there are streams between these."""
_WORTH_WAITING_FOR = 32
"""Tokens of prefill; less than that is done faster than waited for."""


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Bounds of a step, in tokens, and of what runs at once."""

    sequences: int
    cells: int
    batch_tokens: int
    prefill_chunk: int
    """Prompt tokens a step may carry while others decode."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one sequence gets of a step: its next `count` pending tokens."""

    sequence: Sequence
    count: int

    @property
    def is_whole(self) -> bool:
        """Nothing stays pending, so the next token can be sampled after the step."""
        return self.count == self.sequence.pending


class Scheduler:
    """The waiting queue and the running batch."""

    def __init__(self, cache: KvCache, settings: SchedulerSettings) -> None:
        self._cache = cache
        self._settings = settings
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []
        """In order of admission."""
        self._adapter: Adapter | None = None
        self._steps_left = _SHORTEST_TURN
        self.parked = 0
        """Times a sequence had to give its KV back and wait again."""

    @property
    def cells(self) -> int:
        return self._settings.cells

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    def admit(self) -> list[Sequence]:
        """Move sequences from the queue into the batch while there is room for them. Returns the new ones."""
        admitted: list[Sequence] = []
        while self.waiting and self._has_room_for(self.waiting[0]):
            sequence = self.waiting[0]
            if self._is_being_prefilled(sequence) or self._suspects:
                break
            self.waiting.popleft()
            is_judged = sequence.judge is not None
            sequence.slot = self._cache.take(sequence.tokens, sequence.namespace, is_fresh=is_judged)
            if sequence.cached_tokens is None:
                sequence.cached_tokens = sequence.slot.length
            self.running.append(sequence)
            admitted.append(sequence)
        return admitted

    def plan(self) -> list[Share]:
        """The next step: at most `batch_tokens` tokens of one adapter, decoding sequences before prefilling ones."""
        room = self._settings.batch_tokens
        shares: list[Share] = []
        turn = self._suspects or self._next_turn()
        for sequence in turn:
            if room and not sequence.is_prefilling:
                shares.append(Share(sequence, min(room, sequence.ready)))
                room -= shares[-1].count
        has_listeners = any(not sequence.is_prefilling for sequence in self.running)
        chunk = min(room, self._settings.prefill_chunk) if has_listeners else room
        for sequence in turn:
            if chunk and sequence.is_prefilling:
                shares.append(Share(sequence, min(chunk, sequence.ready)))
                chunk -= shares[-1].count
        return shares

    def _next_turn(self) -> list[Sequence]:
        """The running sequences of one adapter. Adapters take turns of a few steps: changing them costs time."""
        adapters = list(dict.fromkeys(sequence.active_adapter for sequence in self.running))
        if self._adapter not in adapters or (self._steps_left <= 0 and len(adapters) > 1):
            place = adapters.index(self._adapter) + 1 if self._adapter in adapters else 0
            self._adapter = adapters[place % len(adapters)] if adapters else None
            streams = sum(sequence.active_adapter is self._adapter for sequence in self.running)
            self._steps_left = min(max(streams, _SHORTEST_TURN), _LONGEST_TURN)
        self._steps_left -= 1
        return [sequence for sequence in self.running if sequence.active_adapter is self._adapter]

    def remove(self, sequence: Sequence) -> None:
        """The sequence is over (or never began): out of the queue or the batch; its KV stays cached."""
        if sequence.slot is not None:
            self._cache.release(sequence.slot)
            sequence.slot = None
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Like `remove`, but the KV is not to be trusted."""
        if sequence.slot is not None:
            self._cache.drop(sequence.slot)
            sequence.slot = None
            self.running.remove(sequence)

    def make_room(self) -> bool:
        """Free KV cells: a cached prefix, or else the youngest sequence, which is parked and resumed later.

        False if one sequence has all the cells and still wants more.
        """
        if self._cache.evict():
            return True
        if len(self.running) < 2:
            return False
        youngest = self.running.pop()
        if youngest.slot is not None:
            self._cache.park(youngest.slot)
            youngest.slot = None
        self.waiting.appendleft(youngest)
        self.parked += 1
        return True

    def restart(self) -> None:
        """Take everybody's KV away and wipe it: all that run begin again, suspects first, one after the other.

        A NaN spreads: attention multiplies the values of other sequences' cells by 0, and 0 × NaN is NaN. So where one
        has been seen, no cell is to be trusted, and who brought it shows only when each is decoded by itself, beside
        none but those that have been cleared.
        """
        order = [*self._suspects, *(sequence for sequence in self.running if not sequence.is_suspect)]
        for sequence in reversed(order):
            sequence.slot = None
            self.waiting.appendleft(sequence)
        self.running.clear()
        self._cache.clear()

    @property
    def _suspects(self) -> list[Sequence]:
        """The one that is decoded alone now, if there is one."""
        return [sequence for sequence in self.running if sequence.is_suspect]

    def _has_room_for(self, sequence: Sequence) -> bool:
        """A batch place and, counting shared prefixes twice, the cells for its prompt and some output."""
        if len(self.running) >= self._settings.sequences:
            return False
        if not self.running:
            return True
        used = sum(len(running.tokens) for running in self.running)
        return used + len(sequence.tokens) + self._settings.prefill_chunk // 2 <= self._settings.cells

    def _is_being_prefilled(self, sequence: Sequence) -> bool:
        """Another sequence is computing a prefix that this one can then share."""
        if not self._cache.shares_prefixes or sequence.judge is not None:  # which takes nothing
            return False
        have = self._cache.shared_length(sequence.tokens, sequence.namespace)
        coming = max(
            (
                min(common_prefix(other.tokens, sequence.tokens), limit)
                for other in self.running
                if other.is_prefilling and (limit := reach(other.namespace, sequence.namespace))
            ),
            default=0,
        )
        return min(coming, len(sequence.tokens) - 1) >= have + _WORTH_WAITING_FOR

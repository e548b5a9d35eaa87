"""Which llama.cpp sequence ("slot") holds the KV of which tokens, and what may be reused of it.

A slot keeps its KV after its generation ends. A new prompt takes over the longest beginning that any slot, finished
or running, has in common with it: in a unified cache copying a prefix only marks cells as shared. Finished slots whose
cells stand in the way of those that run go to the shelf, least recently used first, and so do they when slots or cells
run out; a prompt that begins like one of them gets it back. KV is shared as far as the same weights have computed it
only: those of the base model, of one adapter, or (aLoRA) of one and then the other.
"""

import itertools
from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import Protocol

from server.engine.kv_shelf import LARGEST_TO_WANTED, KvShelf, KvState, ShelvedKv
from server.engine.shared_prefix import adapter_of, common_prefix, reach

_WORTH_KEEPING = 32
"""Tokens; less than that is computed faster than copied out and back."""
_MOST_IDLE = 8
"""Finished slots that are left in the cache: what each has of its own is looked for among all others."""


class KvMemory(Protocol):
    """The part of a context this module moves around."""

    def copy_prefix(self, source: int, target: int, length: int) -> None: ...
    def share_prefix(self, source: int, target: int, length: int) -> None: ...
    def truncate(self, sequence: int, length: int) -> None: ...
    def clear_memory(self) -> None: ...
    def saved_bytes(self, sequence: int) -> int: ...
    def save(self, sequence: int) -> KvState: ...
    def restore(self, sequence: int, state: KvState) -> bool: ...


@dataclass(slots=True)
class Slot:
    """One llama.cpp sequence."""

    id: int
    tokens: list[int] = field(default_factory=list)
    """What has been, or is about to be, decoded here. While running, the generation's own list."""
    length: int = 0
    """Tokens whose KV is there: tokens[:length]."""
    is_running: bool = False
    last_used: int = 0
    namespace: object = None
    """What computed the KV: None for the base model, an adapter (compared by identity), or Activated."""


class KvCache:
    """All slots of a context."""

    def __init__(
        self,
        memory: KvMemory,
        slots: int,
        *,
        shares_prefixes: bool = True,
        shelf: KvShelf | None = None,
        idle_tokens: int | None = None,
    ) -> None:
        """`shelf`: where KV goes that has to leave; None: it is lost. `idle_tokens`: what finished slots may hold, less
        what they share, while others run; None: as much as there is room for."""
        self._memory = memory
        self._shelf = shelf
        self._idle_tokens = idle_tokens
        self._slots = [Slot(number) for number in range(slots)]
        self.shares_prefixes = shares_prefixes
        self._clock = itertools.count(1)

    def take(self, tokens: list[int], namespace: object = None, *, is_fresh: bool = False) -> Slot:
        """A slot for a generation over `tokens`, with as much KV as can be had for them; with none if `is_fresh`.

        At least the last token stays to be decoded, because its logits are needed. There must be a slot that is
        not running.
        """
        source, shared = (None, 0) if is_fresh else self._longest_prefix(tokens, namespace)
        slot = self._free_slot(keep=source)
        shelved, length = (None, 0) if is_fresh else self._worth_bringing_back(tokens, namespace, shared)
        if shelved is not None:
            self._clear_the_way()
            if self._bring_back(shelved, slot, length):
                source, shared = slot, length
            else:  # the others have left in vain
                source, shared = self._longest_prefix(tokens, namespace)
        if slot is source:
            self._memory.truncate(slot.id, shared)
        else:
            self._put_away(slot)
            if source is not None and shared:
                self._memory.copy_prefix(source.id, slot.id, shared)
        slot.tokens, slot.length, slot.is_running, slot.namespace = tokens, shared, True, namespace
        slot.last_used = next(self._clock)
        self._clear_the_way()
        return slot

    def release(self, slot: Slot) -> None:
        """The generation is over; its KV stays until room is needed."""
        slot.tokens = slot.tokens[: slot.length]
        slot.is_running = False
        slot.last_used = next(self._clock)
        if not self.shares_prefixes:
            self.drop(slot)
        elif any(other.is_running for other in self._slots):
            self._clear_the_way()

    def park(self, slot: Slot) -> None:
        """Free the slot of a generation that goes on later."""
        slot.is_running = False
        self._put_away(slot)

    def drop(self, slot: Slot) -> None:
        """Forget a slot's KV and free the slot."""
        self._memory.truncate(slot.id, 0)
        slot.tokens, slot.length, slot.is_running, slot.namespace = [], 0, False, None

    def truncate(self, slot: Slot, length: int) -> None:
        """Forget the KV from position `length` on."""
        if length < slot.length:
            self._memory.truncate(slot.id, length)
            slot.length = length

    def evict(self) -> bool:
        """Give up the least recently used finished slot; False if there is none."""
        idle = self._idle()
        if idle:
            self._put_away(idle[0])
        return bool(idle)

    def forget(self, namespace: object) -> None:
        """Drop what is kept of a namespace; nothing of it is running any more."""
        for slot in self._slots:
            if adapter_of(slot.namespace) is namespace and not slot.is_running:
                self.drop(slot)
        if self._shelf:
            self._shelf.forget(namespace)

    def extract(self, tokens: list[int], namespace: object) -> KvState | None:
        """The KV of `tokens`, for `insert`; None if it isn't there."""
        if all(slot.is_running for slot in self._slots):
            return None
        source, length = self._longest_prefix([*tokens, -1], namespace)
        slot = self._free_slot(keep=source)
        if source is not slot and source is not None and length >= len(tokens):
            self._put_away(slot)
            self._memory.copy_prefix(source.id, slot.id, len(tokens))
        else:
            shelved, length = self._shelf.longest([*tokens, -1], namespace) if self._shelf else (None, 0)
            if shelved is None or length < len(tokens) or not self._bring_back(shelved, slot, len(tokens)):
                return None
        state = self._memory.save(slot.id)
        self.drop(slot)
        return state

    def insert(self, tokens: list[int], namespace: object, state: KvState) -> bool:
        """Keep a KV that `extract` gave, as if a generation with it had ended. False if there is no room."""
        if not self.shares_prefixes or not any(not slot.is_running for slot in self._slots):
            return False
        slot = self._free_slot(keep=None)
        if not self._bring_back(ShelvedKv(tokens, namespace, state), slot, len(tokens)):
            return False
        slot.tokens, slot.length, slot.namespace = list(tokens), len(tokens), namespace
        slot.last_used = next(self._clock)
        return True

    def clear(self) -> None:
        """Forget everything and wipe the cells, so that nothing of what was in them is left; nothing is running."""
        for slot in self._slots:
            slot.tokens, slot.length, slot.is_running, slot.namespace = [], 0, False, None
        if self._shelf:
            self._shelf.clear()
        self._memory.clear_memory()

    @property
    def shelved_bytes(self) -> int:
        """Ordinary memory that holds the KV of finished requests."""
        return self._shelf.bytes_used if self._shelf else 0

    @property
    def cells_used(self) -> int:
        return sum(slot.length for slot in self._slots)

    def shared_length(self, tokens: Tokens[int], namespace: object = None) -> int:
        """How many of the first tokens need no prefill now."""
        shared = self._longest_prefix(tokens, namespace)[1]
        return max(shared, self._worth_bringing_back(tokens, namespace, shared)[1])

    def _worth_bringing_back(self, tokens: Tokens[int], namespace: object, shared: int) -> tuple[ShelvedKv | None, int]:
        """What the shelf has of a prompt of which `shared` tokens are in the cache, and its length; None if that is not
        much more."""
        shelved, length = self._shelf.longest(tokens, namespace) if self._shelf else (None, 0)
        more = length - shared
        if shelved is None or more < _WORTH_KEEPING or len(shelved.tokens) > LARGEST_TO_WANTED * more:
            return None, 0
        return shelved, length

    def _clear_the_way(self) -> None:
        """Shelve finished slots, the oldest first, until what the others have of their own is little."""
        if self._idle_tokens is None:
            return
        kept = [slot for slot in self._slots if slot.is_running and slot.length]
        room = self._idle_tokens
        leaving = []
        for number, slot in enumerate(reversed(self._idle())):
            own = self._own_tokens(slot, kept) if number < _MOST_IDLE else slot.length
            if 0 < own <= room and number < _MOST_IDLE:
                kept.append(slot)
                room -= own
            else:
                leaving.append(slot)
        for slot in reversed(leaving):
            self._put_away(slot)

    def _own_tokens(self, slot: Slot, others: Iterable[Slot]) -> int:
        """How many of a slot's tokens no other one has."""
        shared = (
            min(common_prefix(slot.tokens, other.tokens), slot.length, other.length, limit)
            for other in others
            if other is not slot and other.length and (limit := reach(slot.namespace, other.namespace))
        )
        return slot.length - max(shared, default=0)

    def _idle(self) -> list[Slot]:
        """The finished slots that hold something, the least recently used first."""
        idle = [slot for slot in self._slots if not slot.is_running and slot.length]
        return sorted(idle, key=lambda slot: slot.last_used)

    def _put_away(self, slot: Slot) -> None:
        """Free a slot; its KV goes to the shelf, if there is one and it is not kept elsewhere."""
        if self._shelf and slot.length >= _WORTH_KEEPING:
            tokens = slot.tokens[: slot.length]
            is_known = self._worth_bringing_back([*tokens, -1], slot.namespace, 0)[1] >= slot.length
            is_worth_it = self._own_tokens(slot, self._slots) * LARGEST_TO_WANTED >= slot.length
            if not is_known and is_worth_it and self._memory.saved_bytes(slot.id) <= self._shelf.most_bytes:
                self._shelve(slot, tokens)
        self.drop(slot)

    def _shelve(self, slot: Slot, tokens: list[int]) -> None:
        try:
            state = self._memory.save(slot.id)
        except MemoryError:
            return  # it is computed again
        if self._shelf and state:
            self._shelf.put(tokens, slot.namespace, state)

    def _bring_back(self, kept: ShelvedKv, slot: Slot, length: int) -> bool:
        """Put the first `length` tokens of a KV into a slot that isn't running; others may have to leave for it.

        Where another slot has the beginning of them, its cells are shared. False if there is no room.
        """
        self._put_away(slot)
        while not self._memory.restore(slot.id, kept.state):
            if not self.evict():
                self.drop(slot)
                if self._shelf and not any(other.is_running for other in self._slots):
                    self._shelf.remove(kept)  # it never will have
                return False
        self._memory.truncate(slot.id, length)
        source, shared = self._longest_prefix([*kept.tokens[:length], -1], kept.namespace)
        if source is not None and shared:
            self._memory.share_prefix(source.id, slot.id, shared)
        if self._shelf:
            self._shelf.note_use(kept)
        return True

    def _longest_prefix(self, tokens: Tokens[int], namespace: object) -> tuple[Slot | None, int]:
        best: Slot | None = None
        best_length = 0
        if self.shares_prefixes:
            for slot in self._slots:
                limit = min(reach(slot.namespace, namespace), slot.length, len(tokens) - 1)
                length = min(common_prefix(slot.tokens, tokens), limit) if limit > best_length else 0
                if length > best_length:
                    best, best_length = slot, length
        return best, best_length

    def _free_slot(self, keep: Slot | None) -> Slot:
        """An idle slot, the one to keep only if there is no other: empty ones first, then the oldest."""
        idle = [slot for slot in self._slots if not slot.is_running]
        return min(idle, key=lambda slot: (slot is keep, slot.length > 0, slot.last_used))

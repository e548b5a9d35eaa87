"""Which llama.cpp sequence ("slot") holds the KV of which tokens, and what may be reused of it.

A slot keeps its KV after its generation ends. A new prompt takes over the longest beginning that any slot, finished
or running, has in common with it: in a unified cache copying a prefix only marks cells as shared. Finished slots are
given up least recently used first, when slots or cells run out. KV is shared as far as the same weights have computed
it only: those of the base model, of one adapter, or (aLoRA) of one and then the other.
"""

import itertools
import sys
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import Protocol


class KvMemory(Protocol):
    """The part of a context this module moves around."""

    def copy_prefix(self, source: int, target: int, length: int) -> None: ...
    def truncate(self, sequence: int, length: int) -> None: ...
    def clear_memory(self) -> None: ...
    def save(self, sequence: int) -> bytes: ...
    def restore(self, sequence: int, state: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Activated:
    """The namespace of KV that the base model has computed up to token `start`, and an adapter from there on."""

    adapter: object
    start: int


def reach(one: object, other: object) -> int:
    """How many first tokens may share their KV between two namespaces, if they are the same tokens."""
    return sys.maxsize if one == other else min(_base_part(one), _base_part(other))


def _base_part(namespace: object) -> int:
    """Tokens that the base model computes; it is the namespace None."""
    if namespace is None:
        return sys.maxsize
    return namespace.start if isinstance(namespace, Activated) else 0


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

    def __init__(self, memory: KvMemory, slots: int, *, shares_prefixes: bool = True) -> None:
        self._memory = memory
        self._slots = [Slot(number) for number in range(slots)]
        self.shares_prefixes = shares_prefixes
        self._clock = itertools.count(1)

    def take(self, tokens: list[int], namespace: object = None) -> Slot:
        """A slot for a generation over `tokens`, with as much KV as can be had for them.

        At least the last token stays to be decoded, because its logits are needed. There must be a slot that is
        not running.
        """
        source, shared = self._longest_prefix(tokens, namespace)
        slot = self._free_slot(keep=source)
        if slot is not source:
            self._memory.truncate(slot.id, 0)
            if source is not None and shared:
                self._memory.copy_prefix(source.id, slot.id, shared)
        else:
            self._memory.truncate(slot.id, shared)
        slot.tokens, slot.length, slot.is_running, slot.namespace = tokens, shared, True, namespace
        slot.last_used = next(self._clock)
        return slot

    def release(self, slot: Slot) -> None:
        """The generation is over; its KV stays until room is needed."""
        slot.tokens = slot.tokens[: slot.length]
        slot.is_running = False
        slot.last_used = next(self._clock)
        if not self.shares_prefixes:
            self.drop(slot)

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
        idle = [slot for slot in self._slots if not slot.is_running and slot.length]
        if not idle:
            return False
        self.drop(min(idle, key=lambda slot: slot.last_used))
        return True

    def forget(self, namespace: object) -> None:
        """Drop what is kept of a namespace; nothing of it is running any more."""
        for slot in self._slots:
            adapter = slot.namespace.adapter if isinstance(slot.namespace, Activated) else slot.namespace
            if adapter is namespace and not slot.is_running:
                self.drop(slot)

    def extract(self, tokens: list[int], namespace: object) -> bytes | None:
        """The KV of `tokens`, for `insert`; None if it isn't there."""
        source, length = self._longest_prefix([*tokens, -1], namespace)
        idle = [slot for slot in self._slots if not slot.is_running and slot is not source]
        if source is None or length < len(tokens) or not idle:
            return None
        slot = min(idle, key=lambda one: (one.length > 0, one.last_used))
        self.drop(slot)
        self._memory.copy_prefix(source.id, slot.id, length)
        state = self._memory.save(slot.id)
        self.drop(slot)
        return state

    def insert(self, tokens: list[int], namespace: object, state: bytes) -> bool:
        """Keep a KV that `extract` gave, as if a generation with it had ended. False if there is no room."""
        if not self.shares_prefixes or not any(not slot.is_running for slot in self._slots):
            return False
        slot = self._free_slot(keep=None)
        self.drop(slot)
        while not self._memory.restore(slot.id, state):
            if not self.evict():
                return False
        slot.tokens, slot.length, slot.namespace = list(tokens), len(tokens), namespace
        slot.last_used = next(self._clock)
        return True

    def clear(self) -> None:
        """Forget everything and wipe the cells, so that nothing of what was in them is left; nothing is running."""
        for slot in self._slots:
            slot.tokens, slot.length, slot.is_running, slot.namespace = [], 0, False, None
        self._memory.clear_memory()

    @property
    def cells_used(self) -> int:
        return sum(slot.length for slot in self._slots)

    def shared_length(self, tokens: Tokens[int], namespace: object = None) -> int:
        """How many of the first tokens need no prefill now."""
        return self._longest_prefix(tokens, namespace)[1]

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


def common_prefix(one: Tokens[int], other: Tokens[int]) -> int:
    """Length of the beginning that two token sequences share, by bisection over slices (which compare in C)."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if list(one[low:middle]) == list(other[low:middle]):
            low = middle
        else:
            high = middle - 1
    return low

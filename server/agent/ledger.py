"""The calls a run has made, and whether the next one is one of them again.

A read is answered from here until a write that may touch it has run. A write is never made twice, and neither is one
whose outcome nobody knows (a timeout, a crash in the middle). Polling tools are meant to be asked again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from server.tools.definition import Effect, ToolDefinition

Outcome = Literal["ok", "failed", "unknown"]
"""failed: nothing was done. unknown: it may have been done."""
_LONGEST_PERIOD = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A call that was executed."""

    number: int
    """In the run, from 1."""
    tool: str
    key: str
    """`canonical.call_key`."""
    effect: Effect
    outcome: Outcome
    at: float
    """Seconds since the epoch."""
    touches: frozenset[str] = frozenset()


@dataclass(slots=True)
class Ledger:
    """In the order of execution."""

    entries: list[Entry] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    """Keys of all calls the model asked for, repeated ones too, polling ones not."""

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)

    def repeated(self, tool: ToolDefinition, key: str) -> Entry | None:
        """The earlier call that makes this one needless, if there is one."""
        if tool.polls:
            return None
        if tool.effect != "read":
            return self._last(lambda entry: entry.key == key and entry.outcome != "failed")
        found = self._last(lambda entry: entry.key == key and entry.outcome == "ok")
        if found is None or any(may_touch(entry, tool) for entry in self._after(found)):
            return None
        return found

    def period(self) -> int | None:
        """Length of the cycle that the latest calls go round in: 1 for A-A-A, 2 for A-B-A-B, up to 4."""
        return find_period(self.wanted)

    def _last(self, is_it: Callable[[Entry], bool]) -> Entry | None:
        return next((entry for entry in reversed(self.entries) if is_it(entry)), None)

    def _after(self, entry: Entry) -> list[Entry]:
        return self.entries[self.entries.index(entry) + 1 :]


def may_touch(entry: Entry, tool: ToolDefinition) -> bool:
    """Whether what was done may have changed what the tool reads. Without names on either side: yes."""
    if entry.effect == "read" or entry.outcome == "failed":
        return False
    return not entry.touches or not tool.touches or bool(entry.touches & tool.touches)


def find_period(keys: Sequence[str]) -> int | None:
    """The shortest period that the end of the sequence repeats: twice, or thrice for a single key."""
    for period in range(1, _LONGEST_PERIOD + 1):
        rounds = 3 if period == 1 else 2
        end = list(keys[-period * rounds :])
        if len(end) == period * rounds and end == end[:period] * rounds:
            return period
    return None

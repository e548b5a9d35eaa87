"""For whom a draft model guesses in a step, and how far: worked out from what its steps and the target's have cost.

All sequences that are drafted for get the same width: the draft model takes one step a guess for all of them together.
What a draft costs is all counted: the draft model's steps, the prompt it has yet to read, the wider batch of the
target. Where nothing promises a gain, a small share of the time still goes into tries, so that what has changed is
noticed; a model that never guesses right costs that share and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from server.engine.speculation import GAIN, BatchCost, HitRate

_WIDTHS = (1, 2, 3, 4, 5, 7, 11, 15, 23, 31, 63)
_HORIZON = 64
"""Tokens of an answer over which reading its prompt must pay."""
_TRY_WIDTH = 3
_TRY_SHARE = 0.02
"""Of the time of decoding, for tries."""
_READING = 16
"""Tokens; smaller batches say little about the speed of reading a prompt."""
_NEWEST = 0.3


class Candidate(Protocol):
    """A sequence that could be drafted for."""

    @property
    def rate(self) -> HitRate: ...
    @property
    def behind(self) -> int:
        """Tokens that the draft model has yet to read."""

    @property
    def left(self) -> int:
        """Tokens it may still append."""

    @property
    def last_tried(self) -> int:
        """The step in which it was last drafted for."""


Chosen = TypeVar("Chosen", bound=Candidate)


class DraftCost:
    """What the draft model's own work takes, as measured."""

    def __init__(self) -> None:
        self._batches = BatchCost()
        self._per_token: float | None = None

    def observe(self, tokens: int, seconds: float) -> None:
        self._batches.observe(tokens, seconds)
        if tokens >= _READING:
            old = self._per_token
            newest = seconds / tokens
            self._per_token = newest if old is None else old + _NEWEST * (newest - old)

    def guessing(self, streams: int, width: int) -> float:
        """Seconds of `width` steps for so many sequences; 0 as long as nothing is known, so that it is tried."""
        return width * self._batches.seconds(streams)

    def reading(self, behind: int) -> float:
        """Seconds to read all but the last of the tokens it is behind by."""
        return (behind - 1) * (self._per_token or 0.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the target's next batch carries without guesses."""

    tokens: int
    streams: int
    """Sequences that get a token from it."""
    room: int
    """Tokens that still fit."""


class DraftPlan:
    """Chooses, step by step."""

    def __init__(self, target: BatchCost, draft: DraftCost, longest: int) -> None:
        self._target = target
        self._draft = draft
        self._longest = longest
        self._untried_seconds = 0.0

    def choose(self, candidates: Sequence[Chosen], batch: Batch) -> tuple[list[Chosen], int]:
        """Whom to draft for, and how many tokens each."""
        now = self._target.seconds(batch.tokens)
        if not now:
            return [], 0
        self._untried_seconds += now
        ranked = sorted(candidates, key=lambda one: one.rate.hits(self._longest), reverse=True)
        count, width = self.best(ranked, batch)
        chosen, others = ranked[:count], ranked[count:]
        width = width or min(_TRY_WIDTH, self._longest)
        if others and (count + 1) * width <= batch.room:
            tried = min(others, key=lambda one: one.last_tried)
            price = self._price(tried, width, batch)
            if price <= _TRY_SHARE * self._untried_seconds:
                self._untried_seconds = 0.0
                chosen.append(tried)
        return chosen, width

    def best(self, ranked: Sequence[Candidate], batch: Batch) -> tuple[int, int]:
        """How many of the candidates, the most promising first, and how wide; (0, 0) if nothing is gained."""
        now = self._target.seconds(batch.tokens)
        best, best_speed = (0, 0), GAIN * batch.streams / now
        for width in (*(w for w in _WIDTHS if w < self._longest), self._longest):
            hits, reading, done = 0.0, 0.0, 0
            for count in _counts(len(ranked)):
                for one in ranked[done:count]:
                    promised = one.rate.hits(width)
                    hits += promised
                    reading += self._draft.reading(one.behind) * (1 + promised) / max(1, min(one.left, _HORIZON))
                done = count
                if count * width > batch.room:
                    break
                seconds = self._target.seconds(batch.tokens + count * width)
                seconds += self._draft.guessing(count, width) + reading
                if (batch.streams + hits) / seconds > best_speed:
                    best, best_speed = (count, width), (batch.streams + hits) / seconds
        return best

    def _price(self, one: Candidate, width: int, batch: Batch) -> float:
        """Seconds that a try takes."""
        wider = self._target.seconds(batch.tokens + width) - self._target.seconds(batch.tokens)
        return max(0.0, wider) + self._draft.guessing(1, width) + self._draft.reading(one.behind)


def _counts(most: int) -> list[int]:
    """1, 2, 4 … and all of them: with 128 sequences, trying every number would take longer than it saves."""
    counts = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*counts, most] if most else []

"""How long requests wait, for their first token and between tokens: counted by the engine's thread as it works.

A histogram here is a list of numbers that one thread adds to (a third of a microsecond) and others read at any time.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_GAPS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


@dataclass(slots=True)
class Histogram:
    """Counts of seconds by size."""

    bounds: tuple[float, ...]
    """Upper bounds, included, in order; what is larger than all has a count of its own."""
    counts: list[int] = field(init=False)
    total: float = 0.0
    """Sum of all that was observed, in seconds."""

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class Timings:
    """What an engine's clients wait for."""

    queue: Histogram = field(default_factory=lambda: Histogram(_WAITS))
    """From a request's arrival to its place in the batch."""
    first_token: Histogram = field(default_factory=lambda: Histogram(_WAITS))
    """From a request's arrival to its first sampled token."""
    between_tokens: Histogram = field(default_factory=lambda: Histogram(_GAPS))
    """Between two steps that gave a generation tokens; a step may give several (forced ones, guesses)."""

    def note_tokens(self, arrived: float, before: float | None, now: float) -> None:
        """A generation that arrived then, and had its last tokens at `before`, has got tokens."""
        if before is None:
            self.first_token.observe(now - arrived)
        else:
            self.between_tokens.observe(now - before)

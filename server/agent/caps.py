"""Bounds of a run. The one that ends it is named."""

from dataclasses import dataclass
from typing import Literal

CapName = Literal["steps", "calls", "seconds", "tokens", "bytes", "retries"]


@dataclass(frozen=True, slots=True)
class Caps:
    """Each is the most that a run may use."""

    steps: int = 12
    """Turns of the model."""
    calls: int = 32
    """Calls that are executed."""
    seconds: float = 300.0
    """Of work: waiting for a person or a client costs nothing."""
    tokens: int = 65_536
    """Generated, and prompt tokens that no cache had."""
    bytes: int = 4 * 1024 * 1024
    """Of results, before they are trimmed."""
    retries: int = 3
    """Faulty calls in a row."""
    repeats: int = 2
    """Repeated calls in a row, after which the model must answer. Ends nothing by itself."""


@dataclass(slots=True)
class Spent:
    """What a run has used."""

    steps: int = 0
    calls: int = 0
    seconds: float = 0.0
    tokens: int = 0
    bytes: int = 0
    faults: int = 0
    """In a row."""
    repeats: int = 0
    """In a row."""


def reached(caps: Caps, spent: Spent) -> CapName | None:
    """The first cap that leaves no room for another turn."""
    over: dict[CapName, bool] = {
        "retries": spent.faults > caps.retries,
        "steps": spent.steps >= caps.steps,
        "calls": spent.calls >= caps.calls,
        "seconds": spent.seconds >= caps.seconds,
        "tokens": spent.tokens >= caps.tokens,
        "bytes": spent.bytes >= caps.bytes,
    }
    return next((name for name, is_over in over.items() if is_over), None)

"""Two columns case by case: what got better and what got worse, to be read beside the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evals.record import Record
from evals.summary import Difference, differences

DECIDING = ("pass", "AST match", "schema conformance", "short answer", "exact match", "asked when missing", "choice")
"""A case is as good as the first of these that it speaks of at both."""


@dataclass(frozen=True, slots=True)
class Change:
    """A case that the second column did better or worse than the first."""

    metric: str
    first: Record
    second: Record
    change: float

    @property
    def verdict(self) -> Literal["better", "worse"]:
        return "better" if self.change > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The second column against the first."""

    first: str
    second: str
    cases: int
    """That both were asked."""
    changes: list[Change]
    """The largest first; the order of the cases among equals."""
    differences: list[Difference]

    def count(self, verdict: Literal["better", "worse"]) -> int:
        return sum(change.verdict == verdict for change in self.changes)


def compare(first: Sequence[Record], second: Sequence[Record]) -> Comparison:
    """Over the cases that both were asked. Both must hold records."""
    others = {record.key: record for record in second}
    pairs = [(record, others[record.key]) for record in first if record.key in others]
    changes = [change for pair in pairs if (change := _change(*pair)) is not None]
    changes.sort(key=lambda change: -abs(change.change))
    return Comparison(first[0].column, second[0].column, len(pairs), changes, differences(first, second))


def _change(first: Record, second: Record) -> Change | None:
    for metric in DECIDING:
        ours, theirs = first.scores.get(metric), second.scores.get(metric)
        if ours and theirs and ours[1] and theirs[1]:
            change = theirs[0] / theirs[1] - ours[0] / ours[1]
            return Change(metric, first, second, change) if change else None
    return None

"""What a run would learn, told before its first step: silent masks of nothing are how fine-tunings fail."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from training.train.rows import Row


class NothingToLearnError(ValueError):
    """No token of the data would be learnt."""


@dataclass(slots=True)
class MaskAudit:
    """Counted over all rows."""

    records: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """By category, as the next two."""
    tokens: Counter[str] = field(default_factory=Counter)
    supervised: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    endless: int = 0
    """Answers whose end the model would not learn: no stop token is at their end."""
    cut: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By line: tokens and answers lost."""
    unlearnt: list[int] = field(default_factory=list)
    """Lines of which nothing is learnt: no answer has weight, or the first is too far in."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Lines the template refuses, and why."""

    def add(self, line: int, rows: Sequence[Row], stops: frozenset[int]) -> None:
        self.records += 1
        if not rows:
            self.unlearnt.append(line)
        for row in rows:
            self.rows[row.category] += 1
            self.tokens[row.category] += len(row.ids)
            self.supervised[row.category] += row.supervised
            self.answers += len(row.answers)
            self.endless += sum(row.ids[end - 1] not in stops for _, end in row.answers)
            if row.lost_tokens:
                tokens, answers = self.cut.get(line, (0, 0))
                self.cut[line] = tokens + row.lost_tokens, answers + row.lost_answers

    def refuse(self, line: int, reason: str) -> None:
        self.records += 1
        self.unreadable[line] = reason

    def check(self) -> None:
        """Raises: NothingToLearnError."""
        if not self.supervised.total():
            reasons = f"; the template refuses line {min(self.unreadable)}: " if self.unreadable else ""
            first = self.unreadable[min(self.unreadable)] if self.unreadable else ""
            raise NothingToLearnError(f"no token of {self.records} records would be learnt{reasons}{first}")

    def as_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        return {**own, "supervised_tokens": self.supervised.total()}

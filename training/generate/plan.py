"""Decides what the next example is about, so that after any number of them all shares are as near as can be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from training.data.category import Category

DEFAULT_SHARES: Mapping[Category, float] = {
    "single_call": 0.35,
    "error_recovery": 0.15,
    "chain": 0.15,
    "parallel": 0.1,
    "clarification": 0.1,
    "no_tool": 0.1,
    "answer": 0.05,
}


@dataclass(slots=True)
class Plan:
    """The same for the same shares and tools, and a longer one begins with the shorter."""

    shares: Mapping[Category, float]
    tools: Sequence[str]
    _made: Counter[str] = field(default_factory=Counter)
    _used: Counter[tuple[str, str]] = field(default_factory=Counter)

    def next(self) -> tuple[Category, str]:
        """The category that is furthest behind, and the tool it had least often."""
        total = sum(self.shares.values())
        count = self._made.total() + 1
        category = max(self.shares, key=lambda c: self.shares[c] / total * count - self._made[c])
        turn = self._made[category] % len(self.tools)
        tools = [*self.tools[turn:], *self.tools[:turn]]
        tool = min(tools, key=lambda name: self._used[category, name])
        self._made[category] += 1
        self._used[category, tool] += 1
        return category, tool


def parse_shares(text: str) -> dict[Category, float]:
    """`single_call=2,chain=1`, or names only for equal shares. Raises: ValueError."""
    shares: dict[Category, float] = {}
    for part in text.split(","):
        name, sign, share = part.strip().partition("=")
        category = next((known for known in DEFAULT_SHARES if known == name), None)
        if category is None:
            raise ValueError(f"no category is named {name!r}; there are {', '.join(DEFAULT_SHARES)}")
        shares[category] = float(share) if sign else 1.0
        if not 0 < shares[category] < float("inf"):
            raise ValueError(f"the share of {name} must be more than 0")
    return shares

"""Prompt lookup: drafts of the next tokens from the text itself (https://github.com/apoorvumang/prompt-lookup-decoding).

What an answer repeats stands in its prompt or in its own beginning: the last tokens are looked up there, and what
followed them then is proposed. The model checks a whole draft in one batch; every position is masked and sampled as if
it were the only one, so what comes out is what would have come out anyway.
"""

import math
from collections.abc import Sequence

_LONGEST = 16
_SHORTEST_MATCH = 2
"""Tokens that must repeat before their continuation is proposed."""
_MEMORY = 0.9
"""How much of the past a running mean keeps at each observation."""
_REST = 48
"""Steps without drafts after they have stopped paying; then a short one is tried."""


class Lookup:
    """Where each pair of tokens was last followed by something."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, int], int] = {}
        self._indexed = 0

    def propose(self, tokens: Sequence[int], count: int) -> list[int]:
        """Up to `count` tokens that followed the last ones before."""
        if count <= 0 or len(tokens) <= _SHORTEST_MATCH:
            return []
        self._index(tokens)
        start = self._after.get((tokens[-2], tokens[-1]))
        if start is None or start >= len(tokens) or tuple(tokens[start - 2 : start]) != (tokens[-2], tokens[-1]):
            return []
        return list(tokens[start : start + count])

    def _index(self, tokens: Sequence[int]) -> None:
        """All pairs but the last, which nothing has followed yet. Tokens may have been taken back since."""
        self._indexed = min(self._indexed, len(tokens) - 1)
        for end in range(max(self._indexed, 2), len(tokens)):
            self._after[tokens[end - 2], tokens[end - 1]] = end
        self._indexed = len(tokens)


class Economy:
    """How long a draft may be for one sequence: as long as a further token is likelier to be right than it costs."""

    def __init__(self) -> None:
        self._rate = 0.7
        """Share of proposed tokens that were right, until the first wrong one."""
        self._rest = 0

    def length(self, marginal: float) -> int:
        """Tokens to propose. `marginal`: what a further token of a batch costs, as a share of a step with one."""
        if self._rest > 0:
            self._rest -= 1
            return 0
        worth = max(min(marginal, 0.95), 0.01)
        if self._rate <= worth:
            self._rest, self._rate = _REST, min(worth + 0.1, 0.9)
            return 0
        return min(_LONGEST, max(1, int(math.log(worth) / math.log(min(self._rate, 0.98)))))

    def learn(self, proposed: int, accepted: int) -> None:
        """A draft has been checked."""
        trials = accepted + (accepted < proposed)
        for trial in range(trials):
            self._rate = _MEMORY * self._rate + (1 - _MEMORY) * (trial < accepted)


class StepCost:
    """What a batch costs by its size: a straight line through the steps of late, forgetting older ones."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """A step of small size was measured; prompts say nothing about decoding."""
        keep = 0.98
        self._weight = keep * self._weight + 1
        self._x = keep * self._x + tokens
        self._y = keep * self._y + seconds
        self._xx = keep * self._xx + tokens * tokens
        self._xy = keep * self._xy + tokens * seconds

    @property
    def marginal(self) -> float:
        """Of one more token, as a share of a step with one token. Not known yet: a guess."""
        spread = self._weight * self._xx - self._x * self._x
        if self._weight < 4 or spread <= 1e-9 * max(self._xx, 1):
            return 0.15
        slope = (self._weight * self._xy - self._x * self._y) / spread
        start = (self._y - slope * self._x) / self._weight
        whole = start + slope
        return max(slope / whole, 0.0) if whole > 0 else 0.15

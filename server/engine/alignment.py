"""Second thoughts under a grammar: a token counts as much as what the grammar lets the model say after it.

A mask looks one token ahead. A model that wants to say `SearchAttractions` where the tools are `FindAttractions` and
`SearchHotel` says `Search`, which is allowed, and is led to the hotel by a grammar that leaves it nothing else. What
it meant shows one token later: the grammar then forbids nearly all of what the model would say. So where it was of two
minds about how a word goes on, the share of its probability that the grammar keeps behind each token is remembered
until the word is over, and the word is begun again where another is worth more by then.

These are the expected futures of Park et al., Grammar-Aligned Decoding (https://arxiv.org/abs/2405.21047), found while
decoding; what nobody has looked into counts as 1. So greedy decoding is a best-first search, and sampling an adaptive
rejection sampling of the words that the model says given that it says one of them. Nothing is computed where the model
is sure, and no step is lost where the grammar keeps what it wants.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from server.engine.errors import NotFiniteError
from server.engine.sampler import Floats, Sampler
from server.engine.token_set import TokenSet

_WORD_ENDS = b"\"'`<>()[]{}|,:;=\n"
"""What names and values end with in the notations of calls."""
_LONGEST = 32
"""Tokens drawn for a word; what is longer is none."""
_FEW = 256
"""Tokens; where a grammar allows more, it is not about names, keys and the values of an enum."""
_UNSURE = 0.001
"""Probability of all other tokens together, from which on a choice is remembered."""
_MOST_RETURNS = 6
"""In a word; each may take a step. The last one goes to the best of what has been looked into."""
_LEAST_WORTH = 1e-300

State = TypeVar("State")


@dataclass(slots=True)
class _Step:
    """What came of a token."""

    chance: float
    """Its probability among those allowed."""
    kept: float | None = None
    """Probability of the tokens that the grammar forced after it; None until they have been looked at."""
    place: "_Place | None" = None
    """Where the next one was drawn, if that was in the same word."""

    @property
    def worth(self) -> float:
        """Share of the model's probability behind the token that the grammar keeps, as far as it is known."""
        kept = 1.0 if self.kept is None else self.kept
        return kept if self.place is None else kept * self.place.worth


@dataclass(slots=True)
class _Place:
    """A place of a word at which a token is drawn."""

    kept: float
    """Share of the model's probability that the grammar allows here."""
    allowed: TokenSet
    values: Floats
    """The logits of those that are allowed."""
    row: Floats | None
    """What the caller wants to know again when a token is drawn here."""
    steps: dict[int, _Step] = field(default_factory=dict)
    """Of the tokens that have been said here."""

    @property
    def worth(self) -> float:
        return self.kept * (1 - sum(step.chance * (1 - step.worth) for step in self.steps.values()))

    def draw(self, sampler: Sampler, *, again: bool = False) -> int:
        """A token by all that is known by now. `again`: one that has been said here, if there is any."""
        values = self.values.copy() if not (again and self.steps) else np.full_like(self.values, -np.inf)
        for token, step in self.steps.items():
            place = np.searchsorted(self.allowed.listed, token)
            values[place] = self.values[place] + np.float32(np.log(max(step.worth, _LEAST_WORTH)))
        return sampler.choose(values, self.allowed)

    def step(self, token: int) -> _Step:
        """What came of a token; nothing yet if it was never said here."""
        if token not in self.steps:
            self.steps[token] = _Step(_chance(self.allowed, self.values, token))
        return self.steps[token]


class Alignment(Generic[State]):
    """The word that one sequence is saying. `State`: what restores the sequence as it was before it.

    A word is a name, a key, a value of an enum, with the mark that ends it. What a model makes of a key that comes
    after a name says something about the name as well, but less than about its knowledge of the key.

    Logits have the shape (vocabulary,). Those of a token to be drawn have the request's penalties in them; how much a
    grammar keeps is read off the model's own.
    """

    def __init__(self, pieces: Sequence[bytes], most_returns: int = _MOST_RETURNS) -> None:
        """`pieces`: the bytes of each token; `most_returns`: times that a word is begun again."""
        self._pieces = pieces
        self._most_returns = most_returns
        self._first: _Place | None = None
        self._last: _Step | None = None
        self.drawn: list[int] = []
        """The tokens of the word that were drawn and not forced."""
        self._kept = 1.0
        """Share that the grammar has kept since the word was last thought over."""
        self._returns = 0
        self.state: State | None = None
        """None if nothing will be taken back."""

    def is_fork(self, token: int, logits: Floats, allowed: TokenSet) -> bool:
        """Whether a word that begins with this token may have to be begun again."""
        return is_narrow(allowed) and 1 - _chance(allowed, allowed.values(logits), token) > _UNSURE

    def begin(
        self,
        token: int,
        logits: Floats,
        allowed: TokenSet,
        state: State,
        row: Callable[[], Floats | None] = lambda: None,
    ) -> None:
        """A word of which the first token has been drawn. `row`: to be given again by `rows`."""
        self._first = _Place(1.0, allowed, allowed.values(logits), row())
        self._last = self._first.step(token)
        self.drawn, self._kept, self._returns, self.state = [token], 1.0, 0, state

    def forced_of(self, word: bytes, tokens: Sequence[int]) -> int:
        """How many of the tokens that the grammar forces behind `word` still belong to it, and are to be looked at."""
        if self._last is None or self._last.kept is not None:
            return 0
        for number, token in enumerate(tokens):
            if _is_over(word):
                return number
            word += self._pieces[token]
        return len(tokens)

    def pass_forced(self, tokens: Sequence[int], rows: Sequence[Floats]) -> None:
        """Take in those tokens, with the logits before each. Raises: NotFiniteError."""
        if self._last is not None and self._last.kept is None:
            shares = [_share(logits, logits[token : token + 1]) for token, logits in zip(tokens, rows, strict=True)]
            self._last.kept = float(np.prod(shares))
            self._kept *= self._last.kept

    def think_over(
        self,
        word: bytes,
        logits: Floats,
        allowed: TokenSet | None,
        sampler: Sampler,
        *,
        row: Callable[[], Floats | None] = lambda: None,
    ) -> list[int] | None:
        """What should be drawn from the first token of the word on: mostly what has been, and a token for this place.

        `logits`: the model's own; `word`: what has been said of it; `allowed`: None where the whole text is over;
        `row`: what `rows` should give for this place. None: the word is over and stays so. Raises: NotFiniteError.
        """
        if self._first is None or self._last is None:
            return None
        goes_on = allowed is not None and self._goes_on(word, allowed)
        if allowed is not None and not len(allowed):  # a dead end
            self._last.kept = self._kept = 0.0
        elif goes_on and allowed is not None and self._last.place is None:
            values = allowed.values(sampler.adjusted(logits))
            self._last.place = _Place(_share(logits, allowed.values(logits)), allowed, values, row())
            self._kept *= self._last.place.kept
        kept, self._kept = self._kept, 1.0
        if self._returns >= self._most_returns or sampler.keeps(kept):
            here = self._last.place
            return [*self.drawn, here.draw(sampler)] if goes_on and here is not None else None
        drawn = self._walk(sampler)
        return drawn if goes_on or drawn != self.drawn else None

    def _goes_on(self, word: bytes, allowed: TokenSet) -> bool:
        return len(allowed) > 0 and is_narrow(allowed) and not _is_over(word) and len(self.drawn) < _LONGEST

    def _walk(self, sampler: Sampler) -> list[int]:
        """Draw a word anew, up to the first token behind which nothing is known."""
        is_last = self._returns == self._most_returns - 1
        drawn: list[int] = []
        place = self._first
        while place is not None:
            drawn.append(place.draw(sampler, again=is_last))
            step = place.steps.get(drawn[-1])
            place = None if step is None else step.place
        return drawn

    def say(self, drawn: list[int]) -> bool:
        """Take in what `think_over` gave. Returns whether only the last token is new; else the word begins again."""
        is_next = drawn[:-1] == self.drawn
        place = self._first
        for token in drawn:
            if place is not None:
                self._last = place.step(token)
                place = self._last.place
        self.drawn = drawn
        self._returns += not is_next
        return is_next

    def rows(self) -> list[Floats | None]:
        """What was kept of each place at which a token of the word was drawn."""
        rows = []
        place = self._first
        for token in self.drawn:
            if place is not None:
                rows.append(place.row)
                place = place.steps[token].place
        return rows

    def end(self) -> State | None:
        """The word stays as it is. Returns the state before it."""
        state, self.state = self.state, None
        self._first = self._last = None
        return state


def _is_over(word: bytes) -> bool:
    """Marks that come before a word belong to it."""
    return any(byte in _WORD_ENDS for byte in word.lstrip(_WORD_ENDS + b" "))


def is_narrow(allowed: TokenSet) -> bool:
    """A grammar leaves few tokens, as within a word."""
    return not allowed.are_excluded and len(allowed) <= _FEW


def _share(logits: Floats, kept: Floats) -> float:
    """Of the probability over the whole vocabulary, the part that `kept` has; `kept`: some of the logits.

    Raises: NotFiniteError.
    """
    top = logits.max()
    if not np.isfinite(top):
        raise NotFiniteError
    return min(1.0, float(np.exp(kept - top).sum(dtype=np.float64) / np.exp(logits - top).sum(dtype=np.float64)))


def _chance(allowed: TokenSet, values: Floats, token: int) -> float:
    """Probability of a token among the allowed ones."""
    weights = np.exp(values - values.max())
    return float(weights[np.searchsorted(allowed.listed, token)] / weights.sum())

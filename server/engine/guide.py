"""Leads one sequence along its constraint: free text, then (for a lazy grammar, once its trigger appeared) the grammar.

The trigger is text, and text does not end where tokens end. When the trigger sits inside a token together with
something the grammar forbids, the tokens from there on are taken back and the grammar spells the trigger itself.
For the same reason a sampled token and what the grammar forces after it are cut into tokens anew: the model has never
seen `":` followed by `[` where its tokenizer knows `":[`. What the model itself chose to spell otherwise stays.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from server.engine.ending import Ending
from server.engine.token_set import TokenSet
from server.engine.types import Constraint
from server.engine.vocabulary import Vocabulary

NO_CONSTRAINT = Constraint("")
_CONTEXT = 8
"""Tokens looked back on when a text is cut."""


@dataclass(frozen=True, slots=True)
class Move:
    """What one sampled token does to the output: drop `rollback` tokens from its end, then append `tokens`."""

    tokens: list[int]
    forced: int
    """How many of `tokens` nobody sampled."""
    rollback: int = 0


class Matcher(Protocol):
    """A constraint engine's state in a grammar; `grammar_matcher` and `native_matcher` say what each method does."""

    def copy(self) -> "Matcher": ...
    @property
    def is_complete(self) -> bool: ...
    def allowed(self) -> TokenSet: ...
    def accept(self, tokens: list[int]) -> None: ...
    def can_accept(self, tokens: list[int]) -> bool: ...
    def take_forced(self) -> list[int]: ...


class Grammars(Protocol):
    """A constraint engine."""

    def matcher(self, constraint: Constraint) -> Matcher: ...


class Guide:
    """Says which tokens are allowed and what follows from each. Without a matcher everything is allowed."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        matcher: Matcher | None = None,
        constraint: Constraint = NO_CONSTRAINT,
        *,
        barred: Sequence[str] = (),
        jumps: bool = True,
    ) -> None:
        """`matcher`: in the constraint's grammar. `barred`: as a `GenerationRequest` has them.

        `jumps`: tokens without a choice are appended at once; otherwise they too are sampled one by one.
        """
        self._jumps = jumps
        endings, trigger = constraint.endings, constraint.trigger or ""
        self._first_ending = None if endings is None else Ending(vocabulary, endings.begin())
        self.ending = None if trigger else self._first_ending
        """How the text can be ended; None if that was not asked for, or while it is free."""
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._trigger = trigger.encode()
        self._is_free = matcher is None or bool(trigger)
        never = vocabulary.marks(barred)
        self._free = TokenSet(np.array(never), vocabulary.size, are_excluded=True) if never else None
        """The tokens of free text; None if that is all."""
        self._before: list[int] = []
        """The last tokens under the grammar: how a text is cut depends on what stands before it."""
        self._recent: list[int] = []
        """The last free tokens, as many as a trigger may reach back over."""

    def copy(self) -> "Guide":
        """Another in the same place."""
        other = copy(self)
        if self._matcher is not None:
            other._matcher = self._matcher.copy()  # noqa: SLF001 - one of its own kind
        other._recent = [*self._recent]  # noqa: SLF001
        return other

    @property
    def has_grammar(self) -> bool:
        return self._matcher is not None

    @property
    def is_complete(self) -> bool:
        return not self._is_free and self._matcher is not None and self._matcher.is_complete

    def allowed(self) -> TokenSet | None:
        """The tokens that may come next; None if all may."""
        return self._free if self._is_free or self._matcher is None else self._matcher.allowed()

    def begin(self) -> list[int]:
        """Tokens the grammar forces before the first one is sampled."""
        self._before = [] if self._is_free or self._matcher is None else self._forced(self._matcher)
        self._pass(self._before)
        return self._before

    def follow(self, token: int) -> Move:
        """Take in a sampled token."""
        if self._matcher is None:
            return Move([token], 0)
        if self._is_free:
            return self._watch(token, self._matcher)
        self._matcher.accept([token])
        return self._extended(token, self._forced(self._matcher))

    def _pass(self, tokens: list[int], skipped: int = 0) -> None:
        """Note what was said under the grammar; the first `skipped` bytes of these tokens were not."""
        if self.ending is not None and tokens:
            self.ending = self.ending.after(b"".join(self._vocabulary.pieces[token] for token in tokens)[skipped:])

    def _extended(self, token: int, forced: list[int]) -> Move:
        """A sampled token and what is forced after it, cut as the tokenizer cuts their text."""
        tokens = [token, *forced]
        self._pass(tokens)
        if forced:
            tokens = self._vocabulary.recut(self._before, tokens)
        self._before = [*self._before, *tokens][-_CONTEXT:]
        return Move(tokens, len(tokens) - 1)

    def _forced(self, matcher: Matcher) -> list[int]:
        return matcher.take_forced() if self._jumps else []

    def _watch(self, token: int, matcher: Matcher) -> Move:
        pieces = self._vocabulary.pieces
        self._recent.append(token)
        text = b"".join(pieces[t] for t in self._recent)
        found = text.find(self._trigger)
        if found >= 0:
            self._is_free = False
            return self._enter(token, matcher, found)
        while len(text) - len(pieces[self._recent[0]]) >= len(self._trigger):
            text = text[len(pieces[self._recent.pop(0)]) :]
        return Move([token], 0)

    def _enter(self, token: int, matcher: Matcher, found: int) -> Move:
        """Start the grammar at byte `found` of the recent text."""
        pieces = self._vocabulary.pieces
        first, start = 0, 0
        while start + len(pieces[self._recent[first]]) <= found:
            start += len(pieces[self._recent[first]])
            first += 1
        inside = self._recent[first:]
        self.ending = self._first_ending
        if start == found and matcher.can_accept(inside):
            matcher.accept(inside)
            self._pass(inside[:-1])
            return self._extended(token, self._forced(matcher))
        head = pieces[inside[0]][: found - start].decode("utf-8", errors="ignore")
        replacement = [*self._vocabulary.tokenize(head, parse_special=False), *matcher.take_forced()]
        self._pass(replacement, skipped=len(head.encode()))
        self._before = replacement = self._vocabulary.recut(self._recent[:first], replacement)
        return Move(replacement, len(replacement), rollback=len(inside) - 1)

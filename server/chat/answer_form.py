"""What an answer may look like as a whole: reasoning, then calls, formatted text, or free text with calls after it.

A lazy grammar waits for the trigger while the model writes freely. That is not enough where a thought may mention the
trigger, or where a call is no call but at the beginning: there the free text is part of the grammar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import grammars
from grammars import Node
from grammars.tree import Lexeme, chars, other_chars
from server.chat.dialect import Dialect
from server.chat.marked_text import text_until, text_without
from server.chat.thinking import ThinksAt, after_thinking

CallsAt = Literal["anywhere", "start", "nowhere"]
_BLANKS = " \n"


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """The grammar of an answer."""

    node: Node
    calls_at: CallsAt
    trigger: str | None = None
    """The grammar begins with this text, and before it all is free."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The parts of a request's answer."""

    dialect: Dialect
    tools: Mapping[str, Node]
    """Names to the grammars of their arguments."""
    most: int
    """Calls at once."""
    text: Node | None
    """What a text must look like."""
    thinks: ThinksAt

    def required(self) -> AnswerRule:
        """Calls, and no word before them but reasoning."""
        return AnswerRule(self._after_thinking(self._calls()), "start")

    def allowed(self) -> AnswerRule | None:
        """Calls or text; None if there is nothing to hold."""
        if self.text is not None:
            said = grammars.sequence(grammars.literal(self.dialect.text_begin), self.text)
            answer = grammars.choice(self._calls(), said) if self.tools else said
            return AnswerRule(self._after_thinking(answer), "start" if self.tools else "nowhere")
        if not self.tools:
            return None
        if self._is_lazy:
            return AnswerRule(self._calls(), "anywhere", self.dialect.trigger)
        calls_at: CallsAt = "start" if self._begins_with_calls else "anywhere"
        answer = self._free()
        if self.thinks == "open" and self.dialect.reasoning is not None:
            end = self.dialect.reasoning.end
            return AnswerRule(grammars.sequence(grammars.literal(end), answer), calls_at, end)
        return AnswerRule(self._after_thinking(answer), calls_at)

    @property
    def _begins_with_calls(self) -> bool:
        return self.dialect.is_first or bool(self.dialect.text_begin)

    @property
    def _is_lazy(self) -> bool:
        return not self._begins_with_calls and (self.thinks == "never" or self.dialect.reasoning is None)

    def _calls(self, after: str = "") -> Node:
        return self.dialect.calls_node(dict(self.tools), self.most, after=after)

    def _after_thinking(self, answer: Node) -> Node:
        return after_thinking(self.dialect.reasoning, self.thinks, answer)

    def _free(self) -> Node:
        """Text or calls, in the grammar."""
        trigger = self.dialect.trigger
        if self.dialect.text_begin:
            said = grammars.sequence(grammars.literal(self.dialect.text_begin), _any_text())
            return grammars.choice(self._calls(), said)
        if self.dialect.is_first:
            return grammars.choice(
                self._after_blanks(self._calls()), grammars.optional(_any_text(_BLANKS + trigger[0]))
            )
        end = self.dialect.text_end or trigger
        called = self._calls(after=end)
        if self.dialect.text_end:
            called = grammars.optional(called)
        if self.thinks == "open":
            return grammars.choice(grammars.sequence(text_until(end), called), text_without(end))
        begin = self.dialect.reasoning.begin[:1] if self.dialect.reasoning else ""
        not_first = _BLANKS + begin + trigger[0]  # what begins as a thought is one
        said = grammars.optional(text_without(end, not_first))
        calls = self._after_blanks(self._calls())
        return grammars.choice(calls, grammars.sequence(text_until(end, not_first), called), said)

    def _after_blanks(self, calls: Node) -> Node:
        return grammars.sequence(grammars.repeat(chars(_BLANKS), 0, 4), calls) if self.thinks != "never" else calls


def _any_text(not_first: str = "") -> Node:
    """Any text; with `not_first`, one that is not empty."""
    rest = grammars.repeat(other_chars(chars()))
    return Lexeme(grammars.sequence(other_chars(chars(not_first)), rest) if not_first else rest)

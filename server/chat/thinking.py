"""What a model thinks before it answers: where it begins and ends, in the text and in the grammar.

Whether an answer begins inside reasoning is told by the prompt: a template may have opened it (`<think>` at its end),
closed it (thinking switched off) or left it to the model.
"""

from dataclasses import dataclass
from typing import Literal

import grammars
from grammars import Node
from grammars.tree import chars
from server.chat.dialect import Reasoning
from server.chat.marked_text import held, text_until

ThinksAt = Literal["open", "perhaps", "never"]
_BLANKS = grammars.repeat(chars(" \n"), 0, 4)


def thinks_at(reasoning: Reasoning | None, prompt: str) -> ThinksAt:
    """Where an answer to this prompt stands."""
    end = prompt.rstrip()
    if reasoning is None or end.endswith(reasoning.end.rstrip()):
        return "never"
    return "open" if end.endswith(reasoning.begin.rstrip()) else "perhaps"


def after_thinking(reasoning: Reasoning | None, at: ThinksAt, answer: Node) -> Node:
    """The grammar of an answer with the reasoning that may come before it."""
    if reasoning is None or at == "never":
        return answer
    thought = grammars.sequence(text_until(reasoning.end), _BLANKS)
    if at == "open":
        return grammars.sequence(thought, answer)
    begin = grammars.sequence(_BLANKS, grammars.literal(reasoning.begin))
    return grammars.sequence(grammars.optional(grammars.sequence(begin, thought)), answer)


@dataclass(frozen=True, slots=True)
class ThinkingStep:
    length: int
    thought: str = ""
    is_over: bool = False


class ThinkingReader:
    """Takes reasoning off the beginning of an answer, white space around it left out."""

    def __init__(self, marks: Reasoning | None, at: ThinksAt) -> None:
        self._marks = marks or Reasoning("", "")
        self._mark = self._marks.begin.lstrip()
        self._has_begun = at == "open"
        self._has_thought = False

    def read(self, text: str) -> ThinkingStep:
        if not self._has_begun:
            return self._begin(text)
        blanks = 0 if self._has_thought else len(text) - len(text.lstrip())
        if not self._has_thought and text[blanks:].startswith(self._mark):
            return self._read_after(text, blanks + len(self._mark))  # the prompt has opened it, and the model too
        end = text.find(self._marks.end)
        if end >= 0:
            return ThinkingStep(end + len(self._marks.end), text[blanks:end].rstrip(), is_over=True)
        sure = text[blanks : max(blanks, len(text) - held_length(text, self._marks.end))]
        if not self._has_thought and self._mark.startswith(text[blanks:]):
            sure = ""
        self._has_thought = self._has_thought or bool(sure)
        return ThinkingStep(blanks + len(sure) if sure else 0, sure)

    def finish(self, rest: str) -> tuple[str, str]:
        """What was held back: thought and content."""
        return (rest.strip() if not self._has_thought else rest.rstrip(), "") if self._has_begun else ("", rest)

    def _begin(self, text: str) -> ThinkingStep:
        start = text.lstrip()
        blanks = len(text) - len(start)
        if start.startswith(self._mark):
            self._has_begun = True
            return self._read_after(text, blanks + len(self._mark))
        if self._mark.startswith(start):
            return ThinkingStep(0)
        return ThinkingStep(0, is_over=True)

    def _read_after(self, text: str, length: int) -> ThinkingStep:
        step = self.read(text[length:])
        return ThinkingStep(length + step.length, step.thought, step.is_over)


def held_length(text: str, mark: str) -> int:
    """Characters at the end that may be the start of the mark, and the white space before them."""
    partial = held(text, mark)
    before = text[: len(text) - partial]
    return partial + len(before) - len(before.rstrip())

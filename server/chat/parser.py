"""Generated text back to reasoning, content and tool calls, while it streams.

Calls are found by their form, not by searching for their end: arguments are followed value by value, so a
`</tool_call>` inside a string is just a string. JSON arguments are passed on exactly as the model wrote them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.chat.answer_form import CallsAt
from server.chat.argument_reader import reader_of
from server.chat.dialect import ID_LENGTH, Dialect, Form, Hole, literal_start
from server.chat.marked_text import held
from server.chat.reading import ArgumentReader
from server.chat.text_schema import Schema
from server.chat.thinking import ThinkingReader, ThinksAt, held_length


@dataclass(frozen=True, slots=True)
class ContentDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The arguments of this call are whole."""

    index: int


Delta = ContentDelta | ReasoningDelta | CallStart | CallDelta | CallEnd
_State = Literal["thinking", "content", "form", "name", "arguments", "between", "end"]


class AnswerParser:
    """Feed it text in pieces of any size; the deltas' sum does not depend on the pieces."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        calls: CallsAt = "anywhere",
        schemas: Mapping[str, Schema] | None = None,
        thinks: ThinksAt = "never",
    ) -> None:
        """`calls`: where they may begin. What a grammar holds to a format may quote a trigger that is none.

        `schemas`: the parameters of the tools by name; they tell a bare text from JSON.
        `thinks`: whether the answer begins inside reasoning, or may begin with it.
        """
        self._dialect = dialect
        self._schemas = schemas or {}
        self._state: _State = "content" if dialect.reasoning is None or thinks == "never" else "thinking"
        self._thinking = ThinkingReader(dialect.reasoning, thinks)
        self._calls_at: CallsAt = calls
        self._text = ""
        """Not decided yet."""
        self._text_begin = dialect.text_begin
        """Still to be taken off the content."""
        self._is_trimming = self._state == "thinking" and not dialect.text_begin
        """White space between reasoning and content is neither's."""
        self._form: Form = ()
        self._after_form: _State = "name"
        self._reader: ArgumentReader | None = None
        self.calls = 0
        """Calls whose arguments are whole."""
        self.thought_length = 0
        """Characters of the text that were reasoning, its marks and the white space around it included."""
        self._index = -1
        self._name = ""

    def feed(self, text: str) -> list[Delta]:
        self._text += text
        deltas: list[Delta] = []
        while self._advance(deltas):
            pass
        return deltas

    def finish(self) -> list[Delta]:
        """No more text will come: what was held back is content after all, unless it is the torso of a call."""
        rest, self._text = self._text, ""
        if self._state == "thinking":
            length = len(rest)
            thought, rest = self._thinking.finish(rest)
            self.thought_length += length - len(rest)
            return [*[ReasoningDelta(thought)][: len(thought)], *[ContentDelta(rest)][: len(rest)]]
        if self._dialect.text_end and self._state == "content":
            rest = rest.partition(self._dialect.text_end)[0]
            rest = rest[: len(rest) - held(rest, self._dialect.text_end)]
        return [ContentDelta(rest)] if rest and self._state == "content" else []

    def _advance(self, deltas: list[Delta]) -> bool:
        """Take one step. False: more text is needed."""
        match self._state:
            case "thinking":
                return self._think(deltas)
            case "content":
                return self._content(deltas)
            case "form":
                return self._follow_form()
            case "name":
                return self._read_name(deltas)
            case "arguments":
                return self._read_arguments(deltas)
            case "between":
                return self._between()
            case "end":
                self._text = ""
                return False

    def _think(self, deltas: list[Delta]) -> bool:
        step = self._thinking.read(self._text)
        self._text = self._text[step.length :]
        self.thought_length += step.length
        if step.thought:
            deltas.append(ReasoningDelta(step.thought))
        if step.is_over:
            self._state = "content"
        return step.is_over

    def _content(self, deltas: list[Delta]) -> bool:
        if self._is_trimming:
            self._text = self._text.lstrip()
            self._is_trimming = not self._text
        if self._text_begin:
            if len(self._text) < len(self._text_begin) and self._text_begin.startswith(self._text):
                return False
            is_text = self._text.startswith(self._text_begin)
            self._text, self._text_begin = self._text.removeprefix(self._text_begin), ""
            if not is_text and self._calls_at != "nowhere":
                self._go(self._dialect.begin, "name")
                return True
            self._calls_at = "nowhere"
        trigger = self._dialect.trigger
        if self._calls_at == "start" and not trigger.startswith(self._text[: len(trigger)]):
            self._calls_at = "nowhere"
        finds_calls = self._calls_at != "nowhere"
        found = self._text.find(trigger) if finds_calls else -1
        if found >= 0:
            before = self._text[:found].rstrip()
            if before:
                deltas.append(ContentDelta(before))
            self._text = self._text[found:]
            self._go(self._dialect.begin, "name")
            return True
        if self._dialect.text_end and self._dialect.text_end in self._text:
            return self._end_text(deltas)
        mark = trigger if finds_calls else self._dialect.text_end
        kept = held_length(self._text, mark) if mark else 0
        sure, self._text = self._text[: len(self._text) - kept], self._text[len(self._text) - kept :]
        if sure:
            deltas.append(ContentDelta(sure))
        return False

    def _end_text(self, deltas: list[Delta]) -> bool:
        """The text is over: calls follow, or nothing."""
        said, _, rest = self._text.partition(self._dialect.text_end)
        if said:
            deltas.append(ContentDelta(said))
        self._text = self._dialect.text_end + rest
        if self._calls_at != "nowhere" and self._dialect.trigger.startswith(self._text):
            return False
        self._state = "end"
        return True

    def _go(self, form: Form, after: _State) -> None:
        self._form, self._after_form, self._state = form, after, "form"

    def _follow_form(self) -> bool:
        """Take in what stands around names and arguments, part by part."""
        if not self._form:
            self._state = self._after_form
            return True
        length = self._part_length(self._form[0])
        if length is None:
            return False
        self._text, self._form = self._text[length:], self._form[1:]
        return True

    def _part_length(self, part: str | Hole) -> int | None:
        """How much of the text it is; None if it isn't all there."""
        if part is Hole.INDEX:
            digits = len(self._text) - len(self._text.lstrip("0123456789"))
            return digits if digits < len(self._text) else None
        length = len(part if isinstance(part, str) else self._name) if part is not Hole.ID else ID_LENGTH
        return length if len(self._text) >= length else None

    def _read_name(self, deltas: list[Delta]) -> bool:
        length = self._name_length()
        if length is None:
            return False
        spelled, self._text = self._text[:length], self._text[length:]
        self._name = str(json.loads(spelled)) if self._dialect.has_quoted_name else spelled
        self._index += 1
        deltas.append(CallStart(self._index, self._name))
        schema = self._schemas.get(self._name, {})
        self._reader = reader_of(self._dialect.arguments, schema, self._dialect.after_arguments)
        self._go(self._dialect.middle, "arguments")
        return True

    def _name_length(self) -> int | None:
        if self._dialect.has_quoted_name:
            return _string_length(self._text)
        ends = [self._text.find(mark) for mark in self._dialect.after_name]
        return min((end for end in ends if end >= 0), default=None)

    def _read_arguments(self, deltas: list[Delta]) -> bool:
        assert self._reader is not None
        reading = self._reader.read(self._text)
        self._text = self._text[reading.length :]
        if reading.arguments:
            deltas.append(CallDelta(self._index, reading.arguments))
        if reading.is_whole:
            deltas.append(CallEnd(self._index))
            self.calls += 1
            self._go(self._dialect.suffix, "between")
        return not reading.needs_more

    def _between(self) -> bool:
        """Another call, or the end of the turn."""
        start = literal_start(self._dialect.next or ())
        if not start or not (start.startswith(self._text) or self._text.startswith(start)):
            self._state = "end"
            return True
        if len(self._text) < len(start):
            return False
        self._go(self._dialect.next or (), "name")
        return True


def _string_length(text: str) -> int | None:
    """Length of the JSON string that `text` begins with, None if it isn't whole yet."""
    position = 1
    while position < len(text):
        if text[position] == '"':
            return position + 1
        position += 2 if text[position] == "\\" else 1
    return None

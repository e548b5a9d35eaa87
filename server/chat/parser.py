"""Generated text back to content and tool calls, while it streams.

Calls are found by their form, not by searching for their end: arguments are followed as JSON, bracket by bracket and
string by string, so a `</tool_call>` inside a string is just a string. What is passed on of the arguments is exactly
what the model wrote.
"""

import json
from dataclasses import dataclass
from typing import Literal

from server.chat.dialect import Dialect


@dataclass(frozen=True, slots=True)
class ContentDelta:
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


Delta = ContentDelta | CallStart | CallDelta | CallEnd
CallsAt = Literal["anywhere", "start", "nowhere"]
_State = Literal["content", "prefix", "name", "middle", "arguments", "suffix", "between"]


class AnswerParser:
    """Feed it text in pieces of any size; the deltas' sum does not depend on the pieces."""

    def __init__(self, dialect: Dialect, *, calls: CallsAt = "anywhere") -> None:
        """`calls`: where they may begin. What a grammar holds to a format may quote a trigger that is none."""
        self._dialect = dialect
        self._state: _State = "content"
        self._calls_at: CallsAt = calls
        self._text = ""
        """Not decided yet."""
        self._scanner = _JsonScanner()
        self.calls = 0
        """Calls whose arguments are whole."""
        self._index = -1

    def feed(self, text: str) -> list[Delta]:
        self._text += text
        deltas: list[Delta] = []
        while self._advance(deltas):
            pass
        return deltas

    def finish(self) -> list[Delta]:
        """No more text will come: what was held back is content after all, unless it is the torso of a call."""
        rest, self._text = self._text, ""
        return [ContentDelta(rest)] if rest and self._state == "content" else []

    def _advance(self, deltas: list[Delta]) -> bool:
        """Take one step. False: more text is needed."""
        match self._state:
            case "content":
                return self._content(deltas)
            case "prefix":
                return self._literal(self._dialect.prefix, "name")
            case "name":
                return self._name(deltas)
            case "middle":
                return self._literal(self._dialect.middle, "arguments")
            case "arguments":
                return self._arguments(deltas)
            case "suffix":
                return self._literal(self._dialect.suffix, "between")
            case "between":
                return self._between()

    def _content(self, deltas: list[Delta]) -> bool:
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
            self._state = "prefix"
            return True
        held = _held_length(self._text, trigger) if finds_calls else 0
        sure, self._text = self._text[: len(self._text) - held], self._text[len(self._text) - held :]
        if sure:
            deltas.append(ContentDelta(sure))
        return False

    def _literal(self, expected: str, after: _State) -> bool:
        if len(self._text) < len(expected):
            return False
        self._text = self._text[len(expected) :]
        self._state = after
        return True

    def _name(self, deltas: list[Delta]) -> bool:
        length = _string_length(self._text)
        if length is None:
            return False
        self._index += 1
        deltas.append(CallStart(self._index, json.loads(self._text[:length])))
        self._text = self._text[length:]
        self._state = "middle"
        self._scanner = _JsonScanner()
        return True

    def _arguments(self, deltas: list[Delta]) -> bool:
        length, is_whole = self._scanner.scan(self._text)
        if length:
            deltas.append(CallDelta(self._index, self._text[:length]))
        self._text = self._text[length:]
        if is_whole:
            deltas.append(CallEnd(self._index))
            self.calls += 1
            self._state = "suffix"
        return is_whole

    def _between(self) -> bool:
        """Another call, or the end of the turn."""
        start = self._dialect.separator + self._dialect.prefix
        if len(self._text) < len(start):
            return False
        self._text = self._text[len(self._dialect.separator) :]
        self._state = "prefix"
        return True


class _JsonScanner:
    """Finds the end of a JSON object that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def scan(self, text: str) -> tuple[int, bool]:
        """How many characters of `text` belong to the object, and whether it ends there."""
        for position, character in enumerate(text):
            if self._in_string:
                if self._is_escaped:
                    self._is_escaped = False
                elif character == "\\":
                    self._is_escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    return position + 1, True
        return len(text), False


def _held_length(text: str, trigger: str) -> int:
    """Characters at the end that may be the start of the trigger, and the white space before them."""
    partial = next((n for n in range(min(len(text), len(trigger) - 1), 0, -1) if text.endswith(trigger[:n])), 0)
    before = text[: len(text) - partial]
    return partial + len(before) - len(before.rstrip())


def _string_length(text: str) -> int | None:
    """Length of the JSON string that `text` begins with, None if it isn't whole yet."""
    position = 1
    while position < len(text):
        if text[position] == '"':
            return position + 1
        position += 2 if text[position] == "\\" else 1
    return None

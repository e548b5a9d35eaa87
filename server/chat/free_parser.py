"""Reads calls out of text that no grammar held, for requests that switch the grammar off to see what it buys.

The parser proper may trust every character after a trigger; here none can be. So nothing is passed on before the end, a
call is what has a name and arguments between the dialect's literals, and all else stays content. Arguments are handed
out as written, JSON or not: to find out is the client's purpose.
"""

import json
import re
from collections.abc import Mapping

from server.chat.argument_reader import reader_of
from server.chat.arguments import JsonArguments
from server.chat.dialect import ID_LENGTH, Dialect, Form, Hole
from server.chat.parser import AnswerParser, CallDelta, CallEnd, CallStart, ContentDelta, Delta, ReasoningDelta
from server.chat.text_schema import Schema
from server.chat.thinking import ThinkingReader, ThinksAt

_HOLES = {Hole.NAME: r".*?", Hole.ID: rf"\w{{{ID_LENGTH}}}", Hole.INDEX: r"\d+"}


class FreeParser:
    """Same use as `AnswerParser`; all deltas come from `finish`."""

    def __init__(
        self, dialect: Dialect, schemas: Mapping[str, Schema] | None = None, thinks: ThinksAt = "never"
    ) -> None:
        self._dialect = dialect
        self._schemas = schemas or {}
        self._thinks = thinks
        self._text = ""
        self.calls = 0
        self.thought_length = 0
        """As in `AnswerParser`."""

    def feed(self, text: str) -> list[Delta]:
        self._text += text
        return []

    def finish(self) -> list[Delta]:
        deltas, text = self._split_thought(self._text)
        well_formed = self._well_formed(text)
        if well_formed is not None:
            return deltas + well_formed
        text = text.removeprefix(self._dialect.text_begin)
        content, calls, position = "", list[tuple[str, str]](), 0
        pattern = self._pattern()
        while match := pattern.search(text, position):
            call = self._call(match["name"], match["arguments"])
            end = match.end() if call else match.start() + 1
            content += text[position : match.start() if call else end]
            calls += [call] if call else []
            position = end
        content = (content + text[position:]).rstrip()
        if dialect_end := self._dialect.text_end:
            content = content.partition(dialect_end)[0]
        if calls and self._dialect.end:
            content = re.sub(_pattern_of(self._dialect.end) + "$", "", content).rstrip()
        deltas += [ContentDelta(content)] if content else []
        for index, (name, arguments) in enumerate(calls):
            deltas += [CallStart(index, name), CallDelta(index, arguments), CallEnd(index)]
        self.calls = len(calls)
        return deltas

    def _well_formed(self, text: str) -> list[Delta] | None:
        """What the parser proper reads, if that, written out again, is this text up to its blanks."""
        dialect = self._dialect
        at_start = dialect.is_first or bool(dialect.text_begin)
        parser = AnswerParser(dialect, calls="start" if at_start else "anywhere", schemas=self._schemas)
        try:
            deltas = [*parser.feed(text), *parser.finish()]
            pattern = self._rewritten(deltas)
        except ValueError:
            return None
        if not parser.calls or not re.fullmatch(pattern, text):
            return None
        self.calls = parser.calls
        return deltas

    def _rewritten(self, deltas: list[Delta]) -> str:
        """A pattern for the text that these were read from. Raises: ValueError, if arguments are no JSON."""
        dialect = self._dialect
        pattern = _loosely("".join(delta.text for delta in deltas if isinstance(delta, ContentDelta)))
        for start in (delta for delta in deltas if isinstance(delta, CallStart)):
            parts = (d.arguments for d in deltas if isinstance(d, CallDelta) and d.index == start.index)
            arguments = dialect.arguments.write(json.loads("".join(parts)), self._schemas.get(start.name, {}))
            name = json.dumps(start.name, ensure_ascii=False) if dialect.has_quoted_name else start.name
            pattern += _pattern_of(dialect.next or () if start.index else dialect.begin) + _loosely(name)
            pattern += _pattern_of(dialect.middle) + _loosely(arguments) + _pattern_of(dialect.suffix)
        return pattern + _pattern_of(dialect.end)

    def _split_thought(self, text: str) -> tuple[list[Delta], str]:
        if self._dialect.reasoning is None or self._thinks == "never":
            return [], text
        reader = ThinkingReader(self._dialect.reasoning, self._thinks)
        step = reader.read(text)
        thought, rest = step.thought, text[step.length :]
        if not step.is_over:
            held, rest = reader.finish(rest)
            thought += held
        self.thought_length = len(text) - len(rest)
        return [ReasoningDelta(thought)] * bool(thought), rest.lstrip()

    def _pattern(self) -> re.Pattern[str]:
        """One call, whatever blanks stand around the dialect's literals."""
        dialect = self._dialect
        starts = {form: _pattern_of(form) for form in (dialect.begin, dialect.next or dialect.begin)}
        name = r'"(?:[^"\\]|\\.)*"' if dialect.has_quoted_name else ".+?"
        middle, suffix = _pattern_of(dialect.middle), _pattern_of(dialect.suffix or dialect.end)
        if not dialect.middle:
            middle = rf"(?={'|'.join(map(re.escape, dialect.after_name))})"
        last = suffix if dialect.suffix or dialect.end else rf"(?={_pattern_of(dialect.next or ())}|$)"
        start = "|".join(starts.values())
        return re.compile(f"(?:{start})(?P<name>{name}){middle}(?P<arguments>.*?){last}", re.DOTALL)

    def _call(self, name: str, arguments: str) -> tuple[str, str] | None:
        try:
            called = str(json.loads(name)) if self._dialect.has_quoted_name else name
        except ValueError:
            return None
        if isinstance(self._dialect.arguments, JsonArguments):
            return called, arguments.strip()
        return called, self._parameters(arguments, self._schemas.get(called, {}))

    def _parameters(self, text: str, schema: Schema) -> str:
        """As far as they can be read."""
        end = self._dialect.after_arguments
        reader, text, read = reader_of(self._dialect.arguments, schema, end), text + end, ""
        while text:
            reading = reader.read(text)
            read, text = read + reading.arguments, text[reading.length :]
            if reading.is_whole or reading.needs_more:
                break
        return read


def _pattern_of(form: Form) -> str:
    return "".join(_loosely(part) if isinstance(part, str) else _HOLES[part] for part in form)


def _loosely(literal: str) -> str:
    """A pattern for the literal with any blanks between its marks."""
    return r"\s*" + r"\s*".join(re.escape(mark) for mark in re.findall(r"\w+|[^\w\s]", literal)) + r"\s*"

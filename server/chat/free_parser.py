"""Reads calls out of text that no grammar held, for requests that switch the grammar off to see what it buys.

The parser proper may trust every character after a trigger; here none can be. So nothing is passed on before the end, a
call is what has a name and arguments between the dialect's literals, and all else stays content. Arguments are handed
out as written, JSON or not: to find out is the client's purpose.
"""

import json
import re

from server.chat.dialect import Dialect
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, Delta


class FreeParser:
    """Same use as `AnswerParser`; all deltas come from `finish`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._text = ""
        self.calls = 0

    def feed(self, text: str) -> list[Delta]:
        self._text += text
        return []

    def finish(self) -> list[Delta]:
        pieces = self._text.split(self._dialect.trigger)
        content, calls = pieces[0], []
        for piece in pieces[1:]:
            call = self._read(self._dialect.trigger + piece)
            if call is None:
                content += self._dialect.trigger + piece
            else:
                calls.append(call)
        deltas: list[Delta] = [ContentDelta(content.rstrip())] if content.strip() else []
        for index, (name, arguments) in enumerate(calls):
            deltas += [CallStart(index, name), CallDelta(index, arguments), CallEnd(index)]
        self.calls = len(calls)
        return deltas

    def _read(self, text: str) -> tuple[str, str] | None:
        """Name and arguments of one call, whatever blanks stand around the dialect's literals."""
        dialect = self._dialect
        parts = (dialect.prefix, r'("(?:[^"\\]|\\.)*")', dialect.middle, r"(.*?)", dialect.suffix)
        pattern = "".join(part if index % 2 else _loosely(part) for index, part in enumerate(parts))
        match = re.match(pattern, text, re.DOTALL)
        if match is None:
            return None
        try:
            return str(json.loads(match[1])), match[2].strip()
        except ValueError:
            return None


def _loosely(literal: str) -> str:
    """A pattern for the literal with any blanks between its marks."""
    return r"\s*" + r"\s*".join(re.escape(mark) for mark in re.findall(r"\w+|[^\w\s]", literal)) + r"\s*"

"""Reads `server/chat/nested_values.py`'s notation as it streams in, and gives it out as JSON text."""

import json

from server.chat.marked_text import CDATA, escaped, read_text
from server.chat.reading import Reading


class NestedReader:
    """The members of an object, and all that is nested in them, up to a brace that closes none of theirs."""

    def __init__(self, quote: str) -> None:
        self._quote = quote
        self._open = ["{"]
        self._is_in_text = False
        self._has_begun = False
        """Part of the text is out."""
        self._wants_key = True
        self._is_first = True

    def read(self, text: str) -> Reading:
        if not text:
            return Reading(0, needs_more=True)
        if self._is_in_text:
            return self._text(text)
        if text[0] in "}]":
            return self._close(text[0])
        if self._wants_key:
            return self._key(text)
        return self._value(text)

    def _close(self, mark: str) -> Reading:
        if len(self._open) == 1:
            return Reading(0, "{}" if self._is_first else "}", is_whole=True)
        self._open.pop()
        self._wants_key = False
        return Reading(1, mark)

    def _key(self, text: str) -> Reading:
        end = text.find(":")
        if end < 0:
            return Reading(0, needs_more=True)
        begin = "{" if self._is_first else ""
        self._is_first = self._wants_key = False
        return Reading(end + 1, f"{begin}{json.dumps(text[:end], ensure_ascii=False)}: ")

    def _value(self, text: str) -> Reading:
        if text.startswith(self._quote):
            self._is_in_text, self._has_begun = True, False
            return Reading(len(self._quote))
        if self._quote.startswith(text):
            return Reading(0, needs_more=True)
        match text[0]:
            case "{" | "[":
                self._open.append(text[0])
                self._wants_key = text[0] == "{"
                return Reading(1, text[0])
            case ",":
                self._wants_key = self._open[-1] == "{"
                return Reading(1, ", ")
            case _:
                return Reading(1, text[0])

    def _text(self, text: str) -> Reading:
        end = text.find(self._quote)
        if end >= 0:
            self._is_in_text = False
            said = (
                escaped(text[:end]) + '"' if self._has_begun else json.dumps(read_text(text[:end]), ensure_ascii=False)
            )
            return Reading(end + len(self._quote), said)
        if not self._has_begun and CDATA.startswith(text[: len(CDATA)]):
            return Reading(0, needs_more=True)
        held = next(
            (n for n in range(min(len(text), len(self._quote) - 1), 0, -1) if text.endswith(self._quote[:n])), 0
        )
        sure = text[: len(text) - held]
        begin = "" if self._has_begun or not sure else '"'
        self._has_begun = self._has_begun or bool(sure)
        return Reading(len(sure), begin + escaped(sure), needs_more=True)

"""Reads `server/chat/element_values.py`'s elements as they stream in, and gives them out as JSON text."""

import json
from dataclasses import dataclass

from server.chat.element_values import Value, value_of
from server.chat.marked_text import CDATA, escaped, held, read_text
from server.chat.reading import Reading
from server.chat.text_schema import Schema

_BRACKETS = {"object": "{}", "array": "[]"}


@dataclass(slots=True)
class _Element:
    """An element that is open: its tag has been read, the one that closes it has not."""

    value: Value
    children: int = 0
    has_begun: bool = False
    """Part of its text is out."""


class ElementReader:
    """The members of an object, up to a closing tag that is none of theirs."""

    def __init__(self, mark: str, schema: Schema) -> None:
        self._mark = mark
        self._root = schema
        self._open = [_Element(Value("object", schema, is_nullable=False))]

    def read(self, text: str) -> Reading:
        at = text.find(self._mark)
        if at:
            return self._words(text, at)
        end = text.find(">", len(self._mark))
        if end < 0:
            return Reading(0, needs_more=True)
        name = text[len(self._mark) + 1 : end]
        return self._close(end + 1, "") if name.startswith("/") else self._begin(name, end + 1)

    def _begin(self, name: str, length: int) -> Reading:
        parent = self._open[-1]
        opening = "" if parent.children else self._brackets(parent)[0]
        separator = ", " if parent.children else ""
        parent.children += 1
        if parent.value.kind == "array":
            inner, key = parent.value.schema.get("items", {}), ""
        else:
            inner = parent.value.schema.get("properties", {}).get(name, {})
            key = json.dumps(name, ensure_ascii=False) + ": "
        self._open.append(_Element(value_of(inner, self._root)))
        return Reading(length, opening + separator + key)

    def _brackets(self, element: _Element) -> str:
        return _BRACKETS.get(element.value.kind, "{}")

    def _close(self, length: int, words: str) -> Reading:
        """The element's end, `words` being the rest of its text."""
        element = self._open[-1]
        if len(self._open) == 1:
            return Reading(0, "}" if element.children else "{}", is_whole=True)
        self._open.pop()
        if element.children:
            return Reading(length, self._brackets(element)[1])
        return Reading(length, self._said(element, words))

    def _said(self, element: _Element, words: str) -> str:
        if element.has_begun:
            return escaped(words) + '"'
        if words == "null" and element.value.is_nullable:
            return "null"
        if element.value.kind == "text":
            return json.dumps(read_text(words), ensure_ascii=False)
        return words or _BRACKETS.get(element.value.kind, '""')

    def _words(self, text: str, at: int) -> Reading:
        """Text before a tag."""
        element = self._open[-1]
        if at > 0:
            end = text.find(">", at + len(self._mark))
            return Reading(0, needs_more=True) if end < 0 else self._close(end + 1, text[:at])
        sure = text[: len(text) - held(text, self._mark)]
        is_open = element.value.kind == "text" and sure and len(self._open) > 1
        if not is_open or (not element.has_begun and self._may_be_something_else(element, text)):
            return Reading(0, needs_more=True)
        begin = "" if element.has_begun else '"'
        element.has_begun = True
        return Reading(len(sure), begin + escaped(sure), needs_more=True)

    def _may_be_something_else(self, element: _Element, text: str) -> bool:
        return CDATA.startswith(text[: len(CDATA)]) or (
            element.value.is_nullable and ("null" + self._mark).startswith(text)
        )

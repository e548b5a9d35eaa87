"""Reads a call's arguments as they stream in, whatever their form, and gives them out as the JSON text of an object.

JSON is passed on as it was written. Parameters one by one become members: a bare text is escaped piece by piece, and
held back only as far as it may be the beginning of its closing mark.
"""

import json
from typing import Literal

from server.chat.arguments import Arguments, JsonArguments, NestedArguments, Parameters
from server.chat.element_reader import ElementReader
from server.chat.element_values import ElementArguments
from server.chat.marked_text import CDATA, escaped, held, read_text
from server.chat.nested_reader import NestedReader
from server.chat.reading import ArgumentReader, Reading
from server.chat.text_schema import Schema, resolved, text_part


def reader_of(kind: Arguments, schema: Schema, end: str) -> ArgumentReader:
    """`schema`: the tool's parameters; `end`: the text that follows the arguments."""
    match kind:
        case JsonArguments():
            return JsonReader()
        case NestedArguments(values):
            return NestedReader(values.quote)
        case ElementArguments(mark):
            return ElementReader(mark, schema)
        case Parameters():
            return ParameterReader(kind, schema, end)


class JsonReader:
    """Finds the end of a JSON object, or of any other JSON value, that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self._in_word = False

    def read(self, text: str) -> Reading:
        for position, character in enumerate(text):
            if self._in_word and not (character.isalnum() or character in "+-."):
                return Reading(position, text[:position], is_whole=True)
            if self._ends_with(character):
                return Reading(position + 1, text[: position + 1], is_whole=True)
        return Reading(len(text), text, needs_more=True)

    def _ends_with(self, character: str) -> bool:
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._in_string = False
                return self._depth == 0
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth == 0
        elif self._depth == 0 and not character.isspace():  # a number, true, false or null
            self._in_word = True
        return False


_State = Literal["between", "key", "value", "close", "text"]


class ParameterReader:
    """Key and value, one after the other."""

    def __init__(self, form: Parameters, schema: Schema, end: str) -> None:
        self._form = form
        self._schema = schema
        self._end = end
        self._state: _State = "between"
        self._keys = 0
        self._value = JsonReader()
        self._has_begun = False
        """The bare text's quotation mark is out."""
        self._is_nullable = False

    def read(self, text: str) -> Reading:
        match self._state:
            case "between":
                return self._between(text)
            case "key":
                return self._key(text)
            case "value":
                reading = self._value.read(text)
                if reading.is_whole:
                    self._state = "close"
                return Reading(reading.length, reading.arguments, needs_more=reading.needs_more)
            case "close":
                return self._expect(self._form.close, text)
            case "text":
                return self._text(text)

    def _between(self, text: str) -> Reading:
        """A further parameter, or the end."""
        start = (self._form.separator if self._keys else "") + self._form.open
        if start and text.startswith(start):
            self._state = "key"
            return Reading(len(start))
        if start.startswith(text) if start else self._end.startswith(text) and text != self._end:
            return Reading(0, needs_more=True)
        if not start and not text.startswith(self._end):
            self._state = "key"
            return Reading(0)
        return Reading(0, "}" if self._keys else "{}", is_whole=True)

    def _key(self, text: str) -> Reading:
        marks = set(self._form.middles)
        found = [(text.find(mark), -len(mark)) for mark in marks if mark in text]
        if not found:
            return Reading(0, needs_more=True)
        position, length = min(found)
        key, mark = text[:position], text[position : position - length]
        self._begin_value(key, mark)
        name = (", " if self._keys else "{") + json.dumps(key, ensure_ascii=False) + ": "
        self._keys += 1
        return Reading(position + len(mark), name)

    def _begin_value(self, key: str, mark: str) -> None:
        form, listed = self._form, self._schema.get("properties", {})
        inner, self._is_nullable = text_part(resolved(listed.get(key), self._schema), self._schema)
        is_text = form.has_bare_text and (mark == form.text_middle if form.has_own_mark else inner is not None)
        self._is_nullable = self._is_nullable and not form.has_own_mark
        self._state = "text" if is_text else "value"
        self._value, self._has_begun = JsonReader(), False

    def _expect(self, literal: str, text: str) -> Reading:
        if len(text) < len(literal):
            return Reading(0, needs_more=True)
        self._state = "between"
        return Reading(len(literal))

    def _text(self, text: str) -> Reading:
        mark = self._form.text_close
        end = text.find(mark)
        if end >= 0:
            self._state = "between"
            return Reading(end + len(mark), self._rest(text[:end]))
        if not self._has_begun and (CDATA.startswith(text[: len(CDATA)]) or self._may_be_null(text)):
            return Reading(0, needs_more=True)
        sure = text[: len(text) - held(text, mark)]
        start = "" if self._has_begun or not sure else '"'
        self._has_begun = self._has_begun or bool(sure)
        return Reading(len(sure), start + escaped(sure), needs_more=True)

    def _may_be_null(self, text: str) -> bool:
        return self._is_nullable and ("null" + self._form.text_close).startswith(text)

    def _rest(self, text: str) -> str:
        """The text's last piece, or all of it."""
        if self._has_begun:
            return escaped(text) + '"'
        if self._is_nullable and text == "null":
            return "null"
        return json.dumps(read_text(text), ensure_ascii=False)

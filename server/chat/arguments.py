"""How the arguments of a call are written: as one JSON object, or as parameters one by one.

Parameters (Qwen3-Coder, GLM, MiniMax, DeepSeek's DSML, LFM2, Gemma 4 …) are a key, then a value: JSON, or, where the
schema says string, often the bare text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grammars
from grammars import Entry, Fragment, Node, Report, Spacing, UnsatisfiableSchema, UnsupportedSchema
from grammars.tree import Lexeme, chars
from server.chat.element_values import ElementArguments
from server.chat.marked_text import CDATA, escaped, shielded, text_until
from server.chat.member_row import Member, member_row
from server.chat.nested_values import NestedValues
from server.chat.text_schema import NOTES, REFERENCES, Schema, admits_texts, members_of, resolved, text_part, words_of
from server.chat.value_grammar import ValueGrammars

_HARMLESS = NOTES | {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
_REASON = "this model writes arguments one by one, as bare text"
_TEXT_LIMITS = ("pattern", "minLength", "maxLength", "format", "not", "allOf", "anyOf", "oneOf", "if", *REFERENCES)

TYPES = ("number", "boolean", "null", "object", "array")
"""Of values that are no strings."""
_Starts = list[tuple[str, Node]]
"""The forms of a member: the literal it begins with, and the rest."""


@dataclass(frozen=True, slots=True)
class JsonArguments:
    """One JSON object."""

    spacing: Spacing

    @property
    def marks(self) -> tuple[str, ...]:
        return ()

    def write(self, arguments: Mapping[str, Any], _: Schema) -> str:
        return write_json(arguments, self.spacing)

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """Raises: GrammarError."""
        return grammars.compile_schema(schema, strict=strict, spacing=self.spacing, closed=True, openapi=True)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Key and value, one after the other."""

    open: str
    """Before a key."""
    separator: str
    """Between a parameter and the next."""
    middle: str
    """Between a key and a value that is JSON."""
    close: str
    """After a value that is JSON."""
    text_middle: str
    """Between a key and a string."""
    text_close: str
    """After a string."""
    has_bare_text: bool
    """Strings stand without quotes and escapes."""
    cdata_for: str = ""
    """Bare texts with one of these characters are written as CDATA, and by the template too."""
    tells_types: bool = False
    """`middle` has a hole, `{}`, for the type of the value: number, boolean, null, object or array (Kimi K3)."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts around keys and values."""
        return (self.open, self.separator, *self.middles, self.close, self.text_close)

    @property
    def middles(self) -> tuple[str, ...]:
        """All that may stand between a key and a value."""
        return (*map(self._middle, TYPES), self.text_middle) if self.tells_types else (self.middle, self.text_middle)

    def _middle(self, kind: str) -> str:
        return self.middle.format(kind) if self.tells_types else self.middle

    @property
    def has_own_mark(self) -> bool:
        """What stands before a value tells a bare text from JSON; if not, the schema does."""
        return self.has_bare_text and self.middle != self.text_middle

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str:
        return self.separator.join(self._parameter(key, value, schema) for key, value in arguments.items())

    def template_value(self, arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
        """What a template has to get for its text to be what `write` gives: bare texts in their final form."""
        shown: dict[str, Any] = {}
        for key, value in arguments.items():
            inner, is_nullable = self._text_part(key, value, schema)
            if not self.has_bare_text:
                shown[key] = escaped(value) if isinstance(value, str) else value
            elif isinstance(value, str) and inner is not None:
                shown[key] = value if self.cdata_for else self._shield(value, is_nullable)
            else:  # JSON already: templates differ in how they write true, null and 1e30
                shown[key] = write_json(value, Spacing.SPACED) if not self.has_own_mark else value
        return shown

    def _parameter(self, key: str, value: Any, schema: Schema) -> str:
        inner, is_nullable = self._text_part(key, value, schema)
        if self.has_bare_text and isinstance(value, str) and inner is not None:
            return self.open + key + self.text_middle + self._shield(value, is_nullable) + self.text_close
        return self.open + key + self._middle(_type_of(value)) + write_json(value, Spacing.SPACED) + self.close

    def _text_part(self, key: str, value: Any, schema: Schema) -> tuple[Schema | None, bool]:
        """As `text_part` of the key's schema, unless the mark before the value tells."""
        if self.has_own_mark:
            return ({}, False) if isinstance(value, str) else (None, False)
        listed = schema.get("properties", {})
        return text_part(resolved(listed.get(key), schema), schema)

    def _shield(self, text: str, is_nullable: bool = False) -> str:
        """The text, as CDATA if it has the closing mark in it or reads as something else."""
        mark = self.text_close
        is_plain = not any(sign in text for sign in (mark, *self.cdata_for)) and not text.startswith(CDATA)
        if is_plain and not (is_nullable and text == "null" and not self.has_own_mark):
            return text
        return shielded(text, mark)

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """Raises: GrammarError. Keys that the schema does not list are left out, which narrows it."""
        widened = [Entry(keyword, "") for keyword in schema if keyword not in _HARMLESS]
        if strict and widened:
            raise UnsupportedSchema(widened[0].keyword, "", _REASON)
        reports = [Report(widened=tuple(widened))]
        required = frozenset(schema.get("required", ()))
        listed = members_of(schema, "")
        others = schema.get("additionalProperties", True)
        if not listed and others is not False:
            if isinstance(others, Mapping) and others:
                reports = [_unheld("additionalProperties", "", strict=strict), *reports]
            return Fragment(self._any(), grammars.merge(*reports))
        members: list[Member] = []
        values = ValueGrammars(schema, strict=strict)
        for key, inner in listed.items():
            self._check_key(key)
            starts, report = self._member(key, inner, schema, values, strict=strict)
            members.append(Member(_any_of(starts, ""), _any_of(starts, self.separator), key in required))
            reports.append(report)
        return Fragment(member_row(members), grammars.merge(*reports))

    def _any(self) -> Node:
        """Any parameters, in JSON."""
        key = grammars.sequence(
            chars("_", (65, 90), (97, 122)), grammars.repeat(chars("_", (48, 57), (65, 90), (97, 122)))
        )
        values = grammars.choice(
            *(grammars.sequence(grammars.literal(start), value) for start, value in self._any_values())
        )
        one = grammars.sequence(grammars.literal(self.open), Lexeme(key), values, grammars.literal(self.close))
        more = grammars.repeat(grammars.sequence(grammars.literal(self.separator), one))
        return grammars.optional(grammars.sequence(one, more))

    def _any_values(self) -> _Starts:
        if not self.tells_types:
            return [(self.middle, grammars.json_value(Spacing.SPACED))]
        values = ValueGrammars({}, strict=False)
        return [(self._middle(kind), values.compile({"type": kind}, "").node) for kind in TYPES]

    def _values(self, start: str, schema: Any, pointer: str, values: ValueGrammars) -> tuple[_Starts, Report]:
        """JSON by a schema, for each type that it allows."""
        if not self.tells_types:
            fragment = values.compile(schema, pointer)
            return [(start + self.middle, fragment.node)], fragment.report
        starts: _Starts = []
        reports: list[Report] = []
        for kind in TYPES:
            try:
                fragment = values.compile(schema, pointer, kind)
            except UnsatisfiableSchema:
                continue
            starts.append((start + self._middle(kind), fragment.node))
            reports.append(fragment.report)
        return starts, grammars.merge(*reports)

    def _member(
        self, key: str, inner: Any, root: Schema, values: ValueGrammars, *, strict: bool
    ) -> tuple[_Starts, Report]:
        text, is_nullable = text_part(resolved(inner, root), root)
        text_start = self.open + key + self.text_middle
        if not self.has_bare_text or text is None:
            found, report = self._values(self.open + key, inner, f"/properties/{key}", values)
            starts = [(start, grammars.sequence(node, grammars.literal(self.close))) for start, node in found]
            if self.has_own_mark and admits_texts(resolved(inner, root)):
                starts.append((text_start, text_until(self.text_close)))
            return starts, report
        limits = [limit for limit in _TEXT_LIMITS if limit in text]
        if limits and strict:
            raise UnsupportedSchema(limits[0], f"/properties/{key}", _REASON)
        starts = [(text_start, self._text(text, is_nullable))]
        if is_nullable and not self._reads_null(text):
            starts.append((self.open + key + self._middle("null"), grammars.literal("null" + self.close)))
        return starts, Report(widened=tuple(Entry(limit, f"/properties/{key}") for limit in limits))

    def _reads_null(self, text: Schema) -> bool:
        """A bare `null` is among the texts that the grammar admits anyway."""
        return not self.has_own_mark and words_of(text) is None

    def _text(self, text: Schema, is_nullable: bool) -> Node:
        words = words_of(text)
        if words is None:
            return text_until(self.text_close)
        spelled = (self._shield(word, is_nullable) for word in words if isinstance(word, str))
        return grammars.choice(*(grammars.literal(word + self.text_close) for word in spelled))

    def _check_key(self, key: str) -> None:
        signs = ('"', "&") if self.tells_types else ()
        if any(mark in key for mark in (*self.middles, self.open, *signs) if mark) or not key:
            raise UnsupportedSchema("properties", f"/properties/{key}", "this model's calls can't spell such a key")


@dataclass(frozen=True, slots=True)
class NestedArguments:
    """Members of an object in a notation near JSON."""

    values: NestedValues

    @property
    def marks(self) -> tuple[str, ...]:
        return (self.values.quote,)

    def write(self, arguments: Mapping[str, Any], _: Schema) -> str:
        return self.values.write_members(arguments)

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """Raises: GrammarError."""
        return self.values.compile(schema, strict=strict)


Arguments = JsonArguments | Parameters | NestedArguments | ElementArguments


def _unheld(keyword: str, pointer: str, *, strict: bool) -> Report:
    if strict:
        raise UnsupportedSchema(keyword, pointer, _REASON)
    return Report(widened=(Entry(keyword, pointer),))


def _any_of(starts: _Starts, before: str) -> Node:
    return grammars.choice(*(grammars.sequence(grammars.literal(before + start), rest) for start, rest in starts))


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return "object" if isinstance(value, Mapping) else "array"


def write_json(value: object, spacing: Spacing) -> str:
    separators = (", ", ": ") if spacing is Spacing.SPACED else (",", ":")
    return json.dumps(value, ensure_ascii=False, separators=separators)

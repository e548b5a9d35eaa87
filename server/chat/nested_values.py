"""Values in a notation near JSON: keys without quotes, and strings between marks instead of quotation marks (Gemma 4).

A schema is followed through objects, lists, references and alternatives; numbers, true, false and null are written as
in JSON and left to the JSON compiler. Strings never are: the reader knows no quotation marks.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grammars
from grammars import Entry, Fragment, Node, Report, UnsatisfiableSchema, UnsupportedSchema
from grammars.effort import limited, spend
from server.chat.marked_text import CDATA, shielded, text_until
from server.chat.member_row import Member, member_row
from server.chat.text_schema import NOTES, Schema, flattened, has_null, is_text, members_of, words_of
from server.chat.value_grammar import VALUE_STEPS, ValueGrammars

_DEEPEST = 8
_REASON = "this model writes values in a notation of its own"
_OBJECT = NOTES | {"type", "properties", "required", "additionalProperties", "$defs", "definitions", "nullable"}
_LIST = NOTES | {"type", "items", "minItems", "maxItems", "nullable"}
_TEXT = NOTES | {"type", "enum", "const", "nullable"}
_WORDS = NOTES | {"enum", "const", "nullable"}
_SCALARS = ("integer", "number", "boolean", "null")
_ANYTHING: tuple[Schema, ...] = tuple({"type": kind} for kind in ("number", "boolean", "null", "string"))
"""But nothing nested."""
_MOST_COMPARED = 50


@dataclass(frozen=True, slots=True)
class NestedValues:
    """The notation, by the mark around its strings."""

    quote: str

    def write(self, value: Any) -> str:
        match value:
            case str():
                is_plain = self.quote not in value and not value.startswith(CDATA)
                return self.quote + (value if is_plain else shielded(value, self.quote)) + self.quote
            case Mapping():
                return "{" + self.write_members(value) + "}"
            case Sequence():
                return "[" + ",".join(map(self.write, value)) + "]"
            case _:
                return json.dumps(value)

    def write_members(self, members: Mapping[str, Any]) -> str:
        return ",".join(f"{key}:{self.write(value)}" for key, value in members.items())

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """The members of a tool's arguments, without braces. Raises: GrammarError."""
        with limited():
            return self._members(schema, schema, strict=strict, pointer="", depth=0)

    def _members(self, schema: Schema, root: Schema, *, strict: bool, pointer: str, depth: int) -> Fragment:
        """An object's members without its braces. Keys that are not listed are left out."""
        reports = [self._refusals(schema, _OBJECT, pointer, strict=strict)]
        required = frozenset(schema.get("required", ()))
        members: list[Member] = []
        for key, inner in members_of(schema, pointer).items():
            place = f"{pointer}/properties/{key}"
            if not key or any(sign in key for sign in ":,{}[]"):
                raise UnsupportedSchema("properties", place, "this model's calls can't spell such a key")
            value = self._compile(inner, root, strict=strict, pointer=place, depth=depth + 1)
            first, later = (grammars.sequence(grammars.literal(f"{before}{key}:"), value.node) for before in ("", ","))
            members.append(Member(first, later, key in required))
            reports.append(value.report)
        return Fragment(member_row(members), grammars.merge(*reports))

    def _compile(self, schema: Any, root: Schema, *, strict: bool, pointer: str, depth: int) -> Fragment:
        if depth > _DEEPEST:
            raise UnsupportedSchema("$ref", pointer, f"values nest more than {_DEEPEST} deep")
        spend(VALUE_STEPS)
        inner = flattened(schema, root)
        alternatives = _alternatives(inner)
        if alternatives is not None:
            return self._any_of(inner, alternatives, root, strict=strict, pointer=pointer, depth=depth)
        kinds = inner.get("type")
        kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
        if is_text(inner):
            return Fragment(self._text(inner, pointer), self._refusals(inner, _TEXT, pointer, strict=strict))
        if kind == "object" or (kind is None and "properties" in inner):
            body = self._members(inner, root, strict=strict, pointer=pointer, depth=depth)
            return Fragment(_around("{", body.node, "}"), body.report)
        if kind == "array" or (kind is None and "items" in inner):
            return self._list(inner, root, strict=strict, pointer=pointer, depth=depth)
        if kind in _SCALARS:
            return ValueGrammars(root, strict=strict).compile(inner, pointer)
        words = words_of(inner)
        report = self._refusals(inner, _WORDS, pointer, strict=strict)
        if words is not None:
            return Fragment(grammars.choice(*(grammars.literal(self.write(word)) for word in words)), report)
        anything = self._compile({}, root, strict=strict, pointer=pointer, depth=depth)
        return Fragment(anything.node, report)

    def _any_of(
        self, schema: Schema, alternatives: list[Schema], root: Schema, *, strict: bool, pointer: str, depth: int
    ) -> Fragment:
        may_overlap = "oneOf" in schema and not _are_apart([flattened(one, root) for one in schema["oneOf"]])
        reports = [self._refusals({"oneOf": None} if may_overlap else {}, NOTES, pointer, strict=strict)]
        nodes: list[Node] = []
        for one in alternatives:
            try:
                part = self._compile(one, root, strict=strict, pointer=pointer, depth=depth + 1)
            except UnsatisfiableSchema:
                continue
            nodes.append(part.node)
            reports.append(part.report)
        if not nodes:
            raise UnsatisfiableSchema("no value satisfies any of its alternatives", pointer)
        return Fragment(grammars.choice(*nodes), grammars.merge(*reports))

    def _text(self, schema: Schema, pointer: str) -> Node:
        words = words_of(schema)
        if words is None:
            return grammars.sequence(grammars.literal(self.quote), text_until(self.quote))
        texts = [word for word in words if isinstance(word, str)]
        if not texts:
            raise UnsatisfiableSchema("a string is asked for, and no value that is listed is one", pointer)
        return grammars.choice(*(grammars.literal(self.write(text)) for text in texts))

    def _list(self, schema: Schema, root: Schema, *, strict: bool, pointer: str, depth: int) -> Fragment:
        refused = self._refusals(schema, _LIST, pointer, strict=strict)
        items = schema.get("items", {})
        item = self._compile(items, root, strict=strict, pointer=f"{pointer}/items", depth=depth + 1)
        low, high = int(schema.get("minItems", 0)), schema.get("maxItems")
        more = grammars.sequence(grammars.literal(","), item.node)
        some = grammars.sequence(
            item.node, grammars.repeat(more, max(low - 1, 0), None if high is None else max(int(high) - 1, 0))
        )
        body = some if low else grammars.optional(some)
        node = _around("[", grammars.literal("") if high == 0 else body, "]")
        return Fragment(node, grammars.merge(refused, item.report))

    def _refusals(self, schema: Schema, known: frozenset[str], pointer: str, *, strict: bool) -> Report:
        unknown = [keyword for keyword in schema if keyword not in known]
        if strict and unknown:
            raise UnsupportedSchema(unknown[0], pointer, _REASON)
        return Report(widened=tuple(Entry(keyword, pointer) for keyword in unknown))


def _alternatives(schema: Schema) -> list[Schema] | None:
    """The schemas one of which has to be met."""
    if isinstance(schema.get("type"), list) and len(schema["type"]) > 1:
        return [{**schema, "type": kind} for kind in schema["type"]]
    word = next((word for word in ("anyOf", "oneOf") if word in schema), None)
    if word is not None and not schema.keys() & {"properties", "items"}:
        beside = {keyword: value for keyword, value in schema.items() if keyword not in NOTES | {word}}
        return [{"allOf": [one, beside]} if beside else one for one in schema[word]]
    if has_null(schema):
        return [{key: value for key, value in schema.items() if key != "nullable"}, {"type": "null"}]
    return list(_ANYTHING) if not schema.keys() - NOTES else None


def _are_apart(schemas: list[Schema]) -> bool:
    """No value satisfies two of them, as far as they say so at once."""
    return len(schemas) <= _MOST_COMPARED and all(itertools.starmap(_differ, itertools.combinations(schemas, 2)))


def _differ(one: Schema, other: Schema) -> bool:
    """They have other types, or a text in the same required key that tells them apart."""
    kinds = {str(schema.get("type")) for schema in (one, other)}
    if not kinds <= {*_SCALARS, "string", "object", "array"} or "nullable" in {**one, **other}:
        return False
    if kinds == {"object"}:
        common = set(one.get("required", ())) & set(other.get("required", ()))
        return any(_tags(one, key) and _tags(other, key) and not _tags(one, key) & _tags(other, key) for key in common)
    return len(kinds) == 2 and kinds != {"integer", "number"}


def _tags(schema: Schema, key: str) -> set[str]:
    """The texts that a key may have; none if it may have others."""
    inner = schema.get("properties", {}).get(key)
    words = words_of(inner) if isinstance(inner, Mapping) else None
    return set(words) if words is not None and all(isinstance(word, str) for word in words) else set()


def _around(begin: str, body: Node, end: str) -> Node:
    return grammars.sequence(grammars.literal(begin), body, grammars.literal(end))

"""Values in a notation near JSON: keys without quotes, and strings between marks instead of quotation marks (Gemma 4).

A schema is followed through objects, lists, references and alternatives; what is no object, list or string is written
as in JSON and left to the JSON compiler.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grammars
from grammars import Entry, Fragment, Node, Report, UnsupportedSchema
from server.chat.marked_text import CDATA, shielded, text_until
from server.chat.member_row import Member, member_row
from server.chat.text_schema import NOTES, Schema, as_object, is_text, members_of, resolved

_DEEPEST = 8
_REASON = "this model writes values in a notation of its own"
_OBJECT = NOTES | {"type", "properties", "required", "additionalProperties", "$defs", "definitions", "nullable"}
_LIST = NOTES | {"type", "items", "minItems", "maxItems", "nullable"}
_TEXT = NOTES | {"type", "enum", "const", "nullable"}
_SCALARS = {"type": ["integer", "number", "boolean", "null"]}


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

    def compile_members(
        self, schema: Schema, root: Schema, *, strict: bool, pointer: str = "", depth: int = 0
    ) -> Fragment:
        """An object's members without its braces. Raises: GrammarError. Keys that are not listed are left out."""
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
        inner = resolved(schema, root)
        alternatives = self._alternatives(inner)
        if alternatives is not None:
            parts = [self._compile(one, root, strict=strict, pointer=pointer, depth=depth + 1) for one in alternatives]
            node = grammars.choice(*(part.node for part in parts))
            return Fragment(node, grammars.merge(*(part.report for part in parts)))
        kind = inner.get("type")
        if is_text(inner):
            return Fragment(self._text(inner), self._refusals(inner, _TEXT, pointer, strict=strict))
        if kind == "object" or "properties" in inner:
            body = self.compile_members(inner, root, strict=strict, pointer=pointer, depth=depth)
            return Fragment(_around("{", body.node, "}"), body.report)
        if kind == "array" or "items" in inner:
            return self._list(inner, root, strict=strict, pointer=pointer, depth=depth)
        if "enum" in inner or "const" in inner:
            words = inner.get("enum", [inner.get("const")])
            return Fragment(grammars.choice(*(grammars.literal(self.write(word)) for word in words)), Report())
        return self._scalar(inner, strict=strict)

    def _alternatives(self, schema: Schema) -> list[Any] | None:
        """The schemas one of which is enough, if the schema says no more than that."""
        if "type" in schema and isinstance(schema["type"], list) and len(schema["type"]) > 1:
            return [{**schema, "type": kind} for kind in schema["type"]]
        for word in ("anyOf", "oneOf"):
            if word in schema and not schema.keys() - NOTES - {word}:
                return list(schema[word])
        if schema.get("nullable"):
            return [{key: value for key, value in schema.items() if key != "nullable"}, {"type": "null"}]
        if not schema.keys() - NOTES:  # anything, but nothing nested
            return [_SCALARS, {"type": "string"}]
        return None

    def _text(self, schema: Schema) -> Node:
        words = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if words is not None:
            return grammars.choice(*(grammars.literal(self.write(word)) for word in words))
        return grammars.sequence(grammars.literal(self.quote), text_until(self.quote))

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

    def _scalar(self, schema: Schema, *, strict: bool) -> Fragment:
        """Numbers, true, false and null."""
        return grammars.compile_schema(as_object(schema), strict=strict, openapi=True)

    def _refusals(self, schema: Schema, known: frozenset[str], pointer: str, *, strict: bool) -> Report:
        unknown = [keyword for keyword in schema if keyword not in known]
        if strict and unknown:
            raise UnsupportedSchema(unknown[0], pointer, _REASON)
        return Report(widened=tuple(Entry(keyword, pointer) for keyword in unknown))


def _around(begin: str, body: Node, end: str) -> Node:
    return grammars.sequence(grammars.literal(begin), body, grammars.literal(end))

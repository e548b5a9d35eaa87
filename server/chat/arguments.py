"""How the arguments of a call are written: as one JSON object, or as parameters one by one.

Parameters (Qwen3-Coder, GLM, MiniMax, DeepSeek's DSML, LFM2, Gemma 4 …) are a key, then a value: JSON, or, where the
schema says string, often the bare text. A bare text ends at the first closing mark, so a text that has the mark in it
is written as XML's CDATA with the mark split over two sections; then it never appears whole, and any text survives.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grammars
from grammars import Entry, Fragment, Node, Report, Spacing, UnsupportedSchema
from grammars.tree import Lexeme, Rule, chars, other_chars

CDATA, CDATA_END = "<![CDATA[", "]]>"
_NOTES = frozenset(("description", "title", "default", "examples", "$schema", "$comment", "$id"))
_HARMLESS = _NOTES | {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
_REASON = "this model writes arguments one by one, as bare text"
_TEXT_LIMITS = ("pattern", "minLength", "maxLength", "format", "not", "allOf", "anyOf", "oneOf", "if")

Schema = Mapping[str, Any]
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

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts around keys and values."""
        return (self.open, self.separator, self.middle, self.close, self.text_middle, self.text_close)

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
                shown[key] = _escaped(value) if isinstance(value, str) else value
            elif isinstance(value, str) and inner is not None:
                shown[key] = value if self.cdata_for else self._shield(value, is_nullable)
            else:  # JSON already: templates differ in how they write true, null and 1e30
                shown[key] = write_json(value, Spacing.SPACED) if not self.has_own_mark else value
        return shown

    def _parameter(self, key: str, value: Any, schema: Schema) -> str:
        inner, is_nullable = self._text_part(key, value, schema)
        if self.has_bare_text and isinstance(value, str) and inner is not None:
            return self.open + key + self.text_middle + self._shield(value, is_nullable) + self.text_close
        return self.open + key + self.middle + write_json(value, Spacing.SPACED) + self.close

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
        split = CDATA_END + CDATA
        inside = text.replace(CDATA_END, "]]" + split + ">")
        return CDATA + inside.replace(mark, mark[0] + split + mark[1:]) + CDATA_END

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """Raises: GrammarError. Keys that the schema does not list are left out, which narrows it."""
        widened = [Entry(keyword, "") for keyword in schema if keyword not in _HARMLESS]
        if strict and widened:
            raise UnsupportedSchema(widened[0].keyword, "", _REASON)
        reports = [Report(widened=tuple(widened))]
        listed, required = schema.get("properties", {}), frozenset(schema.get("required", ()))
        if not listed and schema.get("additionalProperties", True) is not False:
            return Fragment(self._any(), reports[0])
        nodes: list[tuple[_Starts, bool]] = []
        for key, inner in listed.items():
            self._check_key(key)
            starts, report = self._member(key, inner, schema, strict=strict)
            nodes.append((starts, key in required))
            reports.append(report)
        return Fragment(self._row(nodes), grammars.merge(*reports))

    def _any(self) -> Node:
        """Any parameters, in JSON."""
        key = grammars.sequence(
            chars("_", (65, 90), (97, 122)), grammars.repeat(chars("_", (48, 57), (65, 90), (97, 122)))
        )
        value = grammars.json_value(Spacing.SPACED)
        one = grammars.sequence(
            grammars.literal(self.open), Lexeme(key), grammars.literal(self.middle), value, grammars.literal(self.close)
        )
        more = grammars.repeat(grammars.sequence(grammars.literal(self.separator), one))
        return grammars.optional(grammars.sequence(one, more))

    def _row(self, members: list[tuple[_Starts, bool]]) -> Node:
        """The members in order, those that are not required left out or not, separators between.

        A separator is one literal with what follows it, because a lexer can't take back a shorter one.
        """
        follows: dict[bool, Node] = {False: grammars.literal(""), True: grammars.literal("")}
        for number, (member, is_required) in reversed(list(enumerate(members))):
            after = follows[True]
            follows = {
                has_previous: Rule(
                    f"{'more' if has_previous else 'first'}-{number}",
                    grammars.choice(
                        grammars.sequence(_any_of(member, self.separator if has_previous else ""), after),
                        *(() if is_required else (follows[has_previous],)),
                    ),
                )
                for has_previous in (False, True)
            }
        return follows[False]

    def _member(self, key: str, inner: Any, root: Schema, *, strict: bool) -> tuple[_Starts, Report]:
        text, is_nullable = text_part(resolved(inner, root), root)
        start, text_start = self.open + key + self.middle, self.open + key + self.text_middle
        if not self.has_bare_text or text is None:
            whole = {**{name: root[name] for name in ("$defs", "definitions") if name in root}, **_as_object(inner)}
            fragment = grammars.compile_schema(whole, strict=strict, spacing=Spacing.SPACED, closed=True, openapi=True)
            starts = [(start, grammars.sequence(fragment.node, grammars.literal(self.close)))]
            if self.has_own_mark and _admits_texts(resolved(inner, root)):
                starts.append((text_start, text_until(self.text_close)))
            return starts, fragment.report
        limits = [limit for limit in _TEXT_LIMITS if limit in text]
        if limits and strict:
            raise UnsupportedSchema(limits[0], f"/properties/{key}", _REASON)
        starts = [(text_start, self._text(text, is_nullable))]
        if is_nullable and not self._reads_null(text):
            starts.append((start, grammars.literal("null" + self.close)))
        return starts, Report(widened=tuple(Entry(limit, f"/properties/{key}") for limit in limits))

    def _reads_null(self, text: Schema) -> bool:
        """A bare `null` is among the texts that the grammar admits anyway."""
        return not self.has_own_mark and "enum" not in text and "const" not in text

    def _text(self, text: Schema, is_nullable: bool) -> Node:
        words = text.get("enum", [text["const"]] if "const" in text else None)
        if words is None:
            return text_until(self.text_close)
        shielded = (self._shield(word, is_nullable) for word in words if isinstance(word, str))
        return grammars.choice(*(grammars.literal(word + self.text_close) for word in shielded))

    def _check_key(self, key: str) -> None:
        if any(mark in key for mark in (self.middle, self.text_middle, self.open) if mark) or not key:
            raise UnsupportedSchema("properties", f"/properties/{key}", "this model's calls can't spell such a key")


Arguments = JsonArguments | Parameters


def _any_of(starts: _Starts, before: str) -> Node:
    return grammars.choice(*(grammars.sequence(grammars.literal(before + start), rest) for start, rest in starts))


def write_json(value: object, spacing: Spacing) -> str:
    separators = (", ", ": ") if spacing is Spacing.SPACED else (",", ":")
    return json.dumps(value, ensure_ascii=False, separators=separators)


def text_part(schema: Schema, root: Schema) -> tuple[Schema | None, bool]:
    """The schema of the strings that are valid, if nothing else is but perhaps null; and whether null is."""
    if is_text(schema):
        return schema, bool(schema.get("nullable"))
    if sorted(schema["type"] if isinstance(schema.get("type"), list) else ()) == ["null", "string"]:
        return (None, False) if "enum" in schema or "const" in schema else ({**schema, "type": "string"}, True)
    members = schema.get("anyOf", schema.get("oneOf", ()))
    if len(members) == 2 and not any(word in schema for word in ("type", "enum", "const", "not", "allOf", "if")):
        texts = [text for text in (resolved(member, root) for member in members) if is_text(text)]
        if len(texts) == 1 and {"type": "null"} in members:
            return texts[0], True
    return None, False


def read_text(text: str) -> str:
    """The string that a bare text, closing mark left out, stands for."""
    if text.startswith(CDATA) and text.endswith(CDATA_END):
        return text[len(CDATA) : -len(CDATA_END)].replace(CDATA_END + CDATA, "")
    return text


def is_text(schema: Schema) -> bool:
    """Strings and nothing else are valid, as far as the schema says so at once."""
    if "type" in schema:
        return schema["type"] in ("string", ["string"])
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return bool(words) and all(isinstance(word, str) for word in words)


def _admits_texts(schema: Schema) -> bool:
    """All strings are valid, among other things."""
    kinds = schema.get("type", ["string"])
    return "string" in kinds and not schema.keys() - _NOTES - {"type"}


def resolved(schema: Any, root: Schema) -> Schema:
    """A property's schema with its reference into the same document followed."""
    for _ in range(10):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not (isinstance(reference, str) and reference.startswith("#/")):
            break
        target: Any = root
        for part in reference[2:].split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        schema = target
    return _as_object(schema)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _as_object(schema: Any) -> Schema:
    return schema if isinstance(schema, Mapping) else {"not": {}} if schema is False else {}


def text_until(mark: str, not_first: str = "") -> Node:
    """Any text up to the first `mark`, which is part of it. `not_first`: characters the text may not begin with.

    Where the mark's first character comes in it again, no text has the part before that.
    """
    return Lexeme(grammars.sequence(*_unmarked(_head(mark), not_first), grammars.literal(mark)))


def text_without(mark: str, not_first: str = "") -> Node:
    """Any text that `mark` does not appear in. As `text_until`."""
    return Lexeme(grammars.sequence(*_unmarked(_head(mark), not_first)))


def _head(mark: str) -> str:
    return mark[: mark.find(mark[0], 1)] if mark[0] in mark[1:] else mark


def _unmarked(mark: str, not_first: str) -> tuple[Node, ...]:
    """Regular, without recursion: characters that begin no mark, and beginnings of the mark that break off, by another
    beginning or by a character that neither goes on nor begins anew."""
    first = mark[0]
    beginnings = [mark[:length] for length in range(1, len(mark))]
    broken_anew = grammars.repeat(grammars.choice(*map(grammars.literal, beginnings)))
    broken_off = [
        grammars.sequence(grammars.literal(start), other_chars(chars(first + mark[len(start)]))) for start in beginnings
    ]
    other = grammars.choice(other_chars(chars(first)), grammars.sequence(broken_anew, grammars.choice(*broken_off)))
    start = [other_chars(chars(first + not_first))] if not_first else []
    return (*start, grammars.repeat(other), broken_anew)

"""Values as XML elements at every depth: `<city>Oslo</city>`, lists as `<item>`s, each tag behind a mark (MiniMax M3).

What an element holds is told by its schema: a text, another JSON scalar, members, or items. Of several alternatives the
first is the one that the model may use, but for null, which is the word. A text that has the mark in it, or that would
read as null where null is valid, is written as XML's CDATA.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import grammars
from grammars import Entry, Fragment, Node, Report, UnsupportedSchema
from grammars.effort import limited, spend
from grammars.tree import Deferred, Meet, Rule, chars, other_chars
from server.chat.marked_text import CDATA, shielded
from server.chat.member_row import Member, member_row
from server.chat.text_schema import NOTES, Schema, flattened, has_null, members_of, words_of
from server.chat.value_grammar import VALUE_STEPS, ValueGrammars

Kind = Literal["text", "scalar", "object", "array"]
_DEEPEST = 8
_OPTION_STEPS = 20
_REASON = "this model writes values as XML elements"
_SCALARS = ("integer", "number", "boolean")
_KNOWN: dict[Kind, frozenset[str]] = {
    "text": NOTES | {"type", "enum", "const"},
    "object": NOTES | {"type", "properties", "required", "additionalProperties", "$defs", "definitions"},
    "array": NOTES | {"type", "items", "minItems", "maxItems"},
}
"""Keywords that the grammar holds; scalars are the JSON compiler's."""
_ANY: Schema = {}


@dataclass(frozen=True, slots=True)
class Value:
    """What an element may hold."""

    kind: Kind
    schema: Schema
    is_nullable: bool
    dropped: tuple[str, ...] = ()
    """Keywords that were passed over on the way to it."""


def value_of(given: Any, root: Schema) -> Value:
    """The first kind of value that a schema allows, and whether null is one, too."""
    schema, is_nullable, dropped = flattened(given, root), False, list[str]()
    for _ in range(_DEEPEST):
        word = next((word for word in ("anyOf", "oneOf") if schema.get(word)), None)
        if word is None:
            break
        options = schema[word]
        spend(_OPTION_STEPS * len(options))
        alternatives = [one for one in (flattened(option, root) for option in options) if one.get("type") != "null"]
        is_nullable = is_nullable or len(alternatives) < len(options)
        dropped += sorted(schema.keys() - NOTES - {word})
        dropped += [word] if word == "oneOf" and len(alternatives) > 1 else []
        schema = alternatives[0] if alternatives else {"type": "null"}
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
    words = words_of(schema)
    is_nullable = is_nullable or has_null(schema)
    is_nullable = is_nullable or ("null" in kinds and len(kinds) > 1 and (words is None or None in words))
    schema = {key: value for key, value in schema.items() if key != "nullable"}
    if kinds:
        left = [kind for kind in kinds if kind != "null"] or ["null"]
        schema["type"] = "string" if "string" in left else left[0]
    return Value(_kind(schema), schema, is_nullable, tuple(dropped))


def _kind(schema: Schema) -> Kind:
    kind = schema.get("type")
    if kind == "object" or (kind is None and "properties" in schema):
        return "object"
    if kind == "array" or (kind is None and "items" in schema):
        return "array"
    words = words_of(schema)
    are_scalars = words is not None and not any(isinstance(word, str) for word in words)
    return "scalar" if kind in (*_SCALARS, "null") or (kind is None and are_scalars) else "text"


@dataclass(frozen=True, slots=True)
class ElementArguments:
    """Members of an object as elements."""

    mark: str
    """Before every tag."""

    @property
    def marks(self) -> tuple[str, ...]:
        return (self.mark,)

    def write(self, arguments: Mapping[str, Any], schema: Schema) -> str:
        return "".join(self._element(key, shown) for key, shown in self.template_value(arguments, schema).items())

    def template_value(self, arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
        """What a template has to get to write what `write` gives: texts in their final form, null as a word."""
        found: dict[str, Any] = self._shown(arguments, Value("object", schema, is_nullable=False), schema)
        return found

    def _shown(self, value: Any, place: Value, root: Schema) -> Any:
        match value:
            case None:
                return "null"
            case str():
                is_plain = self.mark not in value and not value.startswith(CDATA)
                is_plain = is_plain and not (value == "null" and place.is_nullable)
                return value if is_plain else shielded(value, self.mark)
            case Mapping():
                listed = place.schema.get("properties", {})
                inner = {key: value_of(listed.get(key, _ANY), root) for key in value}
                return {key: self._shown(one, inner[key], root) for key, one in value.items()}
            case Sequence():
                item = value_of(place.schema.get("items", _ANY), root)
                return [self._shown(one, item, root) for one in value]
            case _:
                return value

    def _element(self, key: str, shown: Any) -> str:
        return f"{self.mark}<{key}>{self._content(shown)}{self.mark}</{key}>"

    def _content(self, shown: Any) -> str:
        match shown:
            case str():
                return shown
            case Mapping():
                return "".join(self._element(key, value) for key, value in shown.items())
            case Sequence():
                return "".join(self._element("item", value) for value in shown)
            case bool():
                return "true" if shown else "false"
            case _:
                return repr(shown)

    def compile(self, schema: Schema, *, strict: bool) -> Fragment:
        """Raises: GrammarError. Keys that the schema does not list are left out, which narrows it."""
        with limited():
            compiler = _Compiler(self.mark, schema, strict=strict)
            return compiler.members(Value("object", schema, is_nullable=False), "", 0)


class _Compiler:
    def __init__(self, mark: str, root: Schema, *, strict: bool) -> None:
        self._mark = mark
        self._root = root
        self._strict = strict
        self._scalars = ValueGrammars(root, strict=strict)
        self._text = _until(mark)

    def members(self, value: Value, pointer: str, depth: int) -> Fragment:
        reports = [self._held(value, pointer)]
        required = frozenset(value.schema.get("required", ()))
        members: list[Member] = []
        for key, inner in members_of(value.schema, pointer).items():
            place = f"{pointer}/properties/{key}"
            if not key or any(sign in key for sign in "<>/ \n"):
                raise UnsupportedSchema("properties", place, "this model's calls can't spell such a key")
            element = self._element(key, inner, place, depth + 1)
            members.append(Member(element.node, element.node, key in required))
            reports.append(element.report)
        return Fragment(member_row(members), grammars.merge(*reports))

    def _element(self, key: str, schema: Any, pointer: str, depth: int) -> Fragment:
        """With both its tags."""
        if depth > _DEEPEST:
            raise UnsupportedSchema("$ref", pointer, f"values nest more than {_DEEPEST} deep")
        spend(VALUE_STEPS)
        value = value_of(schema, self._root)
        close = grammars.literal(f"{self._mark}</{key}>")
        if value.kind == "text":
            content = Fragment(self._texts(value, key), self._held(value, pointer))
        else:
            inner = self._content(value, pointer, depth)
            content = Fragment(grammars.sequence(inner.node, close), inner.report)
        node = content.node
        if value.is_nullable and (value.kind != "text" or self._words(value) is not None):
            node = grammars.choice(node, grammars.sequence(grammars.literal("null"), close))
        return Fragment(grammars.sequence(grammars.literal(f"{self._mark}<{key}>"), node), content.report)

    def _content(self, value: Value, pointer: str, depth: int) -> Fragment:
        if value.kind == "object":
            return self.members(value, pointer, depth)
        if value.kind == "scalar":
            held, fragment = self._held(value, pointer), self._scalars.compile(value.schema, pointer)
            return Fragment(fragment.node, grammars.merge(held, fragment.report))
        item = self._element("item", value.schema.get("items", {}), f"{pointer}/items", depth + 1)
        high = value.schema.get("maxItems")
        node = grammars.repeat(item.node, int(value.schema.get("minItems", 0)), None if high is None else int(high))
        return Fragment(node, grammars.merge(self._held(value, pointer), item.report))

    def _texts(self, value: Value, key: str) -> Node:
        words = self._words(value)
        end = f"</{key}>"
        if words is None:
            return grammars.sequence(self._text, grammars.literal(end))
        shown = (word if word != "null" or not value.is_nullable else shielded(word, self._mark) for word in words)
        return grammars.choice(*(grammars.literal(word + self._mark + end) for word in shown))

    def _words(self, value: Value) -> list[str] | None:
        words = words_of(value.schema)
        return None if words is None else [word for word in words if isinstance(word, str)]

    def _held(self, value: Value, pointer: str) -> Report:
        known = _KNOWN.get(value.kind)
        unknown = [keyword for keyword in value.schema if known is not None and keyword not in known]
        unknown += value.dropped
        if self._strict and unknown:
            raise UnsupportedSchema(unknown[0], pointer, _REASON)
        return Report(widened=tuple(Entry(keyword, pointer) for keyword in unknown))


def _until(mark: str) -> Node:
    """Any text up to the first `mark`, which is part of it.

    llguidance gets it as one lexeme: rules of single characters are too much for it with a large vocabulary.
    """
    texts, end = grammars.repeat(other_chars(chars())), grammars.literal(mark)
    ended = grammars.sequence(texts, end)
    gone_on = grammars.sequence(texts, end, grammars.repeat(other_chars(chars()), 1))
    return Meet((ended,), (gone_on,), Deferred(lambda: _automaton(mark)))


def _automaton(mark: str) -> Node:
    """The same as rules, by Knuth, Morris and Pratt."""
    states = [Rule(f"text-{length}") for length in range(len(mark))]
    letters = sorted(set(mark))
    for length, state in enumerate(states):
        options: list[Node] = [grammars.sequence(other_chars(chars("".join(letters))), states[0])]
        for letter in letters:
            reached = _overlap(mark[:length] + letter, mark)
            behind = grammars.literal("") if reached == len(mark) else states[reached]
            options.append(grammars.sequence(chars(letter), behind))
        state.define(grammars.choice(*options))
    return states[0]


def _overlap(text: str, mark: str) -> int:
    return next(n for n in range(min(len(text), len(mark)), -1, -1) if text.endswith(mark[:n]))

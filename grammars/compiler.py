"""JSON Schema to grammar tree: read into terms, work terms out to shapes, write shapes as nodes.

A schema asserts type by type (a keyword ignores values of other types), so every term becomes the choice among its
types' nodes. A term is written once and shared; one that is met again while it is being written becomes a rule, and
so recursion ends. Specification: JSON Schema 2020-12, https://json-schema.org/draft/2020-12.
"""

from dataclasses import dataclass, replace
from typing import Any

from grammars.arrays import array_node
from grammars.decimals import numbers_node
from grammars.demands import Demands, Way
from grammars.errors import GrammarError, Inexpressible, LimitExceeded, UnsatisfiableSchema
from grammars.json_text import BOOLEAN, NULL, NUMBER, STRING, Punctuation, Spacing, any_json, canonical, word
from grammars.objects import Member, object_node
from grammars.options import Options
from grammars.reader import Reader
from grammars.report import Report, ReportBuilder
from grammars.shapes import Items, Members, Shape
from grammars.strings import string_except
from grammars.terms import Term
from grammars.texts import Text, text_node, words_of, words_text
from grammars.tree import NEVER, Lexeme, Literal, Node, Rule, choice, is_never, pruned

_DEEPEST = 120
"""Schemas nested deeper than this are refused: no person wrote them, and recursion has its limits."""
_MOST_KEYS = 12_000
"""Keys over all objects of a grammar, each object's alternatives counted apart."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A compiled schema, to be put into a larger grammar."""

    node: Node
    report: Report


class Compiler:
    """Compiles one schema document."""

    def __init__(self, document: Any, options: Options) -> None:
        self._document = document
        self._signs = Punctuation.of(options.spacing)
        self._whole_fractions = options.spacing is Spacing.FLEXIBLE
        self._any = any_json(options.spacing)
        self._report = ReportBuilder()
        self._reader = Reader(document, self._report, options)
        self._arena = self._reader.arena
        self._strict = options.strict
        self._nodes: dict[Term, Node] = {
            self._arena.any: self._any.value,
            self._arena.unread: self._any.value,
            self._arena.nothing: NEVER,
        }
        self._open: dict[Term, Rule | None] = {}
        self._never_at: str | None = None
        self._may_be_dead = False
        self._written_keys = 0

    def compile(self) -> Fragment:
        """Raises: UnsupportedSchema, UnsatisfiableSchema, InvalidSchema, LimitExceeded."""
        try:
            node = self._node(self._reader.site(self._document, ""))
        except LimitExceeded as error:
            if self._strict:
                raise
            node = self._widened(error)
        if self._may_be_dead:  # elsewhere NEVER has come up by itself
            node = pruned(node)
        if is_never(node):
            raise UnsatisfiableSchema("no JSON value satisfies this schema", self._never_at or "")
        return Fragment(node, self._report.build())

    def _widened(self, error: LimitExceeded) -> Node:
        """For a schema that is too large: any value, or any object where an object is asked for."""
        self._reader.give_up("schema", error.pointer, str(error))
        return self._any.object if _is_object(self._document) else self._any.value

    def _node(self, term: Term) -> Node:
        """A term's grammar; NEVER where nothing satisfies it."""
        known = self._nodes.get(term)
        if known is not None:
            return known
        if term in self._open:
            rule = self._open[term]
            if rule is None:
                self._may_be_dead = True
                rule = self._open[term] = Rule(_name(term))
            return rule
        if len(self._open) > _DEEPEST:
            raise LimitExceeded(f"the schema is nested more than {_DEEPEST} deep", term.pointer)
        self._open[term] = None
        try:
            node = self._written(term)
        except Inexpressible as error:
            self._reader.give_up(_keyword(term), term.pointer, str(error))
            node = self._any_of_its_types(term)
        except LimitExceeded as error:
            if error.pointer or not term.pointer:
                raise
            raise LimitExceeded(str(error).partition(" (at ")[0], term.pointer) from error
        finally:
            rule = self._open.pop(term)
        if node == NEVER and self._never_at is None:
            self._never_at = term.pointer
        if rule is not None:
            node = rule.define(node)
        elif not isinstance(node, (Lexeme, Rule)) and node != NEVER:
            node = Rule(_name(term), node)
        self._nodes[term] = node
        return node

    def _any_of_its_types(self, term: Term) -> Node:
        """For a term that can't be written: any value of each type that its values have."""
        try:
            shape = self._arena.shape(term)
        except Inexpressible:
            known = [part for part in term.parts if self._is_known(part)] if term.kind == "all" else []
            if known and len(known) < len(term.parts):
                return self._node(self._arena.all_of(*known))
            return self._any.object if _is_object(term.schema) else self._any.value
        return choice(
            self._any.object if shape.objects else NEVER,
            self._any.array if shape.arrays else NEVER,
            STRING if shape.texts else NEVER,
            NUMBER if shape.numbers else NEVER,
            _boolean(shape),
            NULL if shape.null else NEVER,
        )

    def _is_known(self, term: Term) -> bool:
        try:
            self._arena.shape(term)
        except Inexpressible:
            return False
        return True

    def _written(self, term: Term) -> Node:
        shape = self._arena.shape(term)
        return choice(
            *(self._object(members, term) for members in shape.objects),
            *(self._array(items, term.pointer) for items in shape.arrays),
            *map(text_node, shape.texts),
            numbers_node(shape.numbers, whole_fractions=self._whole_fractions),
            _boolean(shape),
            NULL if shape.null else NEVER,
        )

    def _array(self, items: Items, pointer: str) -> Node:
        self._may_be_dead = self._may_be_dead or bool(items.contains) or items.is_unique
        if items.is_unique and not self._strict:
            try:
                return array_node(items, self._node, self._values, self._arena, self._signs)
            except Inexpressible as error:
                self._reader.give_up("uniqueItems", pointer, str(error))
                items = Items(items.prefix, items.rest, items.low, items.high, items.contains)
        try:
            return array_node(items, self._node, self._values, self._arena, self._signs)
        except Inexpressible as error:
            keyword = "uniqueItems" if items.is_unique else "contains"
            self._reader.give_up(keyword, pointer, str(error))
            return array_node(
                Items(items.prefix, items.rest, items.low, items.high),
                self._node,
                self._values,
                self._arena,
                self._signs,
            )

    def _object(self, members: Members, term: Term) -> Node:
        self._written_keys += len(members.named.keys() | members.required)
        if self._written_keys > _MOST_KEYS:
            raise LimitExceeded(f"the grammar would have more than {_MOST_KEYS:,} object keys", term.pointer)
        try:
            return self._object_node(members)
        except Inexpressible as error:
            self._reader.give_up(_keyword(term) if members.some else "minProperties", term.pointer, str(error))
            return self._object_node(replace(members, low=0, high=None, some=()))

    def _object_node(self, members: Members) -> Node:
        """Raises: Inexpressible."""
        names = dict.fromkeys([*members.named, *members.required])
        if not names and _is_free(members, self._arena.any):
            return self._any.object
        reserved = words_text(names) if names else None

        def further(text: Text, term: Term) -> Node:
            return self._further(text, term, reserved, names)

        demands = Demands(members, self._arena, further) if members.some else None
        written: list[Member] = []
        for name in names:
            term = members.term_of(name, self._arena)
            ways = (Way(self._node(term)),) if demands is None else demands.ways(name, term, self._node)
            if ways and ways[-1].value != NEVER:
                written.append(Member(name, ways, name in members.required))
            elif name in members.required:
                return NEVER
        extra = choice(*(further(text, term) for text, term in members.classes))
        self._may_be_dead = self._may_be_dead or members.low > 0 or members.high is not None or demands is not None
        return object_node(written, extra, self._signs, members.low, members.high, demands)

    def _further(self, text: Text, term: Term, reserved: Text | None, names: dict[str, None]) -> Node:
        value = self._node(term)
        if value == NEVER:
            return NEVER
        if text.is_any:
            key = string_except(names)
        elif reserved is None:
            key = text_node(text)
        else:
            key = text_node(Text(text.low, text.high, text.accept, (*text.reject, *reserved.accept)))
        return self._signs.member(key, value)

    def _values(self, term: Term) -> list[Node] | None:
        """The nodes of a term's values, if they are a few strings, booleans or null."""
        shape = self._arena.shape(term)
        if shape.arrays or shape.objects:
            return None
        values: list[Node] = [NULL] if shape.null else []
        values += [word(canonical(value)) for value in sorted(shape.booleans)]
        for text in shape.texts:
            words = words_of(text.accept[0]) if text.accept else None
            if words is None:
                return None
            values += [word(canonical(w)) for w in dict.fromkeys(words) if text.matches(w)]
        for numbers in shape.numbers:
            if numbers.low is None or numbers.low != numbers.high or numbers.low.denominator != 1:
                return None
            values.append(Lexeme(Literal(str(numbers.low))))
        return list(dict.fromkeys(values))


def _is_free(members: Members, any_term: Term) -> bool:
    """Whether it is any object, if no key is named."""
    is_counted = members.low > 0 or members.high is not None or bool(members.some)
    return not is_counted and [(t.is_any, term) for t, term in members.classes] == [(True, any_term)]


def _boolean(shape: Shape) -> Node:
    if len(shape.booleans) == 2:
        return BOOLEAN
    return choice(*(word(canonical(value)) for value in shape.booleans))


def _is_object(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "object"


def _name(term: Term) -> str:
    return term.pointer.rsplit("/", 1)[-1] or "schema"


def _keyword(term: Term) -> str:
    """The keyword to name in an error: of the schema that stands there, one that combines."""
    schema = term.schema if isinstance(term.schema, dict) else {}
    for keyword in ("not", "oneOf", "if", "patternProperties", "contains", "multipleOf", "pattern", "allOf"):
        if keyword in schema:
            return keyword
    return next(iter(schema), "schema")


__all__ = ["Compiler", "Fragment", "GrammarError"]

"""JSON Schema to grammar tree.

A schema is compiled type by type: for each JSON type it allows, the keywords that speak about that type make a node,
and the schema is the choice among those. This is the specification's own reading (a keyword ignores values of other
types), and it makes `{"minLength": 3}` mean what it says. Specification: JSON Schema 2020-12, core and validation,
https://json-schema.org/draft/2020-12.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from grammars.errors import InvalidSchema, LimitExceeded, UnsatisfiableSchema, UnsupportedSchema
from grammars.integers import integer_between, number_between
from grammars.json_text import BOOLEAN, NULL, STRING, AnyJson, Punctuation, Spacing, canonical, constant, separated
from grammars.keywords import ANNOTATIONS, BY_TYPE, COMBINING, REFUSED, TYPES
from grammars.objects import Member, object_of
from grammars.references import child, resolve
from grammars.report import Entry, Report, ReportBuilder
from grammars.strings import sized_string, string_except
from grammars.tree import EMPTY, NEVER, Node, Rule, choice, is_productive, sequence

_DEEPEST = 100
"""Schemas nested deeper than this are refused: no person wrote them, and recursion has its limits."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a schema is read."""

    strict: bool = True
    """Refuse what can't be enforced. Otherwise admit more and say so in the report."""
    spacing: Spacing = Spacing.COMPACT
    closed: bool = False
    """Objects that list `properties` and don't mention additional ones get none. A subset of what the schema allows,
    and what the writer of a tool's parameters means."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A compiled schema, to be put into a larger grammar."""

    node: Node
    report: Report


class Compiler:
    """Compiles one schema document."""

    def __init__(self, document: Any, options: Options) -> None:
        self._document = document
        self._options = options
        self._signs = Punctuation.of(options.spacing)
        self._any = AnyJson(options.spacing)
        self._report = ReportBuilder()
        self._rules: dict[str, Rule] = {}
        self._open_references: list[str] = []
        self._by_type: dict[str, Callable[[Mapping[str, Any], str, int], Node]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._integer,
            "boolean": lambda *_: BOOLEAN,
            "null": lambda *_: NULL,
        }

    def compile(self) -> Fragment:
        """Raises: UnsupportedSchema, UnsatisfiableSchema, InvalidSchema, LimitExceeded."""
        node = self._schema(self._document, "", 0)
        if not is_productive(node):
            raise UnsatisfiableSchema("no JSON value satisfies this schema")
        return Fragment(node, self._report.build())

    def _schema(self, schema: Any, pointer: str, depth: int) -> Node:
        """NEVER where nothing satisfies it."""
        if depth > _DEEPEST:
            raise LimitExceeded(f"the schema is nested more than {_DEEPEST} deep", pointer)
        if isinstance(schema, bool):
            return self._any.value if schema else NEVER
        if not isinstance(schema, Mapping):
            raise InvalidSchema(f"a schema is an object or a boolean, not {type(schema).__name__}", pointer)
        schema = self._checked(schema, pointer)
        for keyword, compile_it in (
            ("$ref", self._reference),
            ("const", self._const),
            ("enum", self._enum),
            ("anyOf", self._any_of),
        ):
            if keyword in schema:
                return compile_it(schema, pointer, depth)
        types = self._types(schema, pointer)
        if types == TYPES and not (set(schema) & set(BY_TYPE)):
            return self._any.value
        return choice(*(self._by_type[name](schema, pointer, depth) for name in types))

    def _checked(self, schema: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        """The schema without what is no assertion; what can't be enforced is refused or widened away."""
        kept: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword in ANNOTATIONS:
                self._report.annotations[Entry(keyword, pointer)] = None
            elif keyword in REFUSED:
                self._give_up(keyword, pointer, REFUSED[keyword])
            elif keyword in BY_TYPE or keyword in COMBINING:
                self._report.enforced[Entry(keyword, pointer)] = None
                kept[keyword] = value
            else:
                self._report.annotations[Entry(keyword, pointer, "unknown keyword")] = None
        return kept

    def _give_up(self, keyword: str, pointer: str, reason: str) -> None:
        """Refuse a keyword, or leave it to validation."""
        if self._options.strict:
            raise UnsupportedSchema(keyword, pointer, reason)
        self._report.enforced.pop(Entry(keyword, pointer), None)
        self._report.widened[Entry(keyword, pointer, reason)] = None

    def _without_siblings(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> None:
        """Assertions beside `keyword` would have to be merged into it."""
        for sibling in set(schema) - {keyword, "$defs", "definitions"}:
            self._give_up(sibling, pointer, f"it stands beside {keyword}, which it would have to be merged with")

    def _reference(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Node:
        self._without_siblings(schema, "$ref", pointer)
        reference = _expect(schema, "$ref", str, pointer)
        target, target_pointer = resolve(self._document, reference, pointer)
        if target_pointer in self._open_references:
            raise UnsatisfiableSchema(f"$ref {reference!r} leads back to itself with nothing in between", pointer)
        if target_pointer not in self._rules:
            rule = self._rules[target_pointer] = Rule(target_pointer.rsplit("/", 1)[-1] or "schema")
            is_alias = isinstance(target, Mapping) and "$ref" in target
            self._open_references = [*self._open_references, target_pointer] if is_alias else []
            rule.define(self._schema(target, target_pointer, depth + 1))
            self._open_references = []
        return self._rules[target_pointer]

    def _const(self, schema: Mapping[str, Any], pointer: str, _: int) -> Node:
        return self._constants(schema, [schema["const"]], "const", pointer)

    def _enum(self, schema: Mapping[str, Any], pointer: str, _: int) -> Node:
        return self._constants(schema, _expect(schema, "enum", list, pointer), "enum", pointer)

    def _constants(self, schema: Mapping[str, Any], values: list[Any], keyword: str, pointer: str) -> Node:
        """Values written out; those that the keywords beside them forbid are left out."""
        siblings = {name: value for name, value in schema.items() if name != keyword}
        validator = Draft202012Validator({**siblings, "$defs": {}})
        if "$ref" in siblings:
            self._without_siblings(schema, keyword, pointer)
        options = [value for value in values if "$ref" in siblings or validator.is_valid(value)]
        if not options:
            return NEVER
        return choice(*(constant(value, self._signs) for value in options))

    def _any_of(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Node:
        self._without_siblings(schema, "anyOf", pointer)
        options = _expect(schema, "anyOf", list, pointer)
        return choice(*(self._schema(s, child(pointer, "anyOf", i), depth + 1) for i, s in enumerate(options)))

    def _types(self, schema: Mapping[str, Any], pointer: str) -> tuple[str, ...]:
        value = schema.get("type", list(TYPES))
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidSchema("type is a name or a list of names", pointer)
        for name in names:
            if name not in self._by_type:
                raise InvalidSchema(f"type {name!r} is none of {', '.join(self._by_type)}", pointer)
        return tuple(name for name in names if not (name == "integer" and "number" in names))

    def _string(self, schema: Mapping[str, Any], pointer: str, _: int) -> Node:
        low, high = _bounds(schema, "minLength", "maxLength", pointer)
        if high is not None and low > high:
            return NEVER
        return STRING if (low, high) == (0, None) else sized_string(low, high)

    def _integer(self, schema: Mapping[str, Any], pointer: str, _: int) -> Node:
        bounds = self._number_bounds(schema, pointer)
        low, high = bounds.low, bounds.high
        return integer_between(
            low + 1 if low is not None and bounds.low_open else low,
            high - 1 if high is not None and bounds.high_open else high,
        )

    def _number(self, schema: Mapping[str, Any], pointer: str, _: int) -> Node:
        bounds = self._number_bounds(schema, pointer)
        return number_between(bounds.low, bounds.high, low_open=bounds.low_open, high_open=bounds.high_open)

    def _number_bounds(self, schema: Mapping[str, Any], pointer: str) -> "_NumberBounds":
        low, low_open = self._bound(schema, "minimum", "exclusiveMinimum", max, pointer)
        high, high_open = self._bound(schema, "maximum", "exclusiveMaximum", min, pointer)
        return _NumberBounds(low, high, low_open, high_open)

    def _bound(
        self, schema: Mapping[str, Any], closed: str, opened: str, tighter: Callable[..., Any], pointer: str
    ) -> tuple[int | None, bool]:
        found: list[tuple[int, bool]] = []
        for keyword, is_open in ((closed, False), (opened, True)):
            if keyword not in schema:
                continue
            value = _expect(schema, keyword, (int, float), pointer)
            if isinstance(value, float) and not value.is_integer():
                self._give_up(keyword, pointer, "the bound is not a whole number")
            else:
                found.append((int(value), is_open))
        if not found:
            return None, False
        bound = tighter(value for value, _ in found)
        return bound, (bound, True) in found

    def _array(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Node:
        low, high = _bounds(schema, "minItems", "maxItems", pointer)
        item = self._any.value if "items" not in schema else self._schema(
            schema["items"], child(pointer, "items"), depth + 1
        )  # fmt: skip
        if item == NEVER:
            high = 0
        if high is not None and low > high:
            return NEVER
        items: Node = EMPTY if high == 0 else separated(item, self._signs.comma, max(low, 1), high)
        if low == 0:
            items = choice(items, EMPTY)
        return sequence(self._signs.open_array, items, self._signs.close_array)

    def _object(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Node:
        properties = _expect(schema, "properties", Mapping, pointer, default={})
        required = _expect(schema, "required", list, pointer, default=[])
        extra_schema = schema.get("additionalProperties", True)
        if "additionalProperties" not in schema and self._options.closed and properties:
            extra_schema = False
            self._report.narrowed[Entry("properties", pointer, "only the listed properties")] = None
        extra_value = self._schema(extra_schema, child(pointer, "additionalProperties"), depth + 1)
        members: list[Member] = []
        names = dict.fromkeys([*properties, *required])
        for name in names:
            if name in properties:
                value = self._schema(properties[name], child(pointer, "properties", name), depth + 1)
            else:
                value = extra_value
            if value == NEVER and name in required:
                return NEVER
            if value != NEVER:
                members.append(Member(name, value, name in required))
        if extra_schema is True and not properties and not required:
            return self._any.object
        extra = NEVER if extra_value == NEVER else sequence(string_except(names), self._signs.colon, extra_value)
        return object_of(members, extra, self._signs)


@dataclass(frozen=True, slots=True)
class _NumberBounds:
    low: int | None
    high: int | None
    low_open: bool
    high_open: bool


def _expect(schema: Mapping[str, Any], keyword: str, kind: Any, pointer: str, default: Any = None) -> Any:
    """The keyword's value, if it is of the kind the specification demands."""
    value = schema.get(keyword, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidSchema(f"{keyword} can't be {canonical(value)[:60]}", pointer)
    return value


def _bounds(schema: Mapping[str, Any], low: str, high: str, pointer: str) -> tuple[int, int | None]:
    least = _expect(schema, low, (int, float), pointer, default=0)
    most = _expect(schema, high, (int, float), pointer) if high in schema else None
    for keyword, value in ((low, least), (high, most)):
        if value is not None and (value < 0 or value != int(value)):
            raise InvalidSchema(f"{keyword} is a whole number of at least 0, not {value}", pointer)
    return int(least), None if most is None else int(most)

"""What a schema says by itself, type by type: a union of conditions on strings, numbers, arrays and objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from grammars.errors import InvalidSchema, UnsupportedSchema
from grammars.formats import format_text
from grammars.keyword_values import bounds, expect, fraction, number, types_of
from grammars.options import Options
from grammars.patterns import PatternError, read_pattern
from grammars.references import child
from grammars.report import Entry, ReportBuilder
from grammars.shapes import Items, Members, Numbers, Shape
from grammars.terms import Arena, Term
from grammars.texts import Text, words_text

_TEXT_KEYWORDS = frozenset(["minLength", "maxLength", "pattern", "format"])
_NUMBER_KEYWORDS = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
_ITEM_KEYWORDS = frozenset(
    [
        "items",
        "prefixItems",
        "additionalItems",
        "minItems",
        "maxItems",
        "contains",
        "minContains",
        "maxContains",
        "uniqueItems",
        "unevaluatedItems",
    ]
)
_MEMBER_KEYWORDS = frozenset(
    [
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
    ]
)
OWN_KEYWORDS = _TEXT_KEYWORDS | _NUMBER_KEYWORDS | _ITEM_KEYWORDS | _MEMBER_KEYWORDS | {"type"}
APPLICATORS = frozenset(
    ["$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "not", "dependentSchemas", "dependencies"]
)
"""Keywords whose subschemas look at the same value."""
ANY_TEXTS = (Text(),)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Reads the keywords that assert something by themselves.

    `give_up`: refuses a keyword, or leaves it out. `site`: the term of a schema of items or members; `plain_site`: of
    one that must not be narrowed.
    """

    arena: Arena
    report: ReportBuilder
    options: Options
    give_up: Callable[[str, str, str], Term]
    site: Callable[[Any, str], Term]
    plain_site: Callable[[Any, str], Term]

    def base(self, schema: Mapping[str, Any], pointer: str, *, is_closed: bool = False) -> Term:
        """`is_closed`: objects that list properties have no others, unless the schema says more of them."""
        left_out: list[Term] = []
        whole = self.arena.whole
        names = types_of(schema, pointer)
        if self.options.openapi and schema.get("nullable") is True and "type" in schema:
            names.add("null")
        shape = Shape(
            "null" in names,
            frozenset([True, False]) if "boolean" in names else frozenset(),
            self._numbers(schema, names, pointer) if "number" in names or "integer" in names else (),
            (self._texts(schema, pointer, left_out) if _TEXT_KEYWORDS & schema.keys() else ANY_TEXTS)
            if "string" in names
            else (),
            (self._items(schema, pointer) if _ITEM_KEYWORDS & schema.keys() else whole.arrays)
            if "array" in names
            else (),
            (self._members(schema, pointer, left_out, is_closed) if _MEMBER_KEYWORDS & schema.keys() else whole.objects)
            if "object" in names
            else (),
            pointer,
        )
        return self.arena.all_of(self.arena.basis(shape, pointer), *left_out)

    def _numbers(self, schema: Mapping[str, Any], names: set[str], pointer: str) -> tuple[Numbers, ...]:
        numbers = Numbers(step=None if "number" in names else Fraction(1))
        if not _NUMBER_KEYWORDS & schema.keys():
            return (numbers,)
        parts = [numbers]
        for keyword, other in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if keyword in schema:
                bound = number(schema, keyword, pointer)
                is_open = schema.get(other) is True
                parts.append(
                    Numbers(low=bound, low_open=is_open)
                    if keyword == "minimum"
                    else Numbers(high=bound, high_open=is_open)
                )
            if other in schema and not isinstance(schema[other], bool):
                bound = number(schema, other, pointer)
                parts.append(
                    Numbers(low=bound, low_open=True) if keyword == "minimum" else Numbers(high=bound, high_open=True)
                )
        if "multipleOf" in schema:
            step = number(schema, "multipleOf", pointer)
            if step <= 0:
                raise InvalidSchema("multipleOf is greater than 0", pointer)
            parts.append(Numbers(step=step))
        met: Numbers | None = parts[0]
        for part in parts[1:]:
            met = None if met is None else met.meet(part)
        return () if met is None else (met,)

    def _texts(self, schema: Mapping[str, Any], pointer: str, left_out: list[Term]) -> tuple[Text, ...]:
        low, high = bounds(schema, "minLength", "maxLength", pointer)
        if high is not None and low > high:
            return ()
        texts: list[Text] = [Text(low, high)]
        if "pattern" in schema:
            pattern = expect(schema, "pattern", str, pointer)
            try:
                texts = _patterned(texts, pattern)
            except PatternError as error:
                left_out.append(self.give_up("pattern", pointer, f"the pattern {pattern!r}: {error}"))
        if "format" in schema:
            form = self._format(schema["format"])
            if form is None:
                self.report.enforced.pop(Entry("format", pointer), None)
                self.report.annotations[Entry("format", pointer, "not an enforced format")] = None
            else:
                texts = [met for met in (text.meet(form) for text in texts) if met is not None]
        return tuple(texts) if len(texts) == 1 and texts[0].is_any else tuple(t for t in texts if not t.is_empty)

    def _format(self, name: Any) -> Text | None:
        if not self.options.formats or not isinstance(name, str):
            return None
        return format_text(name, self.options.openapi)

    def _items(self, schema: Mapping[str, Any], pointer: str) -> tuple[Items, ...]:
        low, high = bounds(schema, "minItems", "maxItems", pointer)
        items = schema.get("items", True)
        prefix_keyword = "prefixItems" if "prefixItems" in schema else "items"
        places = schema.get(prefix_keyword) if isinstance(schema.get(prefix_keyword), list) else []
        assert isinstance(places, list)
        prefix = tuple(self.site(s, child(pointer, prefix_keyword, i)) for i, s in enumerate(places))
        rest_keyword = "items"
        if prefix_keyword == "items" and isinstance(items, list):
            rest_keyword = "additionalItems"
        rest = self.site(schema.get(rest_keyword, True), child(pointer, rest_keyword))
        if "unevaluatedItems" in schema and rest_keyword not in schema and not needs_cases(schema, "unevaluatedItems"):
            rest = self.site(schema["unevaluatedItems"], child(pointer, "unevaluatedItems"))
        contains: tuple[tuple[Term, int, int | None], ...] = ()
        if "contains" in schema:
            least, most = bounds(schema, "minContains", "maxContains", pointer)
            least = least if "minContains" in schema else 1
            if most is not None and most < least:
                return ()
            if least > 0 or most is not None:
                contains = ((self.plain_site(schema["contains"], child(pointer, "contains")), least, most),)
        unique = schema.get("uniqueItems", False)
        if not isinstance(unique, bool):
            raise InvalidSchema("uniqueItems is true or false", pointer)
        if rest is self.arena.nothing:
            high = len(prefix) if high is None else min(high, len(prefix))
        if high is not None and low > high:
            return ()
        return (Items(prefix, rest, low, high, contains, unique),)

    def _members(
        self, schema: Mapping[str, Any], pointer: str, left_out: list[Term], is_closed: bool
    ) -> tuple[Members, ...]:
        arena = self.arena
        properties = expect(schema, "properties", Mapping, pointer, default={})
        required = schema.get("required", [])
        if isinstance(required, bool):  # draft 3 put it into the property
            required = []
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise InvalidSchema("required is a list of names", pointer)
        low, high = bounds(schema, "minProperties", "maxProperties", pointer)
        if high is not None and low > high:
            return ()
        named = {name: self.site(s, child(pointer, "properties", name)) for name, s in properties.items()}
        extra = self._additional(schema, pointer, is_closed)
        classes: tuple[tuple[Text, Term], ...] = () if extra is arena.nothing else ((Text(), extra),)
        patterns = dict(expect(schema, "patternProperties", Mapping, pointer, default={}))
        for pattern in list(patterns):
            try:
                read_pattern(pattern)
            except PatternError as error:
                left_out.append(self.give_up("patternProperties", pointer, f"the pattern {pattern!r}: {error}"))
                del patterns[pattern]
                extra = arena.any  # any key may be one that it matches
                classes = ((Text(), extra),)
        if patterns:
            classes = self._classes(patterns, extra, child(pointer, "patternProperties"))
            for name in named:
                named[name] = self._with_patterns(name, named[name], patterns, child(pointer, "patternProperties"))
        members: Members | None = Members(named, tuple(dict.fromkeys(required)), classes, low, high)
        if "propertyNames" in schema:
            members = self._with_names(
                members, self.plain_site(schema["propertyNames"], child(pointer, "propertyNames"))
            )
        return () if members is None else (members,)

    def _additional(self, schema: Mapping[str, Any], pointer: str, is_closed: bool) -> Term:
        if "additionalProperties" in schema:
            return self.site(schema["additionalProperties"], child(pointer, "additionalProperties"))
        if "unevaluatedProperties" in schema:
            if needs_cases(schema, "unevaluatedProperties"):
                return self.arena.any
            return self.site(schema["unevaluatedProperties"], child(pointer, "unevaluatedProperties"))
        if is_closed and "properties" in schema and "patternProperties" not in schema:
            self.note_closed(pointer)
            return self.arena.nothing
        return self.arena.any

    def note_closed(self, pointer: str) -> None:
        """Say that the objects of a place have the listed properties only."""
        self.report.narrowed[Entry("properties", pointer, "only the listed properties")] = None

    def _classes(self, patterns: Mapping[str, Any], extra: Term, pointer: str) -> tuple[tuple[Text, Term], ...]:
        """Keys cut into those that the same patterns match."""
        found: list[tuple[Text, Term | None]] = [(Text(), None)]
        for pattern, schema in patterns.items():
            term = self.site(schema, child(pointer, pattern))
            inside = key_texts(pattern)
            outside = [Text()]
            for text in inside:
                outside = [m for o in outside for c in text.complement() if (m := o.meet(c)) is not None]
            cut: list[tuple[Text, Term | None]] = []
            for text, known in found:
                joint = term if known is None else self.arena.all_of(known, term)
                cut += [(m, joint) for i in inside if (m := text.meet(i)) is not None and not m.is_empty]
                cut += [(m, known) for o in outside if (m := text.meet(o)) is not None and not m.is_empty]
            found = cut
            if len(found) > 60:
                raise UnsupportedSchema("patternProperties", pointer, "too many patterns overlap")
        return tuple(
            (text, extra if term is None else term)
            for text, term in found
            if (extra if term is None else term) is not self.arena.nothing
        )

    def _with_patterns(self, name: str, term: Term, patterns: Mapping[str, Any], pointer: str) -> Term:
        for pattern, schema in patterns.items():
            if any(text.matches(name) for text in key_texts(pattern)):
                term = self.arena.all_of(term, self.site(schema, child(pointer, pattern)))
        return term

    def _with_names(self, members: Members | None, names: Term) -> Members | None:
        if members is None or names is self.arena.any:
            return members
        texts = self.arena.shape(names).texts
        other = Members({}, (), tuple((text, self.arena.any) for text in texts))
        named = {
            name: term if any(text.matches(name) for text in texts) else self.arena.nothing
            for name, term in members.named.items()
        }
        met = replace(members, named=named).meet(other, self.arena)
        if met is None or any(not any(text.matches(name) for text in texts) for name in members.required):
            return None
        return met

    def objects(self, members: Members, pointer: str) -> Term:
        """These objects, and everything that is no object."""
        return self.arena.basis(replace(self.arena.whole, objects=(members,)), pointer)

    def arrays(self, items: Items, pointer: str) -> Term:
        """These arrays, and everything that is no array."""
        return self.arena.basis(replace(self.arena.whole, arrays=(items,)), pointer)

    def only_objects(self, members: Members, pointer: str) -> Term:
        return self.arena.basis(Shape(objects=(members,)), pointer)

    def constants(self, values: list[Any], pointer: str) -> Term:
        words = [value for value in values if isinstance(value, str)]
        numbers = [fraction(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        shape = Shape(
            any(value is None for value in values),
            frozenset(value for value in values if isinstance(value, bool)),
            tuple(dict.fromkeys(Numbers(low=n, high=n) for n in numbers)),
            (words_text(words),) if words else (),
            tuple(self._array_constant(v, pointer) for v in values if isinstance(v, list)),
            tuple(self._object_constant(v, pointer) for v in values if isinstance(v, dict)),
            pointer,
        )
        return self.arena.basis(shape, pointer)

    def _array_constant(self, value: list[Any], pointer: str) -> Items:
        terms = tuple(self.constants([item], pointer) for item in value)
        return Items(terms, self.arena.nothing, len(value), len(value))

    def _object_constant(self, value: dict[str, Any], pointer: str) -> Members:
        return Members({k: self.constants([v], pointer) for k, v in value.items()}, tuple(value), ())


def needs_cases(schema: Mapping[str, Any], keyword: str) -> bool:
    """What `unevaluatedItems` or `unevaluatedProperties` applies to depends on what holds beside it."""
    if keyword not in schema or schema[keyword] is True:
        return False
    settled_by = ("additionalProperties",) if keyword == "unevaluatedProperties" else ("additionalItems",)
    if any(k in schema for k in settled_by) or (
        keyword == "unevaluatedItems" and not isinstance(schema.get("items", []), list)
    ):
        return False
    return not APPLICATORS.isdisjoint(schema) or (keyword == "unevaluatedItems" and "contains" in schema)


def key_texts(pattern: str) -> list[Text]:
    """The keys that a pattern matches. Raises: PatternError."""
    return [Text(0, None, c.accept, c.reject) for c in read_pattern(pattern)]


def _patterned(texts: list[Text], pattern: str) -> list[Text]:
    met = [text.meet(other) for text in texts for other in key_texts(pattern)]
    return [text for text in met if text is not None]

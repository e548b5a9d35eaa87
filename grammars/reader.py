"""Reads one schema, keyword by keyword, into a term: its own conditions type by type, and those of its subschemas.

Order matters: keys of objects come in the order in which the schema's keywords name them.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from grammars.errors import Inexpressible, InvalidSchema, UnsupportedSchema
from grammars.formats import format_text
from grammars.keywords import ASSERTIONS, KEYWORDS, TYPES
from grammars.options import Options
from grammars.patterns import PatternError, read_pattern
from grammars.references import References, child
from grammars.report import Entry, ReportBuilder
from grammars.shapes import Items, Members, Numbers, Shape, everything
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
_BASE = _TEXT_KEYWORDS | _NUMBER_KEYWORDS | _ITEM_KEYWORDS | _MEMBER_KEYWORDS | {"type"}
_NAMING = frozenset(["$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "enum", "const"])
_KEYED = frozenset(["properties", "additionalProperties", "patternProperties"])
_REFERRING = frozenset(["if", "not", "dependencies", "dependentRequired", "dependentSchemas"])
_MOST_BRANCHES = 200
ANY_TEXTS = (Text(),)


class Reader:
    """Reads the schemas of one document."""

    def __init__(self, document: Any, report: ReportBuilder, options: Options) -> None:
        self.arena = Arena(self.read)
        self._references = References(document)
        self._report = report
        self._options = options
        draft = _draft(document)
        self._ref_stands_alone = draft is not None and draft <= 7  # draft 7, core §8.3
        self._unknown_then = frozenset(["if", "then", "else"]) if draft is not None and draft < 7 else frozenset()
        self._whole = everything(self.arena)
        self._combining: dict[str, Callable[[Mapping[str, Any], str], Term]] = {
            "$ref": self._reference,
            "$dynamicRef": self._dynamic_reference,
            "$recursiveRef": self._dynamic_reference,
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "not": self._not,
            "if": self._if,
            "enum": lambda s, p: self._constants(_expect(s, "enum", list, p), p),
            "const": lambda s, p: self._constants([s["const"]], p),
            "dependencies": self._dependencies,
            "dependentRequired": self._dependencies,
            "dependentSchemas": self._dependencies,
        }

    def site(self, schema: Any, pointer: str) -> Term:
        return self.arena.site(schema, pointer)

    def read(self, site: Term) -> Term:
        """What stands at a site, as a combination of shapes and further sites. Raises: GrammarError."""
        schema, pointer = site.schema, site.pointer
        if isinstance(schema, bool):
            return self.arena.any if schema else self.arena.nothing
        if not isinstance(schema, Mapping):
            raise InvalidSchema(f"a schema is an object or a boolean, not {type(schema).__name__}", pointer)
        terms: list[Term] = []
        has_base = False
        if self._ref_stands_alone and "$ref" in schema:
            schema = {"$ref": schema["$ref"]}
        for keyword in _in_order(schema):
            if keyword in self._unknown_then:
                continue
            self._note(keyword, pointer)
            if keyword in _BASE:
                if not has_base:
                    has_base = True
                    terms.append(self._base(schema, pointer))
            elif keyword in self._combining:
                try:
                    terms.append(self._combining[keyword](schema, pointer))
                except Inexpressible as error:
                    terms.append(self.give_up(keyword, pointer, str(error)))
        return self.arena.all_of(*terms)

    def give_up(self, keyword: str, pointer: str, reason: str) -> Term:
        """Refuse a keyword, or leave it to validation."""
        if self._options.strict:
            raise UnsupportedSchema(keyword, pointer, reason)
        self._report.enforced.pop(Entry(keyword, pointer), None)
        self._report.widened[Entry(keyword, pointer, reason)] = None
        return self.arena.any

    def _note(self, keyword: str, pointer: str) -> None:
        known = KEYWORDS.get(keyword)
        if keyword in ASSERTIONS and (keyword != "nullable" or self._options.openapi):
            if Entry(keyword, pointer) not in self._report.enforced:
                self._report.enforced[Entry(keyword, pointer)] = None
        else:
            note = "unknown keyword" if known is None else known.note
            self._report.annotations[Entry(keyword, pointer, note)] = None

    # the schema's own conditions, type by type

    def _base(self, schema: Mapping[str, Any], pointer: str) -> Term:
        whole = self._whole
        names = _types(schema, pointer)
        if self._options.openapi and schema.get("nullable") is True and "type" in schema:
            names.add("null")
        shape = Shape(
            "null" in names,
            frozenset([True, False]) if "boolean" in names else frozenset(),
            self._numbers(schema, names, pointer) if "number" in names or "integer" in names else (),
            (self._texts(schema, pointer) if _TEXT_KEYWORDS & schema.keys() else ANY_TEXTS)
            if "string" in names
            else (),
            (self._items(schema, pointer) if _ITEM_KEYWORDS & schema.keys() else whole.arrays)
            if "array" in names
            else (),
            (self._members(schema, pointer) if _MEMBER_KEYWORDS & schema.keys() else whole.objects)
            if "object" in names
            else (),
            pointer,
        )
        return self.arena.basis(shape, pointer)

    def _numbers(self, schema: Mapping[str, Any], names: set[str], pointer: str) -> tuple[Numbers, ...]:
        numbers = Numbers(step=None if "number" in names else Fraction(1))
        if not _NUMBER_KEYWORDS & schema.keys():
            return (numbers,)
        parts = [numbers]
        for keyword, other in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if keyword in schema:
                bound = _number(schema, keyword, pointer)
                is_open = schema.get(other) is True
                parts.append(
                    Numbers(low=bound, low_open=is_open)
                    if keyword == "minimum"
                    else Numbers(high=bound, high_open=is_open)
                )
            if other in schema and not isinstance(schema[other], bool):
                bound = _number(schema, other, pointer)
                parts.append(
                    Numbers(low=bound, low_open=True) if keyword == "minimum" else Numbers(high=bound, high_open=True)
                )
        if "multipleOf" in schema:
            step = _number(schema, "multipleOf", pointer)
            if step <= 0:
                raise InvalidSchema("multipleOf is greater than 0", pointer)
            parts.append(Numbers(step=step))
        met: Numbers | None = parts[0]
        for part in parts[1:]:
            met = None if met is None else met.meet(part)
        return () if met is None else (met,)

    def _texts(self, schema: Mapping[str, Any], pointer: str) -> tuple[Text, ...]:
        low, high = _bounds(schema, "minLength", "maxLength", pointer)
        if high is not None and low > high:
            return ()
        texts: list[Text] = [Text(low, high)]
        if "pattern" in schema:
            texts = self._patterned(texts, _expect(schema, "pattern", str, pointer), "pattern", pointer)
        if "format" in schema:
            form = format_text(schema["format"], self._options.openapi) if isinstance(schema["format"], str) else None
            if form is None:
                self._report.enforced.pop(Entry("format", pointer), None)
                self._report.annotations[Entry("format", pointer, "not an enforced format")] = None
            else:
                texts = [met for met in (text.meet(form) for text in texts) if met is not None]
        return tuple(texts) if len(texts) == 1 and texts[0].is_any else tuple(t for t in texts if not t.is_empty)

    def _patterned(self, texts: list[Text], pattern: str, keyword: str, pointer: str) -> list[Text]:
        try:
            conditions = read_pattern(pattern)
        except PatternError as error:
            self.give_up(keyword, pointer, f"the pattern {pattern!r}: {error}")
            return texts
        met = [text.meet(Text(0, None, c.accept, c.reject)) for text in texts for c in conditions]
        return [text for text in met if text is not None]

    def _items(self, schema: Mapping[str, Any], pointer: str) -> tuple[Items, ...]:
        low, high = _bounds(schema, "minItems", "maxItems", pointer)
        items = schema.get("items", True)
        prefix_keyword = "prefixItems" if "prefixItems" in schema else "items"
        places = schema.get(prefix_keyword) if isinstance(schema.get(prefix_keyword), list) else []
        assert isinstance(places, list)
        prefix = tuple(self.site(s, child(pointer, prefix_keyword, i)) for i, s in enumerate(places))
        rest_keyword = "items"
        if prefix_keyword == "items" and isinstance(items, list):
            rest_keyword = "additionalItems"
        rest = self.site(schema.get(rest_keyword, True), child(pointer, rest_keyword))
        if "unevaluatedItems" in schema and rest_keyword not in schema:
            if self._has_other_applicators(schema) or "contains" in schema:
                self.give_up("unevaluatedItems", pointer, "other keywords beside it may evaluate items")
            else:
                rest = self.site(schema["unevaluatedItems"], child(pointer, "unevaluatedItems"))
        contains: tuple[tuple[Term, int, int | None], ...] = ()
        if "contains" in schema:
            least, most = _bounds(schema, "minContains", "maxContains", pointer)
            least = least if "minContains" in schema else 1
            if most is not None and most < least:
                return ()
            if least > 0 or most is not None:
                contains = ((self.site(schema["contains"], child(pointer, "contains")), least, most),)
        unique = schema.get("uniqueItems", False)
        if not isinstance(unique, bool):
            raise InvalidSchema("uniqueItems is true or false", pointer)
        if rest is self.arena.nothing:
            high = len(prefix) if high is None else min(high, len(prefix))
        if high is not None and low > high:
            return ()
        return (Items(prefix, rest, low, high, contains, unique),)

    def _members(self, schema: Mapping[str, Any], pointer: str) -> tuple[Members, ...]:
        arena = self.arena
        properties = _expect(schema, "properties", Mapping, pointer, default={})
        required = schema.get("required", [])
        if isinstance(required, bool):  # draft 3 put it into the property
            required = []
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise InvalidSchema("required is a list of names", pointer)
        low, high = _bounds(schema, "minProperties", "maxProperties", pointer)
        if high is not None and low > high:
            return ()
        named = {name: self.site(s, child(pointer, "properties", name)) for name, s in properties.items()}
        extra = self._additional(schema, pointer)
        classes: tuple[tuple[Text, Term], ...] = () if extra is arena.nothing else ((Text(), extra),)
        patterns = _expect(schema, "patternProperties", Mapping, pointer, default={})
        if patterns:
            classes = self._classes(patterns, extra, child(pointer, "patternProperties"))
            for name in named:
                named[name] = self._with_patterns(name, named[name], patterns, child(pointer, "patternProperties"))
        members: Members | None = Members(named, tuple(dict.fromkeys(required)), classes, low, high)
        if "propertyNames" in schema:
            members = self._with_names(members, self.site(schema["propertyNames"], child(pointer, "propertyNames")))
        return () if members is None else (members,)

    def _additional(self, schema: Mapping[str, Any], pointer: str) -> Term:
        if "additionalProperties" in schema:
            return self.site(schema["additionalProperties"], child(pointer, "additionalProperties"))
        if "unevaluatedProperties" in schema:
            if schema["unevaluatedProperties"] is True:
                return self.arena.any
            if not self._has_other_applicators(schema):
                return self.site(schema["unevaluatedProperties"], child(pointer, "unevaluatedProperties"))
            return self.give_up("unevaluatedProperties", pointer, "other keywords beside it may evaluate properties")
        if self._options.closed and "properties" in schema and "patternProperties" not in schema:
            self._report.narrowed[Entry("properties", pointer, "only the listed properties")] = None
            return self.arena.nothing
        return self.arena.any

    def _has_other_applicators(self, schema: Mapping[str, Any]) -> bool:
        return any(
            k in schema
            for k in (
                "$ref",
                "$dynamicRef",
                "allOf",
                "anyOf",
                "oneOf",
                "if",
                "dependentSchemas",
                "not",
                "$recursiveRef",
            )
        )

    def _classes(self, patterns: Mapping[str, Any], extra: Term, pointer: str) -> tuple[tuple[Text, Term], ...]:
        """Keys cut into those that the same patterns match."""
        found: list[tuple[Text, Term | None]] = [(Text(), None)]
        for pattern, schema in patterns.items():
            term = self.site(schema, child(pointer, pattern))
            inside = self._key_texts(pattern, pointer)
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

    def _key_texts(self, pattern: str, pointer: str) -> list[Text]:
        try:
            return [Text(0, None, c.accept, c.reject) for c in read_pattern(pattern)]
        except PatternError as error:
            raise UnsupportedSchema(
                "patternProperties", pointer.removesuffix("/patternProperties"), f"the pattern {pattern!r}: {error}"
            ) from error

    def _with_patterns(self, name: str, term: Term, patterns: Mapping[str, Any], pointer: str) -> Term:
        for pattern, schema in patterns.items():
            if any(text.matches(name) for text in self._key_texts(pattern, pointer)):
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

    # conditions of subschemas

    def _reference(self, schema: Mapping[str, Any], pointer: str) -> Term:
        target, where = self._references.resolve(_expect(schema, "$ref", str, pointer), pointer)
        return self.site(target, where)

    def _dynamic_reference(self, schema: Mapping[str, Any], pointer: str) -> Term:
        keyword = "$dynamicRef" if "$dynamicRef" in schema else "$recursiveRef"
        reference = _expect(schema, keyword, str, pointer)
        name = reference.rpartition("#")[2]
        if (keyword == "$dynamicRef" and self._references.dynamic_anchors(name) > 1) or (
            keyword == "$recursiveRef" and self._references.has_ids
        ):
            raise Inexpressible("what it points to depends on the path that led here")
        target, where = self._references.resolve(reference, pointer)
        return self.site(target, where)

    def _sites(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[Term]:
        schemas = _expect(schema, keyword, list, pointer)
        if not schemas:
            raise InvalidSchema(f"{keyword} lists at least one schema", pointer)
        return [self.site(s, child(pointer, keyword, i)) for i, s in enumerate(schemas)]

    def _all_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.all_of(*self._sites(schema, "allOf", pointer))

    def _any_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.one_of(*self._sites(schema, "anyOf", pointer))

    def _one_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        """Each branch without those that it overlaps with, for which their complement must be writable."""
        arena = self.arena
        branches = self._sites(schema, "oneOf", pointer)
        if len(branches) > _MOST_BRANCHES:
            raise Inexpressible(f"it has more than {_MOST_BRANCHES} branches")
        beside = {k: v for k, v in schema.items() if k in _BASE}
        around = self._base(beside, pointer) if beside else arena.any
        exact: list[Term] = []
        for i, branch in enumerate(branches):
            others = [
                other
                for j, other in enumerate(branches)
                if j != i and not arena.is_empty(arena.all_of(around, branch, other))
            ]
            if others:
                for other in others:
                    arena.shape(arena.not_(other))
                branch = arena.all_of(branch, *(arena.not_(other) for other in others))
                arena.shape(branch)
            exact.append(branch)
        return arena.one_of(*exact)

    def _not(self, schema: Mapping[str, Any], pointer: str) -> Term:
        term = self.arena.not_(self.site(schema["not"], child(pointer, "not")))
        self.arena.shape(term)
        return term

    def _if(self, schema: Mapping[str, Any], pointer: str) -> Term:
        if "then" not in schema and "else" not in schema:
            return self.arena.any
        condition = self.site(schema["if"], child(pointer, "if"))
        then = self.site(schema.get("then", True), child(pointer, "then"))
        other = self.site(schema.get("else", True), child(pointer, "else"))
        contrary = self.arena.not_(condition)
        self.arena.shape(contrary)
        return self.arena.one_of(self.arena.all_of(condition, then), self.arena.all_of(contrary, other))

    def _dependencies(self, schema: Mapping[str, Any], pointer: str) -> Term:
        terms: list[Term] = []
        for keyword in ("dependencies", "dependentRequired", "dependentSchemas"):
            for name, needed in _expect(schema, keyword, Mapping, pointer, default={}).items():
                if isinstance(needed, (list, str)):
                    names = [needed] if isinstance(needed, str) else needed
                    consequence = self._objects(Members({}, tuple(names), ((Text(), self.arena.any),)), pointer)
                else:
                    consequence = self.site(needed, child(pointer, keyword, name))
                absent = self._objects(Members({name: self.arena.nothing}, (), ((Text(), self.arena.any),)), pointer)
                present = self._only_objects(Members({}, (name,), ((Text(), self.arena.any),)), pointer)
                terms.append(self.arena.one_of(self.arena.all_of(present, consequence), absent))
        return self.arena.all_of(*terms)

    def _objects(self, members: Members, pointer: str) -> Term:
        """These objects, and everything that is no object."""
        return self.arena.basis(replace(self._whole, objects=(members,)), pointer)

    def _only_objects(self, members: Members, pointer: str) -> Term:
        return self.arena.basis(Shape(objects=(members,)), pointer)

    def _constants(self, values: list[Any], pointer: str) -> Term:
        words = [value for value in values if isinstance(value, str)]
        numbers = [_fraction(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
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
        terms = tuple(self._constants([item], pointer) for item in value)
        return Items(terms, self.arena.nothing, len(value), len(value))

    def _object_constant(self, value: dict[str, Any], pointer: str) -> Members:
        return Members({k: self._constants([v], pointer) for k, v in value.items()}, tuple(value), ())


def _in_order(schema: Mapping[str, Any]) -> Iterable[str]:
    """Keys come as the keywords name them; keywords that only speak of keys that are named elsewhere go last."""
    if "properties" not in schema or (_NAMING.isdisjoint(schema) and _REFERRING.isdisjoint(schema)):
        return schema
    found = list(schema)
    place = next(i for i, keyword in enumerate(found) if keyword in _KEYED)
    before = [k for k in found[:place] if k in _NAMING]
    last = [k for k in found if k in _REFERRING]
    return [*before, "properties", *(k for k in found if k not in {*before, "properties", *last}), *last]


def _draft(document: Any) -> int | None:
    """The number of the draft that a document declares, if it is one of draft 3 to 7."""
    declared = document.get("$schema") if isinstance(document, Mapping) else None
    found = re.search(r"json-schema\.org/draft-0(\d)/", declared) if isinstance(declared, str) else None
    return int(found[1]) if found else None


def _types(schema: Mapping[str, Any], pointer: str) -> set[str]:
    value = schema.get("type")
    if value is None:
        return set(TYPES)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidSchema("type is a name or a list of names", pointer)
    for name in names:
        if name not in TYPES and name != "integer":
            raise InvalidSchema(f"type {name!r} is none of {', '.join(TYPES)}, integer", pointer)
    return set(names)


def _expect(schema: Mapping[str, Any], keyword: str, kind: Any, pointer: str, default: Any = None) -> Any:
    """The keyword's value, if it is of the kind the specification demands."""
    value = schema.get(keyword, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidSchema(f"{keyword} can't be {str(value)[:60]}", pointer)
    return value


def _fraction(value: int | float) -> Fraction:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidSchema(f"{value} is no JSON number")
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


def _number(schema: Mapping[str, Any], keyword: str, pointer: str) -> Fraction:
    return _fraction(_expect(schema, keyword, (int, float), pointer))


def _bounds(schema: Mapping[str, Any], low: str, high: str, pointer: str) -> tuple[int, int | None]:
    least = _expect(schema, low, (int, float), pointer, default=0)
    most = _expect(schema, high, (int, float), pointer) if high in schema else None
    for keyword, value in ((low, least), (high, most)):
        if value is not None and (value < 0 or value != int(value)):
            raise InvalidSchema(f"{keyword} is a whole number of at least 0, not {value}", pointer)
    return int(least), None if most is None else int(most)

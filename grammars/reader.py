"""Reads one schema, keyword by keyword, into a term: its own conditions, and those of its subschemas.

Order matters: keys of objects come in the order in which the schema's keywords name them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from grammars.conditions import APPLICATORS, OWN_KEYWORDS, Conditions, needs_cases
from grammars.errors import Inexpressible, InvalidSchema, UnsupportedSchema
from grammars.keyword_values import draft_of, expect, is_known_dialect
from grammars.keywords import ASSERTIONS, KEYWORDS
from grammars.options import Options
from grammars.references import References, child
from grammars.report import Entry, ReportBuilder
from grammars.shapes import Members
from grammars.terms import Arena, Reading, Term
from grammars.texts import Text
from grammars.unevaluated import Unevaluated

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMING = frozenset(["$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "enum", "const"])
_KEYED = frozenset(["properties", "additionalProperties", "patternProperties"])
_REFERRING = frozenset(["if", "not", "dependencies", "dependentRequired", "dependentSchemas"])
_SETTLING = frozenset(["additionalProperties", "patternProperties", "unevaluatedProperties"])
_PASSING_ON = frozenset(["$ref", "$dynamicRef", "$recursiveRef", "anyOf", "oneOf"])
_MOST_BRANCHES = 200


class Reader:
    """Reads the schemas of one document, in one of the ways to read them; `first` has what all ways share."""

    def __init__(
        self,
        document: Any,
        report: ReportBuilder,
        options: Options,
        reading: Reading | None = None,
        first: "Reader | None" = None,
    ) -> None:
        self._reading = reading or (Reading.CLOSED if options.closed else Reading.OPEN)
        self.readers: dict[Reading, Reader] = first.readers if first is not None else {}
        self.readers[self._reading] = self
        self.arena: Arena = (
            first.arena if first is not None else Arena(lambda site: self.readers[site.reading].read(site))
        )
        self.references: References = first.references if first is not None else References(document)
        self._report = report
        self._options = options
        draft = draft_of(document)
        self._ref_stands_alone = draft <= 7  # draft 7, core §8.3
        self._unknown_then = frozenset(["if", "then", "else"]) if draft < 7 else frozenset()
        self._conditions = Conditions(self.arena, report, options, self.give_up, self.value_site, self.plain_site)
        self.unevaluated = Unevaluated(self, self._conditions, counts_contained=draft >= 2020)
        self.listing = Unevaluated(self, self._conditions, counts_contained=draft >= 2020, one_branch=True)
        self._combining: dict[str, Callable[[Mapping[str, Any], str], Term]] = {
            "$ref": lambda s, p: self.site(*self.target("$ref", s, p)),
            "$dynamicRef": lambda s, p: self.site(*self.target("$dynamicRef", s, p)),
            "$recursiveRef": lambda s, p: self.site(*self.target("$recursiveRef", s, p)),
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "not": self._not,
            "if": self._if,
            "enum": lambda s, p: self._conditions.constants(expect(s, "enum", list, p), p),
            "const": lambda s, p: self._conditions.constants([s["const"]], p),
            "dependencies": self._dependencies,
            "dependentRequired": self._dependencies,
            "dependentSchemas": self._dependencies,
        }
        if self._reading is Reading.CLOSED:
            for other in (Reading.WITHIN, Reading.OPEN):
                Reader(document, report, options, other, self)

    @property
    def opened(self) -> "Reader":
        """The one that reads schemas as the specification has it."""
        return self.readers[Reading.OPEN]

    def site(self, schema: Any, pointer: str) -> Term:
        """A schema that looks at the same value as the one that is read."""
        return self.arena.site(schema, pointer, self._reading)

    def value_site(self, schema: Any, pointer: str) -> Term:
        """A schema of items or members."""
        is_open = self._reading is Reading.OPEN
        return self.arena.site(schema, pointer, Reading.OPEN if is_open else Reading.CLOSED)

    def plain_site(self, schema: Any, pointer: str) -> Term:
        """A schema that must not be narrowed, for its complement is needed or it only tells which others hold."""
        return self.arena.site(schema, pointer, Reading.OPEN)

    def read(self, site: Term) -> Term:
        """What stands at a site, as a combination of shapes and further sites. Raises: GrammarError."""
        schema, pointer = site.schema, site.pointer
        if isinstance(schema, bool):
            return self.arena.any if schema else self.arena.nothing
        if not isinstance(schema, Mapping):
            raise InvalidSchema(f"a schema is an object or a boolean, not {type(schema).__name__}", pointer)
        schema = self.in_force(schema)
        self.note(schema, pointer)
        if self._reading is Reading.CLOSED and not _closes_by_itself(schema):
            return self._closed_as_a_whole(schema, pointer)
        terms = []
        if not is_known_dialect(schema.get("$schema", _DIALECT)):
            terms.append(self.give_up("$schema", pointer, "what keywords mean in this meta-schema isn't known"))
        for keyword in ("unevaluatedProperties", "unevaluatedItems"):
            if needs_cases(schema, keyword):
                try:
                    return self.arena.all_of(*terms, self.unevaluated.term(schema, pointer))
                except Inexpressible as error:
                    terms.append(self.give_up(keyword, pointer, str(error)))
        return self.arena.all_of(*terms, *self._terms(schema, pointer))

    def in_force(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The keywords that count in the schema's draft, in the order in which they are read."""
        if self._ref_stands_alone and "$ref" in schema:
            schema = {"$ref": schema["$ref"]}
        return {keyword: schema[keyword] for keyword in _in_order(schema) if keyword not in self._unknown_then}

    def _closed_as_a_whole(self, schema: Mapping[str, Any], pointer: str) -> Term:
        """Closed once over all that the schema is put together from, as `unevaluatedProperties: false` would."""
        reader = self.readers[Reading.WITHIN]
        within = reader.site(schema, pointer)
        listing = reader.listing
        try:
            listed = listing.listed(schema, pointer)
            if not _SETTLING.isdisjoint(schema) or not listed.lists_keys:
                return within
        except Inexpressible:
            return within
        try:
            return listing.closed(schema, pointer)
        except Inexpressible:
            return self.arena.all_of(within, listing.closing(listed, pointer))

    def _terms(self, schema: Mapping[str, Any], pointer: str) -> Iterator[Term]:
        has_own = False
        for keyword in schema:
            if keyword in OWN_KEYWORDS:
                if not has_own:
                    has_own = True
                    yield self._conditions.base(schema, pointer, is_closed=self._reading is Reading.CLOSED)
            elif keyword in self._combining:
                try:
                    yield self.combination(keyword, schema, pointer)
                except Inexpressible as error:
                    yield self.give_up(keyword, pointer, str(error))
                    yield self._without_complement(keyword, schema, pointer)

    def give_up(self, keyword: str, pointer: str, reason: str) -> Term:
        """Refuse a keyword, or leave it to validation. The term stands for it: any value, without a complement."""
        if self._options.strict:
            raise UnsupportedSchema(keyword, pointer, reason)
        self._report.enforced.pop(Entry(keyword, pointer), None)
        self._report.widened[Entry(keyword, pointer, reason)] = None
        return self.arena.unread

    def note(self, schema: Mapping[str, Any], pointer: str) -> None:
        """Put the keywords of a schema into the report."""
        for keyword in schema:
            self._note(keyword, pointer)

    def _note(self, keyword: str, pointer: str) -> None:
        known = KEYWORDS.get(keyword)
        if keyword in ASSERTIONS and (keyword != "nullable" or self._options.openapi):
            if Entry(keyword, pointer) not in self._report.enforced:
                self._report.enforced[Entry(keyword, pointer)] = None
        else:
            note = "unknown keyword" if known is None else known.note
            self._report.annotations[Entry(keyword, pointer, note)] = None

    # conditions of subschemas

    def target(self, keyword: str, schema: Mapping[str, Any], pointer: str) -> tuple[Any, str]:
        """The schema that a reference means, and where it stands. Raises: Inexpressible, InvalidSchema."""
        reference = expect(schema, keyword, str, pointer)
        name = reference.rpartition("#")[2]
        if (keyword == "$dynamicRef" and self.references.dynamic_anchors(name) > 1) or (
            keyword == "$recursiveRef" and self.references.has_ids
        ):
            raise Inexpressible("what it points to depends on the path that led here")
        return self.references.resolve(reference, pointer)

    def combination(self, keyword: str, schema: Mapping[str, Any], pointer: str) -> Term:
        """What one combining keyword says. Raises: Inexpressible."""
        return self._combining[keyword](schema, pointer)

    def sites(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[Term]:
        """The schemas that a keyword lists. Raises: InvalidSchema."""
        schemas = expect(schema, keyword, list, pointer)
        if not schemas:
            raise InvalidSchema(f"{keyword} lists at least one schema", pointer)
        return [self.site(s, child(pointer, keyword, i)) for i, s in enumerate(schemas)]

    def _all_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.all_of(*self.sites(schema, "allOf", pointer))

    def _any_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.one_of(*self.sites(schema, "anyOf", pointer))

    def _one_of(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.one_of(*self.exact_branches(schema, pointer))

    def exact_branches(self, schema: Mapping[str, Any], pointer: str) -> list[Term]:
        """Each branch of `oneOf` without those that it overlaps with, for which their complement must be writable."""
        arena = self.arena
        branches = self.sites(schema, "oneOf", pointer)
        plain = self.opened.sites(schema, "oneOf", pointer)
        if len(branches) > _MOST_BRANCHES:
            raise Inexpressible(f"it has more than {_MOST_BRANCHES} branches")
        beside = {k: v for k, v in schema.items() if k in OWN_KEYWORDS}
        around = self._conditions.base(beside, pointer) if beside else arena.any
        exact: list[Term] = []
        for i, branch in enumerate(branches):
            others = [
                other
                for j, other in enumerate(plain)
                if j != i and not arena.is_empty(arena.all_of(around, branch, other))
            ]
            if others:
                for other in others:
                    arena.shape(arena.not_(other))
                branch = arena.all_of(branch, *(arena.not_(other) for other in others))
                arena.shape(branch)
            exact.append(branch)
        return exact

    def _not(self, schema: Mapping[str, Any], pointer: str) -> Term:
        term = self.arena.not_(self.plain_site(schema["not"], child(pointer, "not")))
        self.arena.shape(term)
        return term

    def _if(self, schema: Mapping[str, Any], pointer: str) -> Term:
        if "then" not in schema and "else" not in schema:
            return self.arena.any
        condition, then, other = self._three(schema, pointer)
        contrary = self.arena.not_(condition)
        self.arena.shape(contrary)
        return self.arena.one_of(self.arena.all_of(condition, then), self.arena.all_of(contrary, other))

    def _three(self, schema: Mapping[str, Any], pointer: str) -> tuple[Term, Term, Term]:
        return (
            self.plain_site(schema["if"], child(pointer, "if")),
            self.site(schema.get("then", True), child(pointer, "then")),
            self.site(schema.get("else", True), child(pointer, "else")),
        )

    def _without_complement(self, keyword: str, schema: Mapping[str, Any], pointer: str) -> Term:
        """What a keyword says at least, where the complement that it needs can't be written."""
        if keyword == "oneOf":
            found = self.arena.one_of(*self.sites(schema, keyword, pointer))
        elif keyword == "if":
            condition, then, other = self._three(schema, pointer)
            found = self.arena.one_of(self.arena.all_of(condition, then), other)
        else:
            return self.arena.any
        try:
            self.arena.shape(found)
        except Inexpressible:
            return self.arena.any
        return found

    def _dependencies(self, schema: Mapping[str, Any], pointer: str) -> Term:
        return self.arena.all_of(
            *(
                self.arena.one_of(self.arena.all_of(present, self.site(*needed)), absent)
                for present, absent, needed in self.dependencies(schema, pointer)
            )
        )

    def dependencies(self, schema: Mapping[str, Any], pointer: str) -> Iterator[tuple[Term, Term, tuple[Any, str]]]:
        """For each key of a dependency: that it is there, that it isn't, and the schema that must hold if it is."""
        free = ((Text(), self.arena.any),)
        for keyword in ("dependencies", "dependentRequired", "dependentSchemas"):
            for name, needed in expect(schema, keyword, Mapping, pointer, default={}).items():
                where = child(pointer, keyword, name)
                if isinstance(needed, (list, str)):
                    needed = {"required": [needed] if isinstance(needed, str) else needed}
                present = self._conditions.only_objects(Members({}, (name,), free), pointer)
                absent = self._conditions.objects(Members({name: self.arena.nothing}, (), free), pointer)
                yield present, absent, (needed, where)


def _in_order(schema: Mapping[str, Any]) -> Iterable[str]:
    """Keys come as the keywords name them; keywords that only speak of keys that are named elsewhere go last."""
    if "properties" not in schema or (_NAMING.isdisjoint(schema) and _REFERRING.isdisjoint(schema)):
        return schema
    found = list(schema)
    place = next(i for i, keyword in enumerate(found) if keyword in _KEYED)
    before = [k for k in found[:place] if k in _NAMING]
    last = [k for k in found if k in _REFERRING]
    return [*before, "properties", *(k for k in found if k not in {*before, "properties", *last}), *last]


def _closes_by_itself(schema: Mapping[str, Any]) -> bool:
    """What lists its properties is all in one place: here, or in each of the schemas that this one passes on to."""
    beside = [keyword for keyword in schema if keyword in APPLICATORS]
    if not beside:
        return not needs_cases(schema, "unevaluatedItems")
    is_one = len(beside) == 1 and beside[0] in _PASSING_ON
    return is_one and _SETTLING.isdisjoint(schema) and not schema.keys() & {"properties", "unevaluatedItems"}

"""`unevaluatedProperties` and `unevaluatedItems` beside other applicators, case by case.

Which keys and items count as evaluated depends on which subschemas hold (core §11). A schema is cut into cases, each a
conjunction of subschemas and what they evaluate together; within a case the rest is known. Cases may overlap: what
holds in two of them is admitted by the one that evaluates more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from grammars.conditions import OWN_KEYWORDS, Conditions, key_texts
from grammars.effort import spend
from grammars.errors import Inexpressible
from grammars.keyword_values import expect
from grammars.patterns import PatternError
from grammars.references import child
from grammars.shapes import Items, Members
from grammars.terms import Term
from grammars.texts import Text

if TYPE_CHECKING:
    from grammars.reader import Reader

_MOST_CASES = 64
_DEEPEST = 20
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DEPENDENCIES = ("dependentSchemas", "dependencies", "dependentRequired")
_WITHOUT_ANNOTATIONS = ("not", "enum", "const")
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been evaluated: of objects these keys, or all; of arrays so many places and the items like these."""

    names: tuple[str, ...] = ()
    keys: tuple[Text, ...] = ()
    all_keys: bool = False
    places: int = 0
    items: tuple[Term, ...] = ()
    all_items: bool = False
    lists_keys: bool = False
    """`properties` is among it, perhaps without any."""

    def with_(self, other: "Seen") -> "Seen":
        return Seen(
            tuple(dict.fromkeys(self.names + other.names)),
            tuple(dict.fromkeys(self.keys + other.keys)),
            self.all_keys or other.all_keys,
            max(self.places, other.places),
            tuple(dict.fromkeys(self.items + other.items)),
            self.all_items or other.all_items,
            self.lists_keys or other.lists_keys,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """Where this term holds, at least this much is evaluated."""

    term: Term
    seen: Seen


class Unevaluated:
    """Reads schemas in which these keywords stand. `counts_contained`: `contains` evaluates items, as from 2020-12.

    `one_branch`: of `anyOf`, the keys of one branch at a time are evaluated, not those of several that hold together.
    """

    def __init__(
        self, reader: "Reader", conditions: Conditions, counts_contained: bool, *, one_branch: bool = False
    ) -> None:
        self._reader = reader
        self._arena = conditions.arena
        self._conditions = conditions
        self._counts_contained = counts_contained
        self._one_branch = one_branch

    def term(self, schema: Mapping[str, Any], pointer: str) -> Term:
        """The whole schema. Raises: Inexpressible."""
        plain = {keyword: value for keyword, value in schema.items() if keyword not in _UNEVALUATED}
        return self._arena.one_of(
            *(
                self._arena.all_of(case.term, self._rest(case.seen, schema, pointer))
                for case in self.cases(plain, pointer, 0)
            )
        )

    def closed(self, schema: Mapping[str, Any], pointer: str) -> Term:
        """The whole schema, where its objects have no keys but those that it lists. Raises: Inexpressible."""
        return self._arena.one_of(
            *(
                self._arena.all_of(case.term, self.closing(case.seen, pointer))
                for case in self.cases(schema, pointer, 0)
            )
        )

    def closing(self, seen: Seen, pointer: str) -> Term:
        """Objects with the keys that are listed, unless something speaks of others; and everything else."""
        if not seen.lists_keys or seen.all_keys or seen.keys:
            return self._arena.any
        self._conditions.note_closed(pointer)
        return self._conditions.objects(Members(dict.fromkeys(seen.names, self._arena.any), (), ()), pointer)

    def listed(self, schema: Any, pointer: str) -> Seen:
        """All that is listed in a schema and in those that look at the same value, whichever of them hold."""
        found, stack, known = Seen(), [(schema, pointer)], {pointer}
        while stack:
            part, where = stack.pop()
            if not isinstance(part, Mapping):
                continue
            spend(10)
            part = self._reader.in_force(part)
            found = found.with_(self._own(part, where))
            if "unevaluatedProperties" in part:
                found = found.with_(Seen(all_keys=True))
            for below in self._below(part, where):
                if below[1] not in known:
                    known.add(below[1])
                    stack.append(below)
        return found

    def _below(self, schema: Mapping[str, Any], pointer: str) -> Iterator[tuple[Any, str]]:
        for keyword in schema:
            if keyword in _REFERENCES:
                yield self._reader.target(keyword, schema, pointer)
            elif keyword in ("allOf", "anyOf", "oneOf"):
                schemas = expect(schema, keyword, list, pointer)
                yield from ((branch, child(pointer, keyword, i)) for i, branch in enumerate(schemas))
            elif keyword in ("if", "then", "else"):
                yield schema[keyword], child(pointer, keyword)
            elif keyword in _DEPENDENCIES:
                yield from (needed for _, _, needed in self._reader.dependencies({keyword: schema[keyword]}, pointer))

    def _rest(self, seen: Seen, schema: Mapping[str, Any], pointer: str) -> Term:
        arena, terms = self._arena, []
        if "unevaluatedProperties" in schema and not seen.all_keys:
            rest = self._reader.value_site(schema["unevaluatedProperties"], child(pointer, "unevaluatedProperties"))
            outside = [Text()]
            for text in seen.keys:
                outside = [met for o in outside for c in text.complement() if (met := o.meet(c)) is not None]
            classes = [(text, arena.any) for text in seen.keys] + [(text, rest) for text in outside]
            members = Members(
                dict.fromkeys(seen.names, arena.any), (), tuple(c for c in classes if c[1] is not arena.nothing)
            )
            terms.append(self._conditions.objects(members, pointer))
        if "unevaluatedItems" in schema and not seen.all_items:
            rest = self._reader.value_site(schema["unevaluatedItems"], child(pointer, "unevaluatedItems"))
            items = Items((arena.any,) * seen.places, arena.one_of(rest, *seen.items))
            terms.append(self._conditions.arrays(items, pointer))
        return arena.all_of(*terms)

    def cases(self, schema: Any, pointer: str, depth: int) -> list[Case]:
        """A schema's cases; `depth`: schemas around it. Raises: Inexpressible."""
        if isinstance(schema, bool):
            return [Case(self._arena.any, Seen())] if schema else []
        if depth > _DEEPEST:
            raise Inexpressible("subschemas that refer to each other beside it")
        spend(10)
        schema = self._reader.in_force(schema)
        self._reader.note(schema, pointer)
        found = [Case(self._arena.any, Seen())]
        for options in self._parts(schema, pointer, depth):
            found = self._joined(found, options)
        if any(keyword in schema for keyword in _UNEVALUATED):
            whole = self._reader.site(schema, pointer)
            remaining = Seen(all_keys=_UNEVALUATED[0] in schema, all_items=_UNEVALUATED[1] in schema)
            found = self._joined(found, [Case(whole, remaining)])
        return found

    def _joined(self, one: list[Case], other: list[Case]) -> list[Case]:
        if len(one) * len(other) > _MOST_CASES:
            raise Inexpressible(f"more than {_MOST_CASES} cases of what is evaluated beside it")
        cases = [Case(self._arena.all_of(a.term, b.term), a.seen.with_(b.seen)) for a, b in product(one, other)]
        return [case for case in cases if case.term is not self._arena.nothing]

    def _parts(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Iterator[list[Case]]:
        """Conditions that hold at once, each with its cases."""
        own = {keyword: value for keyword, value in schema.items() if keyword not in _UNEVALUATED}
        first = next((keyword for keyword in own if keyword in OWN_KEYWORDS), None)
        for keyword in own:
            if keyword == first:
                yield [Case(self._conditions.base(own, pointer), self._own(own, pointer))]
            elif keyword in _REFERENCES:
                yield self.cases(*self._reader.target(keyword, schema, pointer), depth + 1)
            elif keyword == "allOf":
                yield from self._branches(keyword, schema, pointer, depth)
            elif keyword == "anyOf":
                yield self._any_of(self._branches(keyword, schema, pointer, depth))
            elif keyword == "oneOf":
                yield self._one_of(self._branches(keyword, schema, pointer, depth), schema, pointer)
            elif keyword == "if":
                yield self._if(schema, pointer, depth)
            elif keyword in _DEPENDENCIES:
                yield from self._dependencies({keyword: schema[keyword]}, pointer, depth)
            elif keyword in _WITHOUT_ANNOTATIONS:
                yield [Case(self._reader.combination(keyword, schema, pointer), Seen())]

    def _branches(self, keyword: str, schema: Mapping[str, Any], pointer: str, depth: int) -> list[list[Case]]:
        schemas = enumerate(expect(schema, keyword, list, pointer))
        return [self.cases(branch, child(pointer, keyword, i), depth + 1) for i, branch in schemas]

    def _one_of(self, branches: list[list[Case]], schema: Mapping[str, Any], pointer: str) -> list[Case]:
        return [
            Case(self._arena.all_of(exact, case.term), case.seen)
            for exact, branch in zip(self._reader.exact_branches(schema, pointer), branches, strict=True)
            for case in branch
        ]

    def _dependencies(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Iterator[list[Case]]:
        for present, absent, needed in self._reader.dependencies(schema, pointer):
            there = self._joined([Case(present, Seen())], self.cases(*needed, depth + 1))
            yield [*there, Case(absent, Seen())]

    def _own(self, schema: Mapping[str, Any], pointer: str) -> Seen:
        items = schema.get("items")
        listed = schema.get("prefixItems", items if isinstance(items, list) else [])
        contained: tuple[Term, ...] = ()
        if "contains" in schema and self._counts_contained:
            contained = (self._reader.plain_site(schema["contains"], child(pointer, "contains")),)
        try:
            texts = [text for pattern in schema.get("patternProperties", {}) for text in key_texts(pattern)]
            is_known = True
        except PatternError:  # given up where the keyword itself is read; any key may be one that it matches
            texts, is_known = [], False
        return Seen(
            tuple(schema.get("properties", {})),
            tuple(texts),
            "additionalProperties" in schema or not is_known,
            len(listed),
            contained,
            isinstance(items, (dict, bool)) or "additionalItems" in schema,
            "properties" in schema,
        )

    def _any_of(self, branches: list[list[Case]]) -> list[Case]:
        """Any branches that hold together; what the others evaluate doesn't matter."""
        if self._one_branch:
            return [case for branch in branches for case in branch]
        if 2 ** len(branches) > _MOST_CASES:
            raise Inexpressible("anyOf with so many branches beside it")
        found: list[Case] = []
        for size in range(1, len(branches) + 1):
            for chosen in combinations(branches, size):
                cases = [Case(self._arena.any, Seen())]
                for branch in chosen:
                    cases = self._joined(cases, branch)
                found += cases
        return found

    def _if(self, schema: Mapping[str, Any], pointer: str, depth: int) -> list[Case]:
        condition = self._reader.opened.unevaluated.cases(schema["if"], child(pointer, "if"), depth + 1)
        then = self.cases(schema.get("then", True), child(pointer, "then"), depth + 1)
        other = self.cases(schema.get("else", True), child(pointer, "else"), depth + 1)
        contrary = self._arena.not_(self._reader.plain_site(schema["if"], child(pointer, "if")))
        self._arena.shape(contrary)
        return [*self._joined(condition, then), *self._joined([Case(contrary, Seen())], other)]

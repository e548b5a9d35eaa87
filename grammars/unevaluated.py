"""`unevaluatedProperties` and `unevaluatedItems` beside other applicators, case by case.

Which keys and items count as evaluated depends on which subschemas hold (core §11). A schema is cut into cases, each a
conjunction of subschemas and what they evaluate together; within a case the rest is known. Cases may overlap: what
holds in two of them is admitted by the one that evaluates more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from grammars.conditions import OWN_KEYWORDS, Conditions
from grammars.errors import Inexpressible
from grammars.keyword_values import expect
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

    def with_(self, other: "Seen") -> "Seen":
        return Seen(
            tuple(dict.fromkeys(self.names + other.names)),
            tuple(dict.fromkeys(self.keys + other.keys)),
            self.all_keys or other.all_keys,
            max(self.places, other.places),
            tuple(dict.fromkeys(self.items + other.items)),
            self.all_items or other.all_items,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """Where this term holds, at least this much is evaluated."""

    term: Term
    seen: Seen


class Unevaluated:
    """Reads schemas in which these keywords stand. `counts_contained`: `contains` evaluates items, as from 2020-12."""

    def __init__(self, reader: "Reader", conditions: Conditions, counts_contained: bool) -> None:
        self._reader = reader
        self._arena = conditions.arena
        self._conditions = conditions
        self._counts_contained = counts_contained

    def term(self, schema: Mapping[str, Any], pointer: str) -> Term:
        """The whole schema. Raises: Inexpressible."""
        plain = {keyword: value for keyword, value in schema.items() if keyword not in _UNEVALUATED}
        return self._arena.one_of(
            *(
                self._arena.all_of(case.term, self._rest(case.seen, schema, pointer))
                for case in self._cases(plain, pointer, 0)
            )
        )

    def _rest(self, seen: Seen, schema: Mapping[str, Any], pointer: str) -> Term:
        arena, terms = self._arena, []
        if "unevaluatedProperties" in schema and not seen.all_keys:
            rest = self._reader.site(schema["unevaluatedProperties"], child(pointer, "unevaluatedProperties"))
            outside = [Text()]
            for text in seen.keys:
                outside = [met for o in outside for c in text.complement() if (met := o.meet(c)) is not None]
            classes = [(text, arena.any) for text in seen.keys] + [(text, rest) for text in outside]
            members = Members(
                dict.fromkeys(seen.names, arena.any), (), tuple(c for c in classes if c[1] is not arena.nothing)
            )
            terms.append(self._conditions.objects(members, pointer))
        if "unevaluatedItems" in schema and not seen.all_items:
            rest = self._reader.site(schema["unevaluatedItems"], child(pointer, "unevaluatedItems"))
            items = Items((arena.any,) * seen.places, arena.one_of(rest, *seen.items))
            terms.append(self._conditions.arrays(items, pointer))
        return arena.all_of(*terms)

    def _cases(self, schema: Any, pointer: str, depth: int) -> list[Case]:
        if isinstance(schema, bool):
            return [Case(self._arena.any, Seen())] if schema else []
        if depth > _DEEPEST:
            raise Inexpressible("subschemas that refer to each other beside it")
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
        if not OWN_KEYWORDS.isdisjoint(own):
            yield [Case(self._conditions.base(own, pointer), self._own(own, pointer))]
        for keyword in own:
            if keyword in _REFERENCES:
                yield self._cases(*self._reader.target(keyword, schema, pointer), depth + 1)
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
        return [self._cases(branch, child(pointer, keyword, i), depth + 1) for i, branch in schemas]

    def _one_of(self, branches: list[list[Case]], schema: Mapping[str, Any], pointer: str) -> list[Case]:
        return [
            Case(self._arena.all_of(exact, case.term), case.seen)
            for exact, branch in zip(self._reader.exact_branches(schema, pointer), branches, strict=True)
            for case in branch
        ]

    def _dependencies(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Iterator[list[Case]]:
        for present, absent, needed in self._reader.dependencies(schema, pointer):
            there = self._joined([Case(present, Seen())], self._cases(*needed, depth + 1))
            yield [*there, Case(absent, Seen())]

    def _own(self, schema: Mapping[str, Any], pointer: str) -> Seen:
        items = schema.get("items")
        listed = schema.get("prefixItems", items if isinstance(items, list) else [])
        contained: tuple[Term, ...] = ()
        if "contains" in schema and self._counts_contained:
            contained = (self._reader.site(schema["contains"], child(pointer, "contains")),)
        patterns = schema.get("patternProperties", {})
        where = child(pointer, "patternProperties")
        return Seen(
            tuple(schema.get("properties", {})),
            tuple(text for pattern in patterns for text in self._conditions.key_texts(pattern, where)),
            "additionalProperties" in schema,
            len(listed),
            contained,
            isinstance(items, (dict, bool)) or "additionalItems" in schema,
        )

    def _any_of(self, branches: list[list[Case]]) -> list[Case]:
        """Any branches that hold together; what the others evaluate doesn't matter."""
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
        condition = self._cases(schema["if"], child(pointer, "if"), depth + 1)
        then = self._cases(schema.get("then", True), child(pointer, "then"), depth + 1)
        other = self._cases(schema.get("else", True), child(pointer, "else"), depth + 1)
        contrary = self._arena.not_(self._reader.site(schema["if"], child(pointer, "if")))
        self._arena.shape(contrary)
        return [*self._joined(condition, then), *self._joined([Case(contrary, Seen())], other)]

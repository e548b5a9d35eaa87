"""Schemas as terms: places in a document, combined by and, or and not, and worked out to shapes on demand.

Every term exists once in its arena, so identity is equality, a recursive schema gives the same few terms again and
again, and a term can stand for its grammar rule.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from grammars.effort import spend
from grammars.errors import GrammarError, Inexpressible, LimitExceeded, UnsatisfiableSchema
from grammars.shapes import Shape, everything

_MOST_ALTERNATIVES = 600
_MOST_TERMS = 60_000


class Reading(Enum):
    """What becomes of objects that list `properties` and say nothing of additional ones."""

    OPEN = "open"
    """They may have others, as the specification has it."""
    CLOSED = "closed"
    """They have none."""
    WITHIN = "within"
    """This one may, for it is a part of one that is closed as a whole; those inside of it have none."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A set of JSON values. `kind`: any, nothing, site, shape, all, one (of), not."""

    kind: str
    parts: tuple["Term", ...] = ()
    pointer: str = ""
    """Of the place in the schema this came from."""
    schema: object = None
    """kind site: what stands there."""
    shape: Shape | None = None
    reading: Reading = Reading.OPEN
    """kind site: how it is read."""


def _cost(one: Shape, other: Shape) -> int:
    keys = sum(len(o.named) + 4 for o in one.objects), sum(len(o.named) + 4 for o in other.objects)
    pairs = len(one.objects) * keys[1] + len(other.objects) * keys[0]
    return pairs + 20 * len(one.texts) * len(other.texts) + len(one.numbers) * len(other.numbers)


class Arena:
    """Makes terms and works them out. `read` turns a site into a term without sites at its top."""

    def __init__(self, read: Callable[[Term], Term]) -> None:
        self._read = read
        self.any = Term("any")
        self.nothing = Term("nothing")
        self._known: dict[tuple[object, ...], Term] = {}
        self._shapes: dict[Term, Shape] = {self.nothing: Shape()}
        self.whole = self._shapes[self.any] = everything(self)
        """The shape of any value."""
        self.unread = Term("shape", shape=replace(self.whole, is_wider=True))
        """Any value, in place of a condition that is left to validation."""
        self._open: set[Term] = set()
        self._emptiness: dict[Term, bool] = {self.nothing: True, self.any: False}

    def spend(self, work: int) -> None:
        """Count work (about a microsecond each); a schema that costs too much is refused. Raises: LimitExceeded."""
        spend(work)

    def site(self, schema: object, pointer: str, reading: Reading = Reading.OPEN) -> Term:
        if schema is True or schema == {}:
            return self.any
        if schema is False:
            return self.nothing
        return self._intern(("site", pointer, reading), lambda: Term("site", (), pointer, schema, reading=reading))

    def basis(self, shape: Shape, pointer: str) -> Term:
        return Term("shape", (), pointer, None, shape)

    def all_of(self, *terms: Term) -> Term:
        flat: dict[Term, None] = {}
        for term in terms:
            if term is self.nothing:
                return term
            if term is not self.any:
                flat.update(dict.fromkeys(term.parts if term.kind == "all" else (term,)))
        if not flat:
            return self.any
        return self._combined("all", tuple(flat))

    def one_of(self, *terms: Term) -> Term:
        flat: dict[Term, None] = {}
        for term in terms:
            if term is self.any:
                return term
            if term is not self.nothing:
                flat.update(dict.fromkeys(term.parts if term.kind == "one" else (term,)))
        if not flat:
            return self.nothing
        return self._combined("one", tuple(flat))

    def not_(self, term: Term) -> Term:
        if term is self.any or term is self.nothing:
            return self.nothing if term is self.any else self.any
        if term.kind == "not":
            return term.parts[0]
        return self._intern(("not", term), lambda: Term("not", (term,), term.pointer))

    def shape(self, term: Term) -> Shape:
        """Raises: Inexpressible, and what reading raises."""
        known = self._shapes.get(term)
        if known is not None:
            return known
        if term in self._open:
            raise UnsatisfiableSchema("a schema refers to itself with nothing in between", term.pointer)
        if len(self._open) > 120:
            raise LimitExceeded("schemas refer to each other too deep", term.pointer)
        self._open.add(term)
        try:
            shape = self._work_out(term)
        finally:
            self._open.discard(term)
        if shape.alternatives > _MOST_ALTERNATIVES:
            raise LimitExceeded(f"the schema has more than {_MOST_ALTERNATIVES} alternatives", term.pointer)
        self._shapes[term] = shape
        return shape

    def _work_out(self, term: Term) -> Shape:
        match term.kind:
            case "shape":
                assert term.shape is not None
                return term.shape
            case "site":
                return self.shape(self._read(term))
            case "not":
                return self.shape(term.parts[0]).complement(self)
            case "all":
                shape = self.shape(term.parts[0])
                for part in term.parts[1:]:
                    other = self.shape(part)
                    self.spend(_cost(shape, other))
                    shape = self._pruned(shape.meet(other, self))
                    if shape.alternatives > _MOST_ALTERNATIVES:
                        raise LimitExceeded("combining the schemas gives too many alternatives", term.pointer)
                return shape
            case _:
                shape = self.shape(term.parts[0])
                for part in term.parts[1:]:
                    shape = shape.union(self.shape(part))
                return shape

    def _pruned(self, shape: Shape) -> Shape:
        """Without objects and arrays that contradict themselves one level down."""
        if len(shape.objects) + len(shape.arrays) <= 1:
            return shape
        return replace(
            shape,
            arrays=tuple(a for a in shape.arrays if not any(self.is_empty(t) for t in a.prefix[: a.low])),
            objects=tuple(
                o for o in shape.objects if not any(self.is_empty(o.named[n]) for n in o.required if n in o.named)
            ),
        )

    def is_empty(self, term: Term, depth: int = 0) -> bool:
        """Surely no value at all. False where it isn't known."""
        known = self._emptiness.get(term)
        if known is not None:
            return known
        if depth > 6 or term in self._open:
            return False
        self._emptiness[term] = False
        try:
            shape = self.shape(term)
        except (Inexpressible, GrammarError):
            return False
        found = self.is_shape_empty(shape, depth)
        self._emptiness[term] = found
        return found

    def is_shape_empty(self, shape: Shape, depth: int = 0) -> bool:
        if shape.null or shape.booleans or shape.numbers or shape.texts:
            return False
        for items in shape.arrays:
            if not any(self.is_empty(items.at(i), depth + 1) for i in range(min(items.low, len(items.prefix) + 1))):
                return False
        for members in shape.objects:
            if not any(
                self.is_empty(members.named[name], depth + 1) for name in members.required if name in members.named
            ):
                return False
        return True

    def are_disjoint(self, one: Term, other: Term) -> bool:
        """Surely no value satisfies both."""
        return self.is_empty(self.all_of(one, other))

    def _combined(self, kind: str, parts: tuple[Term, ...]) -> Term:
        if len(parts) == 1:
            return parts[0]
        return self._intern((kind, *parts), lambda: Term(kind, parts, parts[0].pointer))

    def _intern(self, key: tuple[object, ...], make: Callable[[], Term]) -> Term:
        term = self._known.get(key)
        if term is None:
            if len(self._known) > _MOST_TERMS:
                raise LimitExceeded("the schema's combinations grow without end")
            term = self._known[key] = make()
        return term

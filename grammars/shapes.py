"""What a schema says, type by type: for each JSON type a union of alternatives, each a conjunction of conditions.

Shapes are closed under intersection (`meet`) and, as far as a grammar can hold it, complement. Schemas inside of
arrays and objects are `Term`s, which are worked out only when they are needed; so recursion costs nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor, gcd, lcm
from typing import TYPE_CHECKING, Protocol

from grammars.errors import Inexpressible
from grammars.texts import Text, words_text

if TYPE_CHECKING:
    from grammars.terms import Term


class Logic(Protocol):
    """How terms are combined; the arena that made them does it."""

    @property
    def any(self) -> "Term": ...
    @property
    def nothing(self) -> "Term": ...
    def all_of(self, *terms: "Term") -> "Term": ...
    def not_(self, term: "Term") -> "Term": ...
    def spend(self, work: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers between bounds that are multiples of `step` and of none of `not_steps`. Integers: a step of 1."""

    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    step: Fraction | None = None
    not_steps: frozenset[Fraction] = frozenset()

    def meet(self, other: "Numbers") -> "Numbers | None":
        low, low_open = self.low, self.low_open
        if other.low is not None and (low is None or (other.low, other.low_open) > (low, low_open)):
            low, low_open = other.low, other.low_open
        high, high_open = self.high, self.high_open
        if other.high is not None and (high is None or (-other.high, other.high_open) > (-high, high_open)):
            high, high_open = other.high, other.high_open
        step = self.step if other.step is None else other.step if self.step is None else _lcm(self.step, other.step)
        met = Numbers(low, high, low_open, high_open, step, self.not_steps | other.not_steps)
        return None if met.is_empty else met

    @property
    def is_empty(self) -> bool:
        if self.step is not None and any((self.step / no).denominator == 1 for no in self.not_steps):
            return True
        if self.low is None or self.high is None:
            return False
        if self.low > self.high or (self.low == self.high and (self.low_open or self.high_open)):
            return True
        if self.low == self.high and any((self.low / no).denominator == 1 for no in self.not_steps):
            return True
        if self.step is None:
            return False
        first, last = ceil(self.low / self.step), floor(self.high / self.step)
        first += self.low_open and first * self.step == self.low
        last -= self.high_open and last * self.step == self.high
        return first > last

    def complement(self) -> list["Numbers"]:
        options = []
        if self.low is not None:
            options.append(Numbers(high=self.low, high_open=not self.low_open))
        if self.high is not None:
            options.append(Numbers(low=self.high, low_open=not self.high_open))
        if self.step is not None:
            options.append(Numbers(not_steps=frozenset([self.step])))
        return options + [Numbers(step=step) for step in self.not_steps]


def _lcm(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(lcm(one.numerator, other.numerator), gcd(one.denominator, other.denominator))


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Arrays: `prefix` place by place, `rest` after it, and counts of items that satisfy a term."""

    prefix: tuple["Term", ...]
    rest: "Term"
    low: int = 0
    high: int | None = None
    contains: tuple[tuple["Term", int, int | None], ...] = ()
    is_unique: bool = False

    def meet(self, other: "Items", logic: Logic) -> "Items | None":
        low = max(self.low, other.low)
        high = other.high if self.high is None else self.high if other.high is None else min(self.high, other.high)
        if high is not None and low > high:
            return None
        count = max(len(self.prefix), len(other.prefix))
        prefix = tuple(logic.all_of(self.at(i), other.at(i)) for i in range(count))
        return Items(
            prefix,
            logic.all_of(self.rest, other.rest),
            low,
            high,
            self.contains + other.contains,
            self.is_unique or other.is_unique,
        )

    def at(self, index: int) -> "Term":
        return self.prefix[index] if index < len(self.prefix) else self.rest

    def complement(self, logic: Logic) -> list["Items"]:
        options = []
        if self.low > 0:
            options.append(Items((), logic.any, high=self.low - 1))
        if self.high is not None:
            options.append(Items((), logic.any, low=self.high + 1))
        for index, term in enumerate(self.prefix):
            if term is not logic.any:
                options.append(Items((logic.any,) * index + (logic.not_(term),), logic.any, low=index + 1))
        if self.rest is not logic.any:
            if self.prefix:
                raise Inexpressible("the complement of items after a prefix can't be written")
            options.append(Items((), logic.any, 1, None, ((logic.not_(self.rest), 1, None),)))
        for term, low, high in self.contains:
            if low > 0:
                options.append(Items((), logic.any, contains=((term, 0, low - 1),)))
            if high is not None:
                options.append(Items((), logic.any, contains=((term, high + 1, None),)))
        if self.is_unique:
            raise Inexpressible("that items repeat can't be written as a grammar")
        return options


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Objects: named properties in order, and classes of other keys with what their values must satisfy.

    A key that is neither named nor in a class is forbidden; one in several classes may take a value of any of them.
    `some`: for each, there is a member, named or not, with such a key and such a value.
    """

    named: Mapping[str, "Term"]
    required: tuple[str, ...]
    classes: tuple[tuple[Text, "Term"], ...]
    low: int = 0
    high: int | None = None
    some: tuple[tuple[Text, "Term"], ...] = ()

    def meet(self, other: "Members", logic: Logic) -> "Members | None":
        low = max(self.low, other.low)
        high = other.high if self.high is None else self.high if other.high is None else min(self.high, other.high)
        if high is not None and low > high:
            return None
        named = dict(self.named)
        for name, term in self.named.items():
            named[name] = logic.all_of(term, other.term_of(name, logic))
        for name, term in other.named.items():
            if name not in named:
                named[name] = logic.all_of(self.term_of(name, logic), term)
        required = tuple(dict.fromkeys(self.required + other.required))
        if any(named.get(name) is logic.nothing for name in required):
            return None
        classes = _meet_classes(self.classes, other.classes, logic)
        some = tuple(dict.fromkeys(self.some + other.some))
        return Members(named, required, classes, low, high, some)

    def term_of(self, name: str, logic: Logic) -> "Term":
        """What the value of this key must satisfy."""
        if name in self.named:
            return self.named[name]
        terms = [term for text, term in self.classes if text.is_any or text.matches(name)]
        if not terms:
            return logic.nothing
        if len(terms) > 1 and len(set(terms)) > 1:
            raise Inexpressible("a key that stands in several classes of keys")
        return terms[0]

    def complement(self, logic: Logic) -> list["Members"]:
        everything = ((Text(), logic.any),)
        options = [Members({name: logic.nothing}, (), everything) for name in self.required]
        options += [
            Members({name: logic.not_(term)}, (name,), everything)
            for name, term in self.named.items()
            if term is not logic.any
        ]
        if self.low > 0:
            options.append(Members({}, (), everything, high=self.low - 1))
        if self.high is not None:
            options.append(Members({}, (), everything, low=self.high + 1))
        unnamed = Text(reject=words_text(self.named).accept) if self.named else Text()
        for text, term in self.classes:
            key = text.meet(unnamed)
            if term is not logic.any and key is not None:
                options.append(Members({}, (), everything, some=((key, logic.not_(term)),)))
        outside = [key for text in self._outside() if (key := text.meet(unnamed)) is not None]
        options += [Members({}, (), everything, some=((key, logic.any),)) for key in outside]
        for text, term in self.some:
            others = tuple((other, logic.any) for other in text.complement())
            options.append(Members({}, (), ((text, logic.not_(term)), *others)))
        return options

    def _outside(self) -> list[Text]:
        """Keys in no class."""
        found = [Text()]
        for text, _ in self.classes:
            met = [one.meet(other) for one in found for other in text.complement()]
            found = [t for t in met if t is not None and not t.is_empty]
        return found


def _meet_classes(
    one: tuple[tuple[Text, "Term"], ...], other: tuple[tuple[Text, "Term"], ...], logic: Logic
) -> tuple[tuple[Text, "Term"], ...]:
    if len(one) == len(other) == 1 and one[0][0] == other[0][0]:
        term = logic.all_of(one[0][1], other[0][1])
        return () if term is logic.nothing else ((one[0][0], term),)
    met = []
    for text, term in one:
        for other_text, other_term in other:
            both = text.meet(other_text)
            joint = logic.all_of(term, other_term)
            if both is not None and joint is not logic.nothing and (both in (text, other_text) or not both.is_empty):
                met.append((both, joint))
    return tuple(met)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A set of JSON values: the union of everything listed."""

    null: bool = False
    booleans: frozenset[bool] = frozenset()
    numbers: tuple[Numbers, ...] = ()
    texts: tuple[Text, ...] = ()
    arrays: tuple[Items, ...] = ()
    objects: tuple[Members, ...] = ()
    origin: str = field(default="", compare=False)
    is_wider: bool = False
    """Something that the schema says is left out, so what isn't in here may not be all that breaks the schema."""

    @property
    def alternatives(self) -> int:
        return len(self.numbers) + len(self.texts) + len(self.arrays) + len(self.objects)

    def union(self, other: "Shape") -> "Shape":
        return Shape(
            self.null or other.null,
            self.booleans | other.booleans,
            tuple(dict.fromkeys(self.numbers + other.numbers)),
            tuple(dict.fromkeys(self.texts + other.texts)),
            self.arrays + other.arrays,
            self.objects + other.objects,
            self.origin,
            self.is_wider or other.is_wider,
        )

    def meet(self, other: "Shape", logic: Logic) -> "Shape":
        numbers = [a.meet(b) for a in self.numbers for b in other.numbers]
        texts = [_meet_texts(a, b) for a in self.texts for b in other.texts]
        arrays = [a.meet(b, logic) for a in self.arrays for b in other.arrays]
        objects = [a.meet(b, logic) for a in self.objects for b in other.objects]
        return Shape(
            self.null and other.null,
            self.booleans & other.booleans,
            tuple(dict.fromkeys(n for n in numbers if n is not None)),
            tuple(dict.fromkeys(t for t in texts if t is not None)),
            tuple(a for a in arrays if a is not None),
            tuple(o for o in objects if o is not None),
            self.origin,
            self.is_wider or other.is_wider,
        )

    def complement(self, logic: Logic) -> "Shape":
        """Raises: Inexpressible."""
        if self.is_wider:
            raise Inexpressible("the complement of what is left to validation isn't known")
        whole = everything(logic)
        result = replace(whole, null=not self.null, booleans=frozenset([True, False]) - self.booleans)
        for numbers in self.numbers:
            result = result.meet(replace(whole, numbers=tuple(numbers.complement())), logic)
        for text in self.texts:
            result = result.meet(replace(whole, texts=text.complement()), logic)
        for items in self.arrays:
            result = result.meet(replace(whole, arrays=tuple(items.complement(logic))), logic)
        for members in self.objects:
            logic.spend(10 * len(result.objects) * (len(members.named) + len(members.required)))
            result = result.meet(replace(whole, objects=tuple(members.complement(logic))), logic)
            if len(result.objects) > 64:
                raise Inexpressible("its complement has too many cases")
        return result


def everything(logic: Logic) -> Shape:
    return Shape(
        True,
        frozenset([True, False]),
        (Numbers(),),
        (Text(),),
        (Items((), logic.any),),
        (Members({}, (), ((Text(), logic.any),)),),
    )


def _meet_texts(one: Text, other: Text) -> Text | None:
    if one.is_any:
        return other
    if other.is_any:
        return one
    met = one.meet(other)
    return None if met is None or met.is_empty else met

"""Numbers that are multiples of a step and of no other: digits, followed by an automaton over remainders."""

from dataclasses import dataclass
from math import lcm

from grammars.automata import Alphabet, Automaton, build, meet
from grammars.errors import Inexpressible, LimitExceeded
from grammars.json_text import DIGIT
from grammars.shapes import Numbers
from grammars.tree import EMPTY, Node, choice, literal, optional, repeat, sequence

_MOST_REMAINDERS = 2000
_ALPHABET = Alphabet.of([literal("0123456789.-eE+")])
_DIGITS = [_ALPHABET.class_of(48 + d) for d in range(10)]
_POINT, _MINUS = _ALPHABET.class_of(46), _ALPHABET.class_of(45)


def multiple_node(numbers: Numbers, between: Node | None, *, whole_fractions: bool) -> Node:
    """`between`: the regular tree of the numbers between the bounds, if there are any. Without a step, any number
    that is no multiple of the others. `whole_fractions`: integers may be written 1.0.

    Raises: Inexpressible, LimitExceeded.
    """
    step = numbers.step
    places = most_places(numbers)
    unit = 1 if step is None else int(step * 10**places)
    forbidden = [int(no * 10**places) for no in numbers.not_steps]
    modulus = lcm(unit, *forbidden)
    if modulus > _MOST_REMAINDERS:
        raise LimitExceeded(f"multiples of {step} need more than {_MOST_REMAINDERS} remainders")
    allowed = frozenset(r for r in range(modulus) if r % unit == 0 and all(r % no for no in forbidden))
    may_have_point = places > 0 or whole_fractions or step is None
    accept = [_Counting(modulus, allowed, places, may_have_point, is_free=step is None).automaton()]
    if between is not None:
        accept.append(build(between, _ALPHABET))
    if step is None:
        accept.append(build(_kept_by_doubles(places), _ALPHABET))
    return meet(accept, [], _ALPHABET).rules("multiple", lambda charset: charset, EMPTY)


def most_places(numbers: Numbers) -> int:
    """Digits after the point that all the steps need. Raises: Inexpressible."""
    steps = [*numbers.not_steps] if numbers.step is None else [numbers.step, *numbers.not_steps]
    for places in range(13):
        if all((step * 10**places).denominator == 1 for step in steps):
            return places
    raise Inexpressible("a step whose digits don't end")


def _kept_by_doubles(places: int) -> Node:
    """Integers, and decimals of at most 15 digits, which stay apart from every multiple that has `places` digits."""
    if places > 6:
        raise Inexpressible("numbers that are no multiples of so small a fraction")
    fraction = sequence(literal("."), repeat(DIGIT, 1, places + 6))
    return sequence(optional(literal("-")), choice(repeat(DIGIT, 1), sequence(repeat(DIGIT, 1, 9 - places), fraction)))


@dataclass(frozen=True, slots=True)
class _State:
    kind: str
    """start, signed, zero (a leading one), whole, point, fraction, beyond (a digit after the places that isn't 0)."""
    remainder: int = 0
    used: int = 0
    """Digits after the point."""


@dataclass(frozen=True, slots=True)
class _Counting:
    """Digits, `places` of them after the point, whose number leaves an allowed remainder.

    `is_free`: more digits are allowed too, and where one of those isn't 0 the number is a multiple of nothing.
    """

    modulus: int
    allowed: frozenset[int]
    places: int
    may_have_point: bool
    is_free: bool

    def automaton(self) -> Automaton:
        numbers = {_State("start"): 0}
        queue = [_State("start")]
        moves: list[dict[int, int]] = []
        for state in queue:
            row = {}
            for letter, target in self._moves(state).items():
                if target not in numbers:
                    numbers[target] = len(queue)
                    queue.append(target)
                row[letter] = numbers[target]
            moves.append(row)
        return Automaton(_ALPHABET, tuple(moves), frozenset(i for i, s in enumerate(queue) if self._may_end(s)))

    def _may_end(self, state: _State) -> bool:
        if state.kind in ("zero", "whole", "fraction"):
            return state.remainder * 10 ** (self.places - state.used) % self.modulus in self.allowed
        return state.kind == "beyond"

    def _moves(self, state: _State) -> dict[int, _State]:
        match state.kind:
            case "start" | "signed":
                row = {_DIGITS[d]: _State("whole", d % self.modulus) for d in range(1, 10)}
                row[_DIGITS[0]] = _State("zero")
                if state.kind == "start":
                    row[_MINUS] = _State("signed")
                return row
            case "zero" | "whole":
                row = {d: s for d, s in self._digits(state, "whole", 0).items() if state.kind == "whole"}
                if self.may_have_point:
                    row[_POINT] = _State("point", state.remainder)
                return row
            case "point" | "fraction" if state.used < self.places:
                return self._digits(state, "fraction", state.used + 1)
            case "point" | "fraction":
                zero = {_DIGITS[0]: _State("fraction", state.remainder, state.used)}
                return {**dict.fromkeys(_DIGITS[1:], _State("beyond")), **zero} if self.is_free else zero
            case _:
                return dict.fromkeys(_DIGITS, _State("beyond"))

    def _digits(self, state: _State, kind: str, used: int) -> dict[int, _State]:
        return {_DIGITS[d]: _State(kind, (state.remainder * 10 + d) % self.modulus, used) for d in range(10)}

"""Numbers: bounds, multiples and their complements as digits.

Bounds of any precision are followed digit by digit: as long as the digits equal the bound's, the next one is limited;
after that they are free. Texts are compared as decimals, but readers round to doubles; rounding keeps order, so closed
bounds stay true, and beside open bounds numbers have at most 15 digits, which doubles tell apart.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

from grammars.errors import Inexpressible
from grammars.integers import integer_between
from grammars.json_text import DIGIT, FRACTION, INTEGER, MOST_DIGITS, NUMBER
from grammars.multiples import most_places, multiple_node
from grammars.shapes import Numbers
from grammars.tree import EMPTY, NEVER, Lexeme, Node, Rule, chars, choice, literal, optional, repeat, sequence

_DIGITS_TOLD_APART = 15
_ZEROS: Node = optional(sequence(literal("."), repeat(literal("0"), 1, MOST_DIGITS)))
_FREE: Node = optional(FRACTION)


def numbers_node(numbers: Iterable[Numbers], *, whole_fractions: bool = False) -> Node:
    """JSON numbers of any of the conditions. Raises: Inexpressible."""
    return choice(*(number_node(n, whole_fractions=whole_fractions) for n in numbers))


def number_node(numbers: Numbers, *, whole_fractions: bool = False) -> Node:
    """JSON numbers of a condition. `whole_fractions`: integers may be written 1.0. Raises: Inexpressible."""
    is_bounded = numbers.low is not None or numbers.high is not None
    if numbers.step is None and not numbers.not_steps:
        return _decimals(numbers)
    if numbers.step == 1 and not numbers.not_steps:
        node = integer_between(*whole_bounds(numbers))
        if whole_fractions and node != NEVER:
            return Lexeme(sequence(_inside(node), _ZEROS))
        return node
    places = most_places(numbers)
    if numbers.step == Fraction(1, 10**places) and not numbers.not_steps and not is_bounded:
        return Lexeme(sequence(_inside(INTEGER), optional(sequence(literal("."), repeat(DIGIT, 1, places)))))
    between = None
    if is_bounded:
        is_whole = numbers.step is not None and places == 0 and not whole_fractions
        between = integer_between(*whole_bounds(numbers)) if is_whole else _decimals(numbers)
        if between == NEVER:
            return NEVER
    return multiple_node(numbers, None if between is None else _inside(between), whole_fractions=whole_fractions)


def whole_bounds(numbers: Numbers) -> tuple[int | None, int | None]:
    """The least and the greatest integer."""
    low = high = None
    if numbers.low is not None:
        low = ceil(numbers.low) + (1 if numbers.low_open and numbers.low.denominator == 1 else 0)
    if numbers.high is not None:
        high = floor(numbers.high) - (1 if numbers.high_open and numbers.high.denominator == 1 else 0)
    return low, high


def _inside(node: Node) -> Node:
    """The regular tree of a lexeme or of a rule that is one."""
    while isinstance(node, (Lexeme, Rule)):
        node = node.body
    return node


def _decimals(numbers: Numbers) -> Node:
    """Numbers between bounds; exponents only where they can't cross one."""
    low, high = numbers.low, numbers.high
    if low is None and high is None:
        return NUMBER
    options: list[Node] = []
    if high is None or high > 0 or (high == 0 and not numbers.high_open):
        floor_ = Fraction(0) if low is None or low < 0 else low
        floor_open = numbers.low_open if low is not None and low >= 0 else False
        options.append(_positive(floor_, high, low_open=floor_open, high_open=numbers.high_open))
    if low is None or low < 0:
        floor_ = Fraction(0) if high is None or high >= 0 else -high
        floor_open = numbers.high_open if high is not None and high <= 0 else False
        ceiling = None if low is None else -low
        negative = _positive(floor_, ceiling, low_open=floor_open, high_open=numbers.low_open)
        options.append(sequence(literal("-"), negative))
    found = choice(*options)
    return NEVER if found == NEVER else Lexeme(found)


_MANTISSA: Node = sequence(chars("123456789"), _FREE)
_TINY: Node = sequence(
    _MANTISSA,
    chars("eE"),
    literal("-"),
    choice(sequence(literal("0"), chars("56789")), sequence(chars((49, 57)), DIGIT)),
)
_TINY_BELOW = Fraction(1, 10_000)  # as json.dumps writes it
_HUGE: Node = sequence(
    _MANTISSA,
    chars("eE"),
    optional(literal("+")),
    choice(
        sequence(literal("1"), chars("6789")),
        sequence(chars((50, 57)), DIGIT),
        sequence(chars("12"), DIGIT, DIGIT),
    ),
)
_HUGE_FROM = 10**16


def _positive(low: Fraction, high: Fraction | None, *, low_open: bool, high_open: bool) -> Node:
    """Non-negative decimals from `low` to `high`."""
    options: list[Node] = []
    if low == 0 and (high is None or high > _TINY_BELOW or (high == _TINY_BELOW and not high_open)):
        options.append(_TINY)
    if high is None and (low < _HUGE_FROM or (low == _HUGE_FROM and not low_open)):
        options.append(_HUGE)
    start, stop = floor(low), None if high is None else floor(high)
    if stop is None or stop > start:
        is_beside = high_open and high == stop  # what lies below the last whole number is rounded up to the bound
        last = None if stop is None else stop - 1
        first_open = is_beside and start == last
        options.append(_whole_part(start, _digits(low - start), None, low_open=low_open, high_open=first_open))
        between = integer_between(start + 1, last - 1 if last is not None and is_beside else last)
        if between != NEVER:
            options.append(sequence(_inside(between), _FREE))
        if last is not None and is_beside and last > start:
            options.append(_whole_part(last, None, None, low_open=False, high_open=True))
        if high is not None and stop is not None:
            options.append(_whole_part(stop, None, _digits(high - stop), low_open=False, high_open=high_open))
    else:
        assert high is not None
        options.append(
            _whole_part(start, _digits(low - start), _digits(high - start), low_open=low_open, high_open=high_open)
        )
    return choice(*options)


def _digits(fraction: Fraction) -> str:
    """Digits after the point. Raises: Inexpressible where they don't end."""
    digits = ""
    while fraction:
        fraction *= 10
        digits += str(int(fraction))
        fraction -= int(fraction)
        if len(digits) > 400:
            raise Inexpressible("a bound has too many digits")
    return digits


def _whole_part(whole: int, low: str | None, high: str | None, *, low_open: bool, high_open: bool) -> Node:
    """Numbers with this whole part whose fraction is at least `low` and at most `high`; None: no bound.

    `high_open` without `high`: the next whole number is an open bound.
    """
    depth = _DIGITS_TOLD_APART - len(str(whole))
    fractions = _fractions(low, high, low_open, high_open, depth)
    options = [sequence(literal("."), fractions)] if fractions != NEVER else []
    above = low is None or (low == "" and not low_open)
    below = high is None or high != "" or not high_open
    if above and below:
        options.append(EMPTY)
    return sequence(literal(str(whole)), choice(*options)) if options else NEVER


def _fractions(low: str | None, high: str | None, low_open: bool, high_open: bool, depth: int) -> Node:
    """One or more digits that, read after a point, lie between two others."""
    if low is not None and low == "" and not low_open:
        low = None
    if depth <= 0 and ((low is not None and low_open) or high_open):
        return NEVER
    most = depth if high_open else MOST_DIGITS  # further nines would be rounded up to the bound
    if low is None and high is None:
        return repeat(DIGIT, 1, most)
    first = int(low[0]) if low else 0
    last = int(high[0]) if high else (0 if high is not None else 9)
    options: list[Node] = []
    for digit in range(first, last + 1):
        is_low = low is not None and digit == first
        is_high = high is not None and digit == last
        if not is_low and not is_high:
            continue
        options.append(
            sequence(
                literal(str(digit)),
                _after(
                    low[1:] if is_low and low is not None else None,
                    high[1:] if is_high and high is not None else None,
                    low_open,
                    high_open,
                    depth - 1,
                ),
            )
        )
    free_first = first + (1 if low is not None else 0)
    free_last = last - (1 if high is not None else 0)
    if free_first <= free_last:
        options.append(
            sequence(chars((48 + free_first, 48 + free_last)), repeat(DIGIT, 0, most - 1 if high_open else most))
        )
    return choice(*options)


def _after(low: str | None, high: str | None, low_open: bool, high_open: bool, depth: int) -> Node:
    """What may follow a digit: nothing, if the number may end here, or more digits."""
    if high == "" and not high_open and low is None:
        return repeat(literal("0"), 0, MOST_DIGITS)
    if low == "" and low_open and high is None and depth <= 0:
        return NEVER
    if high == "":
        if high_open:
            return NEVER
        if low is not None and (low.strip("0") or low_open):
            return NEVER
        return repeat(literal("0"), 0, MOST_DIGITS)
    low_ok = low is None or (low.strip("0") == "" and not low_open)
    more = _fractions(low, high, low_open, high_open, depth)
    return choice(more, *([EMPTY] if low_ok else []))

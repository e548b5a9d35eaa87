"""Numbers between whole bounds, as digits.

A range is cut into blocks whose digits vary freely from some place on: 0–59 is [0-9] or [1-5][0-9]. The number of
blocks grows with the number of digits, not with the size of the range.
"""

from collections.abc import Iterator

from grammars.json_text import DIGIT, INTEGER, MOST_DIGITS
from grammars.tree import EMPTY, NEVER, Lexeme, Node, chars, choice, literal, repeat, sequence


def integer_between(low: int | None, high: int | None) -> Node:
    """Integers from `low` to `high`, both included; None means without bound. NEVER if there is none."""
    if low is None and high is None:
        return INTEGER
    negative = _magnitudes(1 if high is None or high >= 0 else -high, None if low is None else -low)
    positive = _magnitudes(0 if low is None or low < 0 else low, high)
    if low is not None and low >= 0:
        negative = NEVER
    if high is not None and high < 0:
        positive = NEVER
    return _lexeme(choice(positive, sequence(literal("-"), negative)))


def _lexeme(node: Node) -> Node:
    return NEVER if node == NEVER else Lexeme(node)


def _magnitudes(low: int, high: int | None) -> Node:
    """Non-negative integers in a range, without leading zeros."""
    if high is not None and low > high:
        return NEVER
    options = []
    if low == 0:
        options.append(literal("0"))
        low = 1
    top = len(str(high)) if high is not None else len(str(low))
    for digits in range(len(str(low)), top + 1):
        start = max(low, 10 ** (digits - 1))
        stop = min(high, 10**digits - 1) if high is not None else 10**digits - 1
        options += [_block(*block) for block in _blocks(str(start), str(stop))] if start <= stop else []
    if high is None:
        options.append(sequence(chars((ord("1"), ord("9"))), repeat(DIGIT, top, top + MOST_DIGITS)))
    return choice(*options)


def _blocks(low: str, high: str) -> Iterator[tuple[str, str, str, int]]:
    """Cut a range of equally long numbers into (prefix, first digit, last digit, count of free digits)."""
    if not low:
        yield "", "", "", 0
        return
    prefix = _common_prefix(low, high)
    if prefix == low:
        yield prefix, "", "", 0
        return
    start, stop, rest = low[len(prefix)], high[len(prefix)], len(low) - len(prefix) - 1
    low_tail, high_tail = low[len(prefix) + 1 :], high[len(prefix) + 1 :]
    first, last = int(start), int(stop)
    if low_tail.strip("0"):
        for head, one, other, free in _blocks(low_tail, "9" * rest):
            yield prefix + start + head, one, other, free
        first += 1
    high_partial = high_tail.strip("9") != ""
    if high_partial:
        last -= 1
    if first <= last:
        yield prefix, str(first), str(last), rest
    if high_partial:
        for head, one, other, free in _blocks("0" * rest, high_tail):
            yield prefix + stop + head, one, other, free


def _block(prefix: str, first: str, last: str, free: int) -> Node:
    digit = chars((ord(first), ord(last))) if first else EMPTY
    return sequence(literal(prefix), digit, repeat(DIGIT, free, free))


def _common_prefix(one: str, other: str) -> str:
    for index, (left, right) in enumerate(zip(one, other, strict=True)):
        if left != right:
            return one[:index]
    return one

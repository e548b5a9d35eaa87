"""Arrays: a prefix place by place, further items, how many, how many of a kind, and each only once.

Without counting, an array is its prefix and a repetition. With `contains` the items are counted in a small table of
states (how many items, how many of the kind), and `uniqueItems` over a few known values walks the sets of values used.
"""

from collections.abc import Callable
from math import prod

from grammars.errors import Inexpressible
from grammars.json_text import Punctuation
from grammars.shapes import Items, Logic
from grammars.terms import Term
from grammars.tree import EMPTY, NEVER, Node, Rule, choice, optional, repeat, sequence

_MOST_UNIQUE = 8
_MOST_STATES = 3000


def array_node(
    items: Items,
    write: Callable[[Term], Node],
    values_of: Callable[[Term], list[Node] | None],
    logic: Logic,
    signs: Punctuation,
) -> Node:
    """`write` gives a term's node; `values_of` the values of a term that has only a few. Raises: Inexpressible."""
    if items.is_unique and not (items.high is not None and items.high <= 1):
        inside = _unique(items, values_of, signs)
    elif items.contains:
        inside = _containing(items, write, logic, signs)
    else:
        inside = _plain(items, write, signs)
    return sequence(signs.open_array, inside, signs.close_array)


def _plain(items: Items, write: Callable[[Term], Node], signs: Punctuation) -> Node:
    count = len(items.prefix)
    if items.high is not None:
        count = min(count, items.high)
    nodes = [write(term) for term in items.prefix[:count]]
    for index, node in enumerate(nodes):
        if node == NEVER:  # the array ends before this place
            return _places(nodes[:index], EMPTY, items.low, signs)
    rest_low = max(items.low - count, 0)
    rest_high = None if items.high is None else items.high - count
    rest = write(items.rest) if rest_high != 0 else NEVER
    if rest == NEVER:
        return _places(nodes, EMPTY, items.low, signs)
    if nodes:
        return _places(nodes, repeat(sequence(signs.comma, rest), rest_low, rest_high), items.low, signs)
    further = None if rest_high is None else rest_high - 1
    some = sequence(rest, repeat(sequence(signs.comma, rest), max(rest_low - 1, 0), further))
    return some if rest_low else optional(some)


def _places(nodes: list[Node], tail: Node, low: int, signs: Punctuation) -> Node:
    """The places in order, as many as wanted but at least `low`; the tail only after all of them."""
    if low > len(nodes) and tail == EMPTY:
        return NEVER
    node = tail
    for index in range(len(nodes) - 1, -1, -1):
        comma = signs.comma if index else EMPTY
        node = sequence(comma, nodes[index], node)
        if index >= low:
            node = optional(node)
    return node


def _containing(items: Items, write: Callable[[Term], Node], logic: Logic, signs: Punctuation) -> Node:
    if len(items.contains) > 2:
        raise Inexpressible("more than two counts of items")
    counting = _Counting(items, write, logic, signs)
    if counting.states > _MOST_STATES:
        raise Inexpressible("the counts of items are too large")
    return counting.after(0, (0,) * len(items.contains))


class _Counting:
    """The table of (items so far, how many of them are of each kind), as rules."""

    def __init__(self, items: Items, write: Callable[[Term], Node], logic: Logic, signs: Punctuation) -> None:
        self._items = items
        self._write = write
        self._logic = logic
        self._comma = signs.comma
        self._tops = [low if high is None else high + 1 for _, low, high in items.contains]
        bound = items.high if items.high is not None else items.low
        # from here on one more item changes nothing; 1 at least, for the first item has no comma before it
        self._last = max(len(items.prefix), bound + (items.high is not None), 1)
        self._rules: dict[tuple[int, ...], Rule] = {}
        self._pieces: dict[int, list[tuple[tuple[int, ...], Node]]] = {}

    @property
    def states(self) -> int:
        return (self._last + 1) * prod(top + 1 for top in self._tops)

    def after(self, count: int, seen: tuple[int, ...]) -> Node:
        """What may follow `count` items of which `seen` were of the kinds."""
        state = (min(count, self._last), *seen)
        if state in self._rules:
            return self._rules[state]
        rule = self._rules[state] = Rule("items")
        kinds = self._items.contains
        is_done = count >= self._items.low and all(n >= low for n, (_, low, _) in zip(seen, kinds, strict=True))
        options: list[Node] = [EMPTY] if is_done else []
        if self._items.high is None or count < self._items.high:
            for flags, node in self._items_at(min(count, len(self._items.prefix))):
                now = tuple(min(n + f, top) for n, f, top in zip(seen, flags, self._tops, strict=True))
                if all(high is None or n <= high for n, (_, _, high) in zip(now, kinds, strict=True)):
                    options.append(sequence(self._comma if count else EMPTY, node, self.after(count + 1, now)))
        return rule.define(choice(*options))

    def _items_at(self, index: int) -> list[tuple[tuple[int, ...], Node]]:
        """For an item at a place: which of the kinds it counts as, and its node."""
        if index not in self._pieces:
            found = self._pieces[index] = []
            for bits in range(2 ** len(self._tops)):
                flags = tuple(bits >> i & 1 for i in range(len(self._tops)))
                node = self._write(self._counted(index, flags))
                if node != NEVER:
                    found.append((flags, node))
        return self._pieces[index]

    def _counted(self, index: int, flags: tuple[int, ...]) -> Term:
        term = self._items.at(index)
        for flag, (kind, _, high) in zip(flags, self._items.contains, strict=True):
            if flag:
                term = self._logic.all_of(term, kind)
            elif high is not None:  # where there is a maximum, none may be counted less than it is
                term = self._logic.all_of(term, self._logic.not_(kind))
        return term


def _unique(items: Items, values_of: Callable[[Term], list[Node] | None], signs: Punctuation) -> Node:
    if items.prefix or items.contains:
        raise Inexpressible("it needs memory of all items, except where they are a few known values")
    values = values_of(items.rest)
    if values is None or len(values) > _MOST_UNIQUE:
        raise Inexpressible(f"it needs memory of all items, except where they are at most {_MOST_UNIQUE} known values")
    rules: dict[int, Rule] = {}

    def after(used: int) -> Node:
        if used in rules:
            return rules[used]
        rule = rules[used] = Rule("unique")
        count = used.bit_count()
        options: list[Node] = [EMPTY] if count >= items.low else []
        if items.high is None or count < items.high:
            for index, value in enumerate(values):
                if not used >> index & 1:
                    options.append(sequence(signs.comma if used else EMPTY, value, after(used | 1 << index)))
        return rule.define(choice(*options))

    return after(0)

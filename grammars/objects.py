"""Objects: the declared keys in their order, each there or not, then any further ones.

Every position after a comma has one continuation, so the tree is linear in the number of keys. A count of members
(`minProperties`, `maxProperties`) is carried along where it isn't settled by the required keys. Further keys may come
twice in a text; JSON's readers keep the last, so they count as one member at least, never more.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass

from grammars.demands import Demands, Ending, Way
from grammars.errors import Inexpressible
from grammars.json_text import Punctuation, canonical, word
from grammars.tree import EMPTY, NEVER, Node, Rule, choice, optional, repeat, sequence

_MOST_STATES = 3000


@dataclass(frozen=True, slots=True)
class Member:
    """One declared key."""

    name: str
    ways: tuple[Way, ...]
    is_required: bool


def object_node(
    members: Several[Member],
    extra: Node,
    signs: Punctuation,
    low: int = 0,
    high: int | None = None,
    demands: Demands | None = None,
) -> Node:
    """`extra`: a further member, key and value, or NEVER. Raises: Inexpressible."""
    certain = sum(member.is_required for member in members)
    if extra == NEVER:
        high = None if high is not None and high >= len(members) else high
        if low > len(members):
            return NEVER
    if high is not None and high < certain:
        return NEVER
    if demands is not None and demands.all:
        inside = _tabled(members, extra, low, high, signs, demands)
    elif low <= certain and high is None:
        inside = _uncounted(members, extra, signs)
    elif low == 1 and high is None:
        inside = _nonempty(members, extra, signs)
    else:
        inside = _tabled(members, extra, low, high, signs, None)
    return sequence(signs.open_object, inside, signs.close_object)


def entry(member: Member, signs: Punctuation, way: int = 0) -> Node:
    return signs.member(word(canonical(member.name)), member.ways[way].value)


def _uncounted(members: Several[Member], extra: Node, signs: Punctuation) -> Node:
    """Optional keys before the first required one end with a comma, all others begin with one."""
    extras = repeat(sequence(signs.comma, extra)) if extra != NEVER else EMPTY
    first = next((i for i, member in enumerate(members) if member.is_required), None)
    if first is None:
        return optional(_nonempty(members, extra, signs))
    before = [optional(sequence(entry(m, signs), signs.comma)) for m in members[:first]]
    after = [
        sequence(signs.comma, entry(m, signs)) if m.is_required else optional(sequence(signs.comma, entry(m, signs)))
        for m in members[first + 1 :]
    ]
    return sequence(*before, entry(members[first], signs), *after, extras)


def _nonempty(members: Several[Member], extra: Node, signs: Punctuation) -> Node:
    """At least one member; none is required. Halved again and again, so that the tree is flat and each key comes twice.

    `some` of a range of keys starts with a member, `more` of it is any number of members with a comma before each.
    """
    extras = repeat(sequence(signs.comma, extra)) if extra != NEVER else EMPTY

    def more(start: int, stop: int) -> Node:
        if (start, stop) not in known:
            if stop - start == 1:
                at = len(members) == start
                known[start, stop] = extras if at else optional(sequence(signs.comma, entry(members[start], signs)))
            else:
                middle = (start + stop) // 2
                known[start, stop] = Rule("more", sequence(more(start, middle), more(middle, stop)))
        return known[start, stop]

    def some(start: int, stop: int) -> Node:
        if stop - start == 1:
            return sequence(extra, extras) if start == len(members) else entry(members[start], signs)
        middle = (start + stop) // 2
        return choice(sequence(some(start, middle), more(middle, stop)), some(middle, stop))

    known: dict[tuple[int, int], Node] = {}
    count = len(members) + (extra != NEVER)
    return some(0, count) if count else NEVER


def _tabled(
    members: Several[Member], extra: Node, low: int, high: int | None, signs: Punctuation, demands: Demands | None
) -> Node:
    """The table of (next key, members so far, demands not met): a rule for each, made from the end to the beginning."""
    unmet = demands.all if demands is not None else 0
    if extra != NEVER and not unmet and low > len(members) + 1:
        raise Inexpressible("a key may come twice in a text, so further keys can't be counted up to a minimum")
    cap = max(low, 0 if high is None else high) + 1
    reached: list[dict[tuple[int, int], None]] = [{(0, unmet): None}]
    size = 0
    for member in members:
        states: dict[tuple[int, int], None] = {}
        for count, left in reached[-1]:
            states.update({(min(count + 1, cap), left & ~way.meets): None for way in member.ways})
            if not member.is_required:
                states[count, left] = None
        reached.append(states)
        size += len(states)
        if size > _MOST_STATES:
            raise Inexpressible("the count of members is too large")

    def rest(count: int) -> tuple[int, int | None]:
        return low - count, None if high is None else high - count

    after = {
        (count, left): _ending(demands.endings(left), extra, signs, count == 0, *rest(count))
        if left and demands is not None
        else _further(extra, signs, count == 0, *rest(count))
        for count, left in reached[-1]
    }
    for member, states in zip(reversed(members), reversed(reached[:-1]), strict=True):
        before = {}
        for count, left in states:
            comma = EMPTY if count == 0 else signs.comma
            options = []
            if high is None or count < high:
                options += [
                    sequence(comma, entry(member, signs, i), after[min(count + 1, cap), left & ~way.meets])
                    for i, way in enumerate(member.ways)
                ]
            if not member.is_required:
                options.append(after[count, left])
            found = choice(*options)
            before[count, left] = found if found in (NEVER, EMPTY) else Rule("members", found)
        after = before
    return after[0, unmet]


def _ending(
    endings: Several[Ending], extra: Node, signs: Punctuation, is_first: bool, low: int, high: int | None
) -> Node:
    """Further keys, with some at the end that meet the demands that are left."""
    if low > 1:
        raise Inexpressible("a count of members beside one that must be there without a name")
    found = []
    for ending in endings:
        spare = None if high is None else high - len(ending.members)
        if spare is not None and spare < 0:
            continue
        more = sequence(signs.comma, extra)
        tail = [node for member in ending.members[1:] for node in (signs.comma, member)]
        if ending.is_open and spare is None:
            tail.append(repeat(more))
        if is_first:
            found.append(sequence(repeat(sequence(extra, signs.comma), 0, spare), ending.members[0], *tail))
        else:
            found.append(sequence(repeat(more, 0, spare), signs.comma, ending.members[0], *tail))
    return choice(*found)


def _further(extra: Node, signs: Punctuation, is_first: bool, low: int, high: int | None) -> Node:
    """Keys of the classes, `low` (at most 1 can be told) to `high` of them."""
    if low > 1 or (high is not None and high < 0) or (extra == NEVER and low > 0):
        return NEVER
    if extra == NEVER or high == 0:
        return EMPTY if low <= 0 else NEVER
    if not is_first:
        return repeat(sequence(signs.comma, extra), max(low, 0), high)
    some = sequence(extra, repeat(sequence(signs.comma, extra), 0, None if high is None else high - 1))
    return some if low > 0 else optional(some)

"""Objects: the declared keys in their order, each there or not, then any further ones.

Every position after a comma has one continuation, so the tree is linear in the number of keys. A count of members
(`minProperties`, `maxProperties`) is carried along where it isn't settled by the required keys. Further keys may come
twice in a text; JSON's readers keep the last, so they count as one member at least, never more.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass

from grammars.errors import Inexpressible
from grammars.json_text import Punctuation, canonical, word
from grammars.tree import EMPTY, NEVER, Node, Rule, choice, optional, repeat, sequence

_MOST_STATES = 3000


@dataclass(frozen=True, slots=True)
class Member:
    """One declared key."""

    name: str
    value: Node
    is_required: bool


def object_node(
    members: Several[Member], extra: Node, signs: Punctuation, low: int = 0, high: int | None = None, last: Node = NEVER
) -> Node:
    """`extra`: a further member, key and value, or NEVER. `last`: a member that must come at the end, or NEVER.

    Raises: Inexpressible.
    """
    certain = sum(member.is_required for member in members)
    if extra == NEVER:
        high = None if high is not None and high >= len(members) else high
        if low > len(members):
            return NEVER
    if high is not None and high < certain:
        return NEVER
    if last != NEVER:
        if high is not None or low > certain + 1:
            raise Inexpressible("a count of members beside one that must be there")
        low = 0
    if low <= certain and high is None:
        inside = _uncounted(members, extra, last, signs)
    elif low == 1 and high is None:
        inside = _nonempty(members, extra, signs)
    else:
        inside = _counted(members, extra, low, high, signs)
    return sequence(signs.open_object, inside, signs.close_object)


def entry(member: Member, signs: Punctuation) -> Node:
    return sequence(word(canonical(member.name)), signs.colon, member.value)


def _uncounted(members: Several[Member], extra: Node, last: Node, signs: Punctuation) -> Node:
    """Optional keys before the first required one end with a comma, all others begin with one."""
    extras = repeat(sequence(signs.comma, extra)) if extra != NEVER else EMPTY
    first = next((i for i, member in enumerate(members) if member.is_required), None)
    if first is not None:
        before = [optional(sequence(entry(m, signs), signs.comma)) for m in members[:first]]
        after = [
            sequence(signs.comma, entry(m, signs))
            if m.is_required
            else optional(sequence(signs.comma, entry(m, signs)))
            for m in members[first + 1 :]
        ]
        end = EMPTY if last == NEVER else sequence(signs.comma, last)
        return sequence(*before, entry(members[first], signs), *after, extras, end)
    if last != NEVER:
        before = [optional(sequence(entry(m, signs), signs.comma)) for m in members]
        more = repeat(sequence(extra, signs.comma)) if extra != NEVER else EMPTY
        return sequence(*before, more, last)
    return optional(_nonempty(members, extra, signs))


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


def _counted(members: Several[Member], extra: Node, low: int, high: int | None, signs: Punctuation) -> Node:
    """The table of (next key, members so far)."""
    if extra != NEVER and low > len(members) + 1:
        raise Inexpressible("a key may come twice in a text, so further keys can't be counted up to a minimum")
    cap = max(low, 0 if high is None else high)
    if (len(members) + 1) * (cap + 1) > _MOST_STATES:
        raise Inexpressible("the count of members is too large")
    rules: dict[tuple[int, int, bool], Node] = {}

    def after(index: int, count: int, is_first: bool) -> Node:
        state = (index, min(count, cap + 1), is_first)
        if state in rules:
            return rules[state]
        comma = EMPTY if is_first else signs.comma
        if index == len(members):
            found = _further(extra, signs, is_first, low - count, None if high is None else high - count)
        else:
            member = members[index]
            options = []
            if high is None or count < high:
                options.append(sequence(comma, entry(member, signs), after(index + 1, count + 1, False)))
            if not member.is_required:
                options.append(after(index + 1, count, is_first))
            found = choice(*options)
        rules[state] = Rule("members", found) if found not in (NEVER, EMPTY) else found
        return rules[state]

    return after(0, 0, True)


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

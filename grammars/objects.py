"""Objects: the declared keys in their order, each there or not, then any further ones.

Every position after a comma has one continuation, so the tree is linear in the number of keys: `rest` number i says
what may follow once something has been written and keys before i are done.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass

from grammars.json_text import Punctuation
from grammars.strings import key
from grammars.tree import EMPTY, NEVER, Node, Rule, choice, optional, repeat, sequence


@dataclass(frozen=True, slots=True)
class Member:
    """One declared key."""

    name: str
    value: Node
    is_required: bool


def object_of(members: Items[Member], extra: Node, signs: Punctuation) -> Node:
    """`extra`: a further member, key and value, or NEVER."""
    extras = repeat(sequence(signs.comma, extra)) if extra != NEVER else EMPTY
    rests: list[Node] = [extras]
    for member in reversed(members):
        entry = sequence(signs.comma, _entry(member, signs))
        rest = sequence(entry if member.is_required else optional(entry), rests[0])
        rests.insert(0, Rule(f"after-{member.name}", rest) if len(members) > 3 else rest)
    return sequence(signs.open_object, _inside(members, rests, extra, signs), signs.close_object)


def _inside(members: Items[Member], rests: Items[Node], extra: Node, signs: Punctuation) -> Node:
    """Which member comes first: any optional one up to the first required one."""
    options: list[Node] = []
    for index, member in enumerate(members):
        options.append(sequence(_entry(member, signs), rests[index + 1]))
        if member.is_required:
            return choice(*options)
    if extra != NEVER:
        options.append(sequence(extra, rests[-1]))
    return choice(*options, EMPTY)


def _entry(member: Member, signs: Punctuation) -> Node:
    return sequence(key(member.name), signs.colon, member.value)

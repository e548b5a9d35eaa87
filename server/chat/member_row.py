"""The grammar of members in a fixed order, some of which may be left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import grammars
from grammars import Node
from grammars.tree import Rule


@dataclass(frozen=True, slots=True)
class Member:
    """A key with its value.

    Its separator is one literal with what follows it, because a lexer can't take back a shorter one.
    """

    first: Node
    """At the beginning."""
    later: Node
    """Behind another one, separator included."""
    is_required: bool


def member_row(members: Sequence[Member]) -> Node:
    follows: dict[bool, Node] = {False: grammars.literal(""), True: grammars.literal("")}
    for number, member in reversed(list(enumerate(members))):
        after = follows[True]
        follows = {
            has_previous: Rule(
                f"{'more' if has_previous else 'first'}-{number}",
                grammars.choice(
                    grammars.sequence(member.later if has_previous else member.first, after),
                    *(() if member.is_required else (follows[has_previous],)),
                ),
            )
            for has_previous in (False, True)
        }
    return follows[False]

"""Members that an object must have without their key being named: "some key outside of these", "some value that isn't".

They come from complements, as in `oneOf` of closed objects. Which demands are met so far is a set of bits that is
carried along while an object is written; what no declared key has met, further keys at the end must.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from grammars.errors import Inexpressible
from grammars.shapes import Logic, Members
from grammars.terms import Term
from grammars.texts import Text
from grammars.tree import NEVER, Node, choice

_MOST_DEMANDS = 4


@dataclass(frozen=True, slots=True)
class Way:
    """One way to write the value of a declared key, and the demands that it meets, as bits."""

    value: Node
    meets: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Further members, key and value, that meet what is left to meet."""

    members: tuple[Node, ...]
    is_open: bool
    """More may follow. Not where a value is demanded: a key may come twice in a text, and its last value counts."""


class Demands:
    """The demands of one object. `further`: the node of a member of these keys with such a value."""

    def __init__(self, members: Members, logic: Logic, further: Callable[[Text, Term], Node]) -> None:
        """Raises: Inexpressible, where they are too many."""
        self._demands = tuple((text, term) for text, term in members.some if not _is_met(text, term, members, logic))
        if len(self._demands) > _MOST_DEMANDS:
            raise Inexpressible(f"more than {_MOST_DEMANDS} members that must be there without a name")
        self._classes = members.classes
        self._logic = logic
        self._further = further

    @property
    def all(self) -> int:
        return (1 << len(self._demands)) - 1

    def ways(self, name: str, term: Term, node_of: Callable[[Term], Node]) -> tuple[Way, ...]:
        """The ways of a key whose value must satisfy the term; none where nothing does."""
        matched = [i for i, (text, _) in enumerate(self._demands) if text.matches(name)]
        always = sum(1 << i for i in matched if self._demands[i][1] is self._logic.any)
        asked = [i for i in matched if not always >> i & 1]
        found = []
        for size in range(len(asked), -1, -1):
            for chosen in combinations(asked, size):
                value = node_of(self._logic.all_of(term, *(self._demands[i][1] for i in chosen)))
                if value != NEVER:
                    found.append(Way(value, always | sum(1 << i for i in chosen)))
        return tuple(found)

    def endings(self, unmet: int) -> list[Ending]:
        """How further members may meet these demands: one for each, or one for several."""
        found = []
        for parts in _partitions([i for i in range(len(self._demands)) if unmet >> i & 1]):
            parts.sort(key=self._asks_values)
            asking = [part for part in parts if self._asks_values(part)]
            if any(self._may_share_a_key(one, other) for one, other in combinations(asking, 2)):
                continue  # the later would overwrite the earlier
            members = tuple(self._member(part) for part in parts)
            if NEVER not in members:
                found.append(Ending(members, not asking))
        return found

    def _asks_values(self, part: list[int]) -> bool:
        return any(self._demands[i][1] is not self._logic.any for i in part)

    def _may_share_a_key(self, one: list[int], other: list[int]) -> bool:
        text = self._keys(one + other)
        return text is not None and not text.is_empty

    def _keys(self, part: list[int]) -> Text | None:
        text: Text | None = Text()
        for i in part:
            text = None if text is None else text.meet(self._demands[i][0])
        return text

    def _member(self, part: list[int]) -> Node:
        keys = self._keys(part)
        if keys is None:
            return NEVER
        term = self._logic.all_of(*(self._demands[i][1] for i in part))
        return choice(
            *(
                self._further(met, self._logic.all_of(term, condition))
                for text, condition in self._classes
                if (met := keys.meet(text)) is not None
            )
        )


def _is_met(text: Text, term: Term, members: Members, logic: Logic) -> bool:
    """A required key meets it whatever its value is."""
    return term is logic.any and any(text.matches(name) for name in members.required)


def _partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for parts in _partitions(rest):
        yield [[first], *parts]
        for i, part in enumerate(parts):
            yield [*parts[:i], [first, *part], *parts[i + 1 :]]

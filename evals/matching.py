"""How well the calls made match the calls that are right: whole, nearly, and argument by argument.

Calls are matched without regard to their order, the likest pairs first.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from evals.case import GoldCall, MadeCall, canonical

FUZZY = 0.8
FUNCTIONAL = 0.5


@dataclass(frozen=True, slots=True)
class Match:
    """A gold call beside the call that was made for it, if any."""

    gold: GoldCall
    made: MadeCall | None

    @property
    def name_right(self) -> bool:
        return self.made is not None and self.made.name == self.gold.name

    @property
    def right_arguments(self) -> set[str]:
        """Arguments of the gold call given rightly to the right tool: letter case and kind of number aside."""
        return {key for key, value, accepted in self._given() if _folded(value) in map(_folded, accepted)}

    @property
    def arguments_to_the_letter(self) -> int:
        """Arguments of the gold call given exactly so."""
        return sum(canonical(value) in map(canonical, accepted) for _, value, accepted in self._given())

    @property
    def is_exact(self) -> bool:
        """Name and arguments right, and no argument more."""
        given = self.made.arguments if self.made and self.name_right else None
        return given is not None and set(given) == set(self.gold.arguments) == self.right_arguments

    @property
    def similarity(self) -> float:
        """0 for another tool; else the share of equal characters (Ratcliff and Obershelp) in canonical JSON."""
        if not self.name_right or self.made is None or self.made.arguments is None:
            return 0.0
        if self.is_exact:
            return 1.0
        given, wanted = canonical(self.made.arguments), canonical(self.gold.arguments)
        return SequenceMatcher(None, given, wanted, autojunk=False).ratio()

    def _given(self) -> list[tuple[str, Any, list[Any]]]:
        """Each argument of the gold call that was given, its value, and what counts as right."""
        if not self.name_right or self.made is None or self.made.arguments is None:
            return []
        given, variants = self.made.arguments, self.gold.variants
        return [
            (key, given[key], [value, *variants.get(key, ())])
            for key, value in self.gold.arguments.items()
            if key in given
        ]


def match_calls(gold: tuple[GoldCall, ...], made: list[MadeCall]) -> list[Match]:
    """One match for each gold call, in its order."""
    pairs = [
        (index, place, Match(wanted, call)) for index, wanted in enumerate(gold) for place, call in enumerate(made)
    ]
    pairs.sort(key=lambda pair: _likeness(pair[2]), reverse=True)
    matches: dict[int, Match] = {}
    taken: set[int] = set()
    for index, place, match in pairs:
        if index not in matches and place not in taken:
            matches[index] = match
            taken.add(place)
    return [matches.get(index, Match(wanted, None)) for index, wanted in enumerate(gold)]


def _likeness(match: Match) -> tuple[bool, bool, int, float]:
    return match.is_exact, match.name_right, len(match.right_arguments), match.similarity


def _folded(value: Any) -> str:
    """Letter case, outer blanks and the kind of number aside; "2" and 2 are the same."""
    return (value if isinstance(value, str) else canonical(value)).strip().casefold()

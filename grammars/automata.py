"""Finite automata over code points: what decides whether patterns, lengths and exclusions can hold together.

Regular tree nodes (no rules) become deterministic automata over a common alphabet of code point classes; products of
those give intersection and complement. All of it is bounded by a budget of states, so no pattern can hang us.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from grammars.errors import LimitExceeded
from grammars.tree import (
    MAX_CODE_POINT,
    NEVER,
    CharSet,
    Choice,
    Lexeme,
    Literal,
    Node,
    Repeat,
    Rule,
    Sequence,
    choice,
    merge_ranges,
    sequence,
)

MOST_STATES = 6_000
_SURROGATE_START, _SURROGATE_STOP = 0xD800, 0xE000


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Code points cut into classes that no charset in use tells apart: class i starts at `starts[i]`."""

    starts: tuple[int, ...]

    @staticmethod
    def of(nodes: Iterable[Node]) -> "Alphabet":
        cuts = {0, _SURROGATE_START, _SURROGATE_STOP}
        for node in nodes:
            _collect_cuts(node, cuts)
        cuts.discard(MAX_CODE_POINT + 1)
        return Alphabet(tuple(sorted(cuts)))

    def classes_in(self, ranges: tuple[tuple[int, int], ...]) -> list[int]:
        found: list[int] = []
        for low, high in ranges:
            found.extend(range(bisect_right(self.starts, low) - 1, bisect_right(self.starts, high)))
        return found

    def class_of(self, code: int) -> int:
        return bisect_right(self.starts, code) - 1

    def charset(self, classes: Iterable[int]) -> CharSet:
        """The characters of some classes, surrogates left out."""
        ranges = []
        for index in classes:
            low = self.starts[index]
            high = self.starts[index + 1] - 1 if index + 1 < len(self.starts) else MAX_CODE_POINT
            if low != _SURROGATE_START:
                ranges.append((low, high))
        return CharSet(merge_ranges(ranges))

    @property
    def usable(self) -> list[int]:
        return [i for i, start in enumerate(self.starts) if start != _SURROGATE_START]


@dataclass(frozen=True, slots=True)
class Automaton:
    """Deterministic: state 0 starts, `moves[state]` maps classes to states, a missing class is the end of the road."""

    alphabet: Alphabet
    moves: tuple[dict[int, int], ...]
    accepting: frozenset[int]

    def matches(self, text: str) -> bool:
        state = 0
        for character in text:
            following = self.moves[state].get(self.alphabet.class_of(ord(character)))
            if following is None:
                return False
            state = following
        return state in self.accepting

    @property
    def is_empty(self) -> bool:
        return not self.accepting

    def rules(self, name: str, write: Callable[[CharSet], Node], tail: Node) -> Node:
        """The language as right-linear rules, characters written by `write`, each text followed by `tail`."""
        if self.is_empty:
            return NEVER
        rules = [Rule(f"{name}-{state}") for state in range(len(self.moves))]
        for state, moves in enumerate(self.moves):
            by_target: dict[int, list[int]] = {}
            for cls, target in moves.items():
                by_target.setdefault(target, []).append(cls)
            options = [
                sequence(write(self.alphabet.charset(classes)), rules[target]) for target, classes in by_target.items()
            ]
            rules[state].define(choice(*options, *([tail] if state in self.accepting else [])))
        return rules[0]


def build(node: Node, alphabet: Alphabet) -> Automaton:
    """The automaton of a regular tree over decoded characters. Raises: LimitExceeded."""
    return _determinise(_Nfa.of(node, alphabet), alphabet)


def counter(low: int, high: int | None, alphabet: Alphabet) -> Automaton:
    """Texts of `low` to `high` characters."""
    top = low if high is None else high
    usable = alphabet.usable
    moves: list[dict[int, int]] = [dict.fromkeys(usable, i + 1) for i in range(top)]
    moves.append(dict.fromkeys(usable, top) if high is None else {})
    return Automaton(alphabet, tuple(moves), frozenset(range(low, top + 1)))


def meet(accept: list[Automaton], reject: list[Automaton], alphabet: Alphabet, most: int = MOST_STATES) -> Automaton:
    """Texts that all of `accept` and none of `reject` match; dead ends trimmed. Raises: LimitExceeded."""
    usable = alphabet.usable
    start: tuple[int, ...] = (0,) * (len(accept) + len(reject))
    numbers = {start: 0}
    queue = [start]
    moves: list[dict[int, int]] = []
    accepting: set[int] = set()
    split = len(accept)
    for state in queue:
        if all(s in a.accepting for s, a in zip(state[:split], accept, strict=True)) and not any(
            s in r.accepting for s, r in zip(state[split:], reject, strict=True)
        ):
            accepting.add(len(moves))
        row: dict[int, int] = {}
        ahead = [a.moves[s] for s, a in zip(state[:split], accept, strict=True)]
        against = [r.moves[s] if s >= 0 else {} for s, r in zip(state[split:], reject, strict=True)]
        for cls in min(ahead, key=len) if ahead else usable:
            target = tuple([m.get(cls, -1) for m in ahead])
            if -1 in target:
                continue
            target += tuple([m.get(cls, -1) for m in against])
            number = numbers.get(target)
            if number is None:
                number = numbers[target] = len(queue)
                queue.append(target)
                if number > most:
                    raise LimitExceeded(f"these patterns together need more than {most} states")
            row[cls] = number
        moves.append(row)
    return minimal(_trimmed(moves, accepting, alphabet))


def _trimmed(moves: list[dict[int, int]], accepting: set[int], alphabet: Alphabet) -> Automaton:
    """Only states from which a text can still end."""
    back: list[list[int]] = [[] for _ in moves]
    for state, row in enumerate(moves):
        for target in set(row.values()):
            back[target].append(state)
    alive, stack = set(accepting), list(accepting)
    while stack:
        for state in back[stack.pop()]:
            if state not in alive:
                alive.add(state)
                stack.append(state)
    if 0 not in alive:
        return Automaton(alphabet, ({},), frozenset())
    order = [0, *(state for state in range(1, len(moves)) if state in alive)]
    number = {state: i for i, state in enumerate(order)}
    rows = tuple({c: number[t] for c, t in moves[state].items() if t in alive} for state in order)
    return Automaton(alphabet, rows, frozenset(number[s] for s in accepting))


def minimal(automaton: Automaton) -> Automaton:
    """Equivalent states made one (Moore's partition refinement)."""
    count = len(automaton.moves)
    if count > MOST_STATES:
        return automaton
    group = [1 if state in automaton.accepting else 0 for state in range(count)]
    groups = len(set(group))
    while True:
        keys: dict[object, int] = {}
        fresh = [
            keys.setdefault((group[s], frozenset((c, group[t]) for c, t in automaton.moves[s].items())), len(keys))
            for s in range(count)
        ]
        if len(keys) == groups:
            break
        group, groups = fresh, len(keys)
        if groups * count > 4_000_000:  # large and nearly minimal already: merging would cost more than it saves
            return automaton
    if groups == count:
        return automaton
    first: dict[int, int] = {}
    for state in range(count):
        first.setdefault(group[state], state)
    number = {g: i for i, g in enumerate(first)}  # state 0 comes first, so its group is 0
    rows = tuple({c: number[group[t]] for c, t in automaton.moves[s].items()} for s in first.values())
    return Automaton(automaton.alphabet, rows, frozenset(number[group[s]] for s in automaton.accepting))


class _Nfa:
    """Thompson's construction; states are numbers, empty moves kept apart."""

    def __init__(self) -> None:
        self.empty: list[list[int]] = []
        self.moves: list[list[tuple[list[int], int]]] = []

    @staticmethod
    def of(node: Node, alphabet: Alphabet) -> "_Nfa":
        nfa = _Nfa()
        start = nfa.state()
        nfa.end = nfa.add(node, start, alphabet)
        return nfa

    end: int

    def state(self) -> int:
        if len(self.moves) > 4 * MOST_STATES:
            raise LimitExceeded("a pattern's repetitions multiply to too many states")
        self.empty.append([])
        self.moves.append([])
        return len(self.moves) - 1

    def add(self, node: Node, start: int, alphabet: Alphabet) -> int:
        """Append `node` after `start`; gives the state where it ends."""
        match node:
            case Literal(text):
                for character in text:
                    following = self.state()
                    self.moves[start].append(([alphabet.class_of(ord(character))], following))
                    start = following
                return start
            case CharSet(ranges):
                following = self.state()
                self.moves[start].append((alphabet.classes_in(ranges), following))
                return following
            case Sequence(items):
                for item in items:
                    start = self.add(item, start, alphabet)
                return start
            case Choice(options):
                end = self.state()
                for option in options:
                    fork = self.state()
                    self.empty[start].append(fork)
                    self.empty[self.add(option, fork, alphabet)].append(end)
                return end
            case Repeat(item, low, high):
                return self._repeat(item, low, high, start, alphabet)
            case Lexeme(body):
                return self.add(body, start, alphabet)
            case _:
                raise TypeError("a regular tree has no rules")

    def _repeat(self, item: Node, low: int, high: int | None, start: int, alphabet: Alphabet) -> int:
        for _ in range(low):
            start = self.add(item, start, alphabet)
        if high is None:
            loop, end = self.state(), self.state()
            self.empty[start] += [loop]
            self.empty[loop].append(end)
            self.empty[self.add(item, loop, alphabet)].append(loop)
            return end
        end = self.state()
        for _ in range(high - low):
            self.empty[start].append(end)
            start = self.add(item, start, alphabet)
        self.empty[start].append(end)
        return end

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        found = set(states)
        stack = list(found)
        while stack:
            for state in self.empty[stack.pop()]:
                if state not in found:
                    found.add(state)
                    stack.append(state)
        return frozenset(found)


def _determinise(nfa: _Nfa, alphabet: Alphabet) -> Automaton:
    start = nfa.closure([0])
    numbers = {start: 0}
    queue = [start]
    moves: list[dict[int, int]] = []
    work = 0
    for states in queue:
        targets: dict[int, set[int]] = {}
        for state in states:
            for classes, following in nfa.moves[state]:
                work += len(classes)
                for cls in classes:
                    targets.setdefault(cls, set()).add(following)
        if work > 3_000_000:
            raise LimitExceeded("a pattern takes too long to turn into an automaton")
        closures: dict[frozenset[int], frozenset[int]] = {}
        row: dict[int, int] = {}
        for cls, reached in targets.items():
            frozen = frozenset(reached)
            target = closures.get(frozen)
            if target is None:
                target = closures[frozen] = nfa.closure(frozen)
                work += 10 * len(target)
            number = numbers.get(target)
            if number is None:
                number = numbers[target] = len(queue)
                queue.append(target)
                if number > MOST_STATES:
                    raise LimitExceeded(f"a pattern needs more than {MOST_STATES} states")
            row[cls] = number
        moves.append(row)
    accepting = {i for i, states in enumerate(queue) if nfa.end in states}
    return _trimmed(moves, accepting, alphabet)


def _collect_cuts(node: Node, cuts: set[int]) -> None:
    match node:
        case Literal(text):
            for character in text:
                cuts.add(ord(character))
                cuts.add(ord(character) + 1)
        case CharSet(ranges):
            for low, high in ranges:
                cuts.add(low)
                cuts.add(high + 1)
        case Sequence(items) | Choice(items):
            for item in items:
                _collect_cuts(item, cuts)
        case Repeat(item, _, _) | Lexeme(item):
            _collect_cuts(item, cuts)
        case Rule():
            raise TypeError("a regular tree has no rules")

"""Finite automata over code points: what decides whether patterns, lengths and exclusions can hold together.

Regular tree nodes (no rules) become deterministic automata over a common alphabet of code point classes; products of
those give intersection and complement. All of it is bounded by a budget of states, so no pattern can hang us.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from grammars.effort import spend
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


def joint(alphabets: Iterable[Alphabet]) -> Alphabet:
    """Classes that are fine enough for all of these."""
    return Alphabet(tuple(sorted({start for alphabet in alphabets for start in alphabet.starts})))


def lifted(automaton: Automaton, alphabet: Alphabet) -> Automaton:
    """The same over a finer alphabet."""
    starts = automaton.alphabet.starts
    if starts == alphabet.starts:
        return automaton
    finer: list[list[int]] = [[] for _ in starts]
    for cls, start in enumerate(alphabet.starts):
        finer[bisect_right(starts, start) - 1].append(cls)
    rows = tuple([{f: t for c, t in row.items() for f in finer[c]} for row in automaton.moves])
    spend(sum(map(len, rows)) // 8)
    return Automaton(alphabet, rows, automaton.accepting)


class _Product:
    """The states in which all of `accept` and some of `reject` are at the same time, found one after the other."""

    def __init__(self, accept: list[Automaton], reject: list[Automaton], alphabet: Alphabet, most: int) -> None:
        self._accept = accept
        self._reject = reject
        self._usable = alphabet.usable
        self._most = most
        self.states: list[tuple[int, ...]] = [(0,) * (len(accept) + len(reject))]
        self._numbers = {self.states[0]: 0}

    def is_accepting(self, state: tuple[int, ...]) -> bool:
        split = len(self._accept)
        return all(s in a.accepting for s, a in zip(state[:split], self._accept, strict=True)) and not any(
            s in r.accepting for s, r in zip(state[split:], self._reject, strict=True)
        )

    def moves(self, state: tuple[int, ...]) -> dict[int, int]:
        """Raises: LimitExceeded."""
        split = len(self._accept)
        ahead = [a.moves[s] for s, a in zip(state[:split], self._accept, strict=True)]
        against = [r.moves[s] if s >= 0 else {} for s, r in zip(state[split:], self._reject, strict=True)]
        row: dict[int, int] = {}
        classes = min(ahead, key=len) if ahead else self._usable
        spend(1 + len(classes))
        for cls in classes:
            target = tuple([m.get(cls, -1) for m in ahead])
            if -1 in target:
                continue
            if against:
                target += tuple([m.get(cls, -1) for m in against])
            number = self._numbers.get(target)
            if number is None:
                number = self._numbers[target] = len(self.states)
                self.states.append(target)
                if number > self._most:
                    raise LimitExceeded(f"these patterns together need more than {self._most} states")
            row[cls] = number
        return row


def meet(accept: list[Automaton], reject: list[Automaton], alphabet: Alphabet, most: int = MOST_STATES) -> Automaton:
    """Texts that all of `accept` and none of `reject` match; dead ends trimmed. Raises: LimitExceeded."""
    product = _Product(accept, reject, alphabet, most)
    moves = [product.moves(state) for state in product.states]
    accepting = {i for i, state in enumerate(product.states) if product.is_accepting(state)}
    return minimal(_trimmed(moves, accepting, alphabet))


def can_meet(accept: list[Automaton], reject: list[Automaton], alphabet: Alphabet) -> bool:
    """Some text is matched by all of `accept` and none of `reject`; looks no further than the first. Raises:
    LimitExceeded."""
    product = _Product(accept, reject, alphabet, MOST_STATES)
    for state in product.states:  # grows while it is gone through
        if product.is_accepting(state):
            return True
        product.moves(state)
    return False


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
    classes: dict[tuple[int, ...], int] = {}
    rows_of: list[list[int]] = []
    group: list[int] = []
    for state, row in enumerate(automaton.moves):
        order = sorted(row)
        # all states lead somewhere that can end, so those that go on with different characters differ
        kind = classes.setdefault(tuple(order), len(classes))
        rows_of.append([row[c] for c in order])
        group.append(2 * kind + (state in automaton.accepting))
    groups = len(set(group))
    width = 1 + sum(map(len, rows_of)) // 8
    while True:
        spend(width)
        keys: dict[tuple[int, ...], int] = {}
        fresh = [
            keys.setdefault((group[state], *[group[t] for t in row]), len(keys)) for state, row in enumerate(rows_of)
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
    for states in queue:
        work = 0
        targets: dict[int, set[int]] = {}
        for state in states:
            for classes, following in nfa.moves[state]:
                work += len(classes)
                for cls in classes:
                    targets.setdefault(cls, set()).add(following)
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
        spend(work // 3)
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

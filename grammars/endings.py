"""The shortest way from any place in a grammar's texts to a legal end.

A text is followed byte by byte with all stacks of what may still come, as llama.cpp's grammars are. Every stack knows
the fewest bytes that bring it to an end, so the shortest end is there at every place without a search. It is a second
reading of the grammar beside the constraint engine's, and says nothing of what is allowed; tests hold the two together.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grammars.errors import LimitExceeded
from grammars.strings import except_node
from grammars.tree import (
    MAX_CODE_POINT,
    NEVER,
    CharSet,
    Choice,
    Except,
    Lexeme,
    Literal,
    Meet,
    Node,
    Range,
    Repeat,
    Rule,
    Sequence,
    literal,
    rules_in,
    sequence,
)

_LONGEST = 100_000
"""Bytes; a grammar whose shortest text is longer counts as one without texts."""
_MOST_STACKS = 20_000
_LEAST_OF_LENGTH = {2: 0x80, 3: 0x800, 4: 0x10000}
"""The first code point that UTF-8 writes with so many bytes."""
_SURROGATES = (0xD800, 0xDFFF)


class Endings:
    """A grammar, seen from its ends. Read-only once it is made, and so thread-safe."""

    def __init__(self, root: Node) -> None:
        """Raises: LimitExceeded, for grammars that begin with themselves too."""
        self._root = root
        self._plain: dict[int, tuple[Node, Node]] = {}
        self._texts: dict[int, tuple[Node, bytes | None]] = {}
        try:
            self._find_texts()
            stacks = _Stacks(self)
            for rule in rules_in(root):
                for _ in stacks.terminals(stacks.push(rule, 0, stacks.end)):
                    pass
        except RecursionError as error:
            raise LimitExceeded("the grammar is nested too deep") from error
        if self.text(root) is None:
            raise LimitExceeded(f"the grammar has no text of {_LONGEST} bytes or less")

    def begin(self) -> "Place":
        """Before the first byte. Each call's places share a memory of their own."""
        stacks = _Stacks(self)
        return Place(stacks, stacks.push(self._root, 0, stacks.end), b"")

    def text(self, node: Node, position: int = 0) -> bytes | None:
        """The shortest text of a node, of which so much has been read; None if there is none."""
        match node:
            case Literal(text):
                return text[position:].encode()
            case Sequence(items):
                return _joined(self.text(item) for item in items[position:])
            case Repeat(item, low, _):
                return _joined([self.text(item)] * (low - position)) if low > position else b""
        known = self._texts.get(id(node))
        if known is None:
            known = self._texts[id(node)] = (node, self._text(node))
        return known[1]

    def plain(self, node: Meet | Except) -> Node:
        """The node without operators."""
        known = self._plain.get(id(node))
        if known is None:
            if isinstance(node, Meet):
                known = node, node.plain.node
            else:
                known = node, sequence(except_node(node.words), literal(node.suffix))
            self._plain[id(node)] = known
        return known[1]

    def _text(self, node: Node) -> bytes | None:
        match node:
            case CharSet(ranges):
                return chr(_likely(ranges)).encode() if ranges else None
            case Choice(options):
                return min((t for t in map(self.text, options) if t is not None), key=len, default=None)
            case Lexeme(body):
                return self.text(body)
            case Meet() | Except():
                return self.text(self.plain(node))
            case _:
                return None  # a rule that has not been reached yet

    def _find_texts(self) -> None:
        """The least fixed point over the rules: what is found for one may shorten another."""
        rules = rules_in(self._root)
        found: dict[Rule, bytes | None] = dict.fromkeys(rules)
        is_changed = True
        while is_changed:
            is_changed = False
            self._texts = {id(rule): (rule, found[rule]) for rule in rules}
            for rule in reversed(rules):
                text, known = self.text(rule.body), found[rule]
                if text is not None and (known is None or len(text) < len(known)):
                    found[rule] = text
                    self._texts[id(rule)] = (rule, text)
                    is_changed = True


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """What may still come: the rest of `node` from `position` on, then `rest`."""

    node: Node
    position: int
    """Characters of a literal, items of a sequence or a repetition that have been read."""
    rest: "Stack | None"
    length: int
    """The fewest bytes to an end."""


class _Stacks:
    """All stacks of one text, each once, so that the same place is found to be the same."""

    def __init__(self, endings: Endings) -> None:
        self.endings = endings
        self.end = Stack(NEVER, 0, None, 0)
        self._known: dict[tuple[int, int, int], Stack | None] = {}
        self._terminals: dict[int, tuple[Stack, ...]] = {}

    def push(self, node: Node, position: int, rest: Stack) -> tuple[Stack, ...]:
        """The stack, or none if nothing can come of it."""
        key = id(node), position, id(rest)
        if key not in self._known:
            text = self.endings.text(node, position)
            self._known[key] = None if text is None else Stack(node, position, rest, len(text) + rest.length)
        found = self._known[key]
        return () if found is None else (found,)

    def terminals(self, stacks: Iterable[Stack]) -> Iterator[Stack]:
        """The stacks with a character on top that these come to. Raises: LimitExceeded, if they never do."""
        for stack in stacks:
            if id(stack) not in self._terminals:
                self._terminals[id(stack)] = tuple(self._reached(stack))
            yield from self._terminals[id(stack)]

    def _reached(self, stack: Stack) -> Iterator[Stack]:
        seen, waiting = {id(stack)}, [stack]
        while waiting:
            top = waiting.pop()
            if isinstance(top.node, (Literal, CharSet)):
                yield top
                continue
            for below in self._below(top):
                if id(below) not in seen:
                    seen.add(id(below))
                    waiting.append(below)
            if len(seen) > _MOST_STACKS:
                raise LimitExceeded("the grammar is too ambiguous for its ends to be known")

    def _below(self, top: Stack) -> tuple[Stack, ...]:
        if top.rest is None:
            return ()
        match top.node:
            case Sequence(items):
                if top.position == len(items):
                    return (top.rest,)
                return self._item(items[top.position], top, top.position + 1, is_last=top.position + 1 == len(items))
            case Repeat(item, low, high):
                count = top.position
                more = high is None or count < high
                after = min(count + 1, low) if high is None else count + 1
                again = self._item(item, top, after, is_last=after == high) if more else ()
                return (*again, top.rest) if count >= low else again
            case Choice(options):
                return tuple(s for option in options for s in self.push(option, 0, top.rest))
            case Lexeme(body) | Rule(body=body):
                return self.push(body, 0, top.rest)
            case Meet() | Except():
                return self.push(self.endings.plain(top.node), 0, top.rest)
            case _:
                return ()

    def _item(self, item: Node, top: Stack, position: int, *, is_last: bool) -> tuple[Stack, ...]:
        assert top.rest is not None
        rests = (top.rest,) if is_last else self.push(top.node, position, top.rest)
        return tuple(stack for rest in rests for stack in self.push(item, 0, rest))

    def after(self, stacks: Iterable[Stack], code: int) -> tuple[Stack, ...]:
        """Where a character leads."""
        found: dict[int, Stack] = {}
        for top in self.terminals(stacks):
            found |= {id(stack): stack for stack in self._past(top, code)}
        return tuple(found.values())

    def _past(self, top: Stack, code: int) -> tuple[Stack, ...]:
        assert top.rest is not None
        if isinstance(top.node, Literal):
            text, following = top.node.text, top.position + 1
            if ord(text[top.position]) != code:
                return ()
            return (top.rest,) if following == len(text) else self.push(top.node, following, top.rest)
        return (top.rest,) if isinstance(top.node, CharSet) and _has(top.node.ranges, code) else ()


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place in a text of a grammar, between any two bytes."""

    stacks: _Stacks
    tops: tuple[Stack, ...]
    """All readings of the text before it, but for a character that is not whole."""
    partial: bytes
    """The beginning of that character."""

    @property
    def end(self) -> bytes:
        """The fewest bytes that make the text whole; none if it is."""
        if not self.partial:
            return self._end(min(self.tops, key=lambda top: top.length))
        low, high = _characters(self.partial)
        ends = []
        for top in self.stacks.terminals(self.tops):
            ranges = top.node.ranges if isinstance(top.node, CharSet) else _ranges_of(top)
            for code in _within(ranges, low, high):
                rest = [self._end(stack) for stack in self.stacks.after((top,), code)]
                ends += [chr(code).encode()[len(self.partial) :] + end for end in rest]
        return min(ends, key=len)

    @property
    def is_end(self) -> bool:
        """The text is whole here, though more may be allowed."""
        return not self.partial and any(top.length == 0 for top in self.tops)

    def after(self, data: bytes) -> "Place | None":
        """The place behind these bytes; None if the grammar does not have them here, or in too many ways."""
        try:
            return self._after(data)
        except LimitExceeded:
            return None

    def _after(self, data: bytes) -> "Place | None":
        tops, partial = self.tops, self.partial
        for byte in data:
            partial += bytes((byte,))
            if byte >= 0x80 or len(partial) > 1:
                code = _whole(partial)
                if code is None:
                    if not _begins_character(partial):
                        return None
                    continue
            else:
                code = byte
            tops, partial = self.stacks.after(tops, code), b""
            if not tops:
                return None
        place = Place(self.stacks, tops, partial)
        return None if partial and not place._can_go_on() else place

    def _can_go_on(self) -> bool:
        low, high = _characters(self.partial)
        terminals = self.stacks.terminals(self.tops)
        return any(_within(_ranges_of(top), low, high) for top in terminals)

    def _end(self, top: Stack) -> bytes:
        texts = []
        while top.rest is not None:
            texts.append(self.stacks.endings.text(top.node, top.position) or b"")
            top = top.rest
        return b"".join(texts)


def _joined(texts: Iterable[bytes | None]) -> bytes | None:
    whole = bytearray()
    for text in texts:
        if text is None or len(whole) + len(text) > _LONGEST:
            return None
        whole += text
    return bytes(whole)


def _likely(ranges: tuple[Range, ...]) -> int:
    """A character that is good to read: the first digit or letter there is, else the first of all."""
    return (_within(ranges, ord("0"), ord("z")) or _within(ranges, 0, MAX_CODE_POINT))[0]


def _has(ranges: tuple[Range, ...], code: int) -> bool:
    found = bisect_right(ranges, (code, MAX_CODE_POINT)) - 1
    return found >= 0 and ranges[found][1] >= code


def _ranges_of(top: Stack) -> tuple[Range, ...]:
    if isinstance(top.node, CharSet):
        return top.node.ranges
    code = ord(top.node.text[top.position]) if isinstance(top.node, Literal) else -1
    return ((code, code),)


def _within(ranges: tuple[Range, ...], low: int, high: int) -> tuple[int, ...]:
    """The first of the code points between the two that is in the ranges, if there is one."""
    for first, last in ranges:
        code = max(first, low)
        if _SURROGATES[0] <= code <= _SURROGATES[1]:
            code = _SURROGATES[1] + 1
        if code <= min(last, high):
            return (code,)
    return ()


def _length(first: int) -> int:
    """Bytes of the UTF-8 character that begins with this one; 0 if none does."""
    return 2 if 0xC2 <= first <= 0xDF else 3 if 0xE0 <= first <= 0xEF else 4 if 0xF0 <= first <= 0xF4 else 0


def _whole(data: bytes) -> int | None:
    try:
        return ord(data.decode()) if len(data) == _length(data[0]) else None
    except UnicodeDecodeError:
        return None


def _begins_character(data: bytes) -> bool:
    low, high = _characters(data)
    return len(data) < _length(data[0]) and low <= high and all(0x80 <= byte <= 0xBF for byte in data[1:])


def _characters(partial: bytes) -> Range:
    """The first and the last code point whose UTF-8 begins with these bytes."""
    length = _length(partial[0])
    if not length:
        return 1, 0
    bits = partial[0] & (0x7F >> length)
    for byte in partial[1:]:
        bits = bits << 6 | byte & 0x3F
    missing = 6 * (length - len(partial))
    return max(bits << missing, _LEAST_OF_LENGTH[length]), min((bits + 1 << missing) - 1, MAX_CODE_POINT)

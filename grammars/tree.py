"""The grammar tree: what a schema is compiled to and what the emitters write out.

Text is Unicode code points. Nodes are immutable and may be shared; recursion goes through `Rule`, the one node whose
body is set after it was made. `Lexeme` marks a subtree without recursion that a lexer may match on its own: nothing
that can follow it could also continue it (a JSON string, a number, a comma).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_CODE_POINT = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class CharSet:
    """One code point out of these inclusive ranges, sorted and disjoint. Empty: nothing matches."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these; none at all matches nothing."""

    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`low` to `high` times in a row; `high` None means without end."""

    item: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A regular subtree that may be matched in one go."""

    body: "Node"


@dataclass(frozen=True, slots=True)
class Meet:
    """What all of `accept` and none of `reject` match, all of them lexemes. `plain` says the same without operators.

    No plain grammar: llguidance intersects while it runs. GBNF gets `plain`, which may be large and is made on demand.
    """

    accept: tuple["Node", ...]
    reject: tuple["Node", ...]
    plain: "Deferred"


class Deferred:
    """A node that is made when it is first wanted."""

    __slots__ = ("_make", "_node")

    def __init__(self, make: "Callable[[], Node]") -> None:
        self._make = make
        self._node: Node | None = None

    @property
    def node(self) -> "Node":
        if self._node is None:
            self._node = self._make()
        return self._node


@dataclass(frozen=True, slots=True)
class Except:
    """Any JSON string in canonical spelling but these words, quotes included; sorted."""

    words: tuple[str, ...]
    char: "Node"
    """One character in canonical spelling."""
    suffix: str = ""
    """What comes after the string."""


class Rule:
    """A named subtree, shared or recursive. Equality is identity."""

    __slots__ = ("_body", "name")

    def __init__(self, name: str, body: "Node | None" = None) -> None:
        self.name = name
        self._body = body

    @property
    def body(self) -> "Node":
        if self._body is None:
            raise ValueError(f"rule {self.name!r} has no body yet")
        return self._body

    def define(self, body: "Node") -> "Rule":
        """Give the rule its body, once."""
        if self._body is not None:
            raise ValueError(f"rule {self.name!r} has a body already")
        self._body = body
        return self

    def replace(self, body: "Node") -> None:
        """Put an equivalent body in the place of the present one."""
        self._body = body

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"


Node = Literal | CharSet | Sequence | Choice | Repeat | Lexeme | Meet | Except | Rule

EMPTY: Node = Sequence(())
"""Matches the empty text."""
NEVER: Node = Choice(())
"""Matches nothing."""


def literal(text: str) -> Node:
    return Literal(text) if text else EMPTY


def sequence(*items: Node) -> Node:
    """The items in order: nested sequences flattened, neighbouring literals joined, NEVER if any of them is."""
    flat: list[Node] = []
    for item in items:
        if item.__class__ is Sequence:
            for inner in item.items:
                _append(flat, inner)
        elif item.__class__ is Choice and not item.options:
            return NEVER
        else:
            _append(flat, item)
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def _append(flat: list[Node], item: Node) -> None:
    if item.__class__ is Literal and flat and flat[-1].__class__ is Literal:
        flat[-1] = Literal(flat[-1].text + item.text)
    else:
        flat.append(item)


def choice(*options: Node) -> Node:
    """One of the options: nested choices flattened, repeated ones and NEVER left out."""
    unique: dict[object, Node] = {}
    for given in options:
        for option in given.options if given.__class__ is Choice else (given,):
            # hashing a deep tree costs as much as the tree is large, so only leaves are compared by content
            leaf = option.body if isinstance(option, Lexeme) else option
            unique.setdefault(option if isinstance(leaf, (Literal, CharSet)) or option == EMPTY else id(option), option)
    return next(iter(unique.values())) if len(unique) == 1 else Choice(tuple(unique.values()))


def is_never(node: Node) -> bool:
    """It matches nothing, as seen without following rules."""
    return isinstance(node, Choice) and not node.options


def repeat(item: Node, low: int = 0, high: int | None = None) -> Node:
    if high == 0 or (low == 0 and is_never(item)):
        return EMPTY
    if low == high == 1:
        return item
    return NEVER if is_never(item) else Repeat(item, low, high)


def optional(item: Node) -> Node:
    return repeat(item, 0, 1)


def charwise(node: Node) -> Node:
    """The same texts without lexemes: every character for itself. Of rules, only those that are a lexeme."""
    match node:
        case Literal(text):
            return sequence(*(chars(character) for character in text))
        case Sequence(items):
            return sequence(*map(charwise, items))
        case Choice(options):
            return choice(*map(charwise, options))
        case Repeat(item, low, high):
            return repeat(charwise(item), low, high)
        case Lexeme(body):
            return charwise(body)
        case Rule() if isinstance(node.body, Lexeme):
            return charwise(node.body)
        case _:
            return node


def chars(*parts: str | Range) -> CharSet:
    """One of the characters of the strings or of the inclusive code point ranges given."""
    ranges: list[Range] = []
    for part in parts:
        ranges += [(ord(c), ord(c)) for c in part] if isinstance(part, str) else [part]
    return CharSet(merge_ranges(ranges))


def other_chars(charset: CharSet) -> CharSet:
    """Every code point that is not in the set; surrogates are none."""
    ranges: list[Range] = []
    start = 0
    for low, high in merge_ranges([*charset.ranges, _SURROGATES]):
        if low > start:
            ranges.append((start, low - 1))
        start = high + 1
    if start <= MAX_CODE_POINT:
        ranges.append((start, MAX_CODE_POINT))
    return CharSet(tuple(ranges))


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below; a rule's body counts."""
    match node:
        case Sequence(items):
            return items
        case Choice(options):
            return options
        case Repeat(item, _, _):
            return (item,)
        case Lexeme(body):
            return (body,)
        case Meet(_, _, plain):
            return (plain.node,)
        case Except(_, char, _):
            return (char,)
        case Rule():
            return (node.body,)
        case _:
            return ()


def rules_in(root: Node, *, inside_lexemes: bool = True) -> list[Rule]:
    """All rules reachable from a node, in the order they are met."""
    found: dict[Rule, None] = {}
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Rule):
            found[node] = None
        if inside_lexemes or not isinstance(node, (Lexeme, Meet, Except)):
            stack.extend(reversed(children(node)))
    return list(found)


def pruned(root: Node) -> Node:
    """The tree without rules and options that no finite text matches; NEVER if that is all of it.

    Rules' bodies are replaced in place. What is productive is the least fixed point over the rules.
    """
    rules = rules_in(root, inside_lexemes=False)
    productive: set[Rule] = set()
    while True:
        grown = {rule for rule in rules if rule not in productive and _produces(rule.body, productive)}
        if not grown:
            break
        productive |= grown
    if len(productive) == len(rules):
        return root
    for rule in productive:
        rule.replace(_without_dead(rule.body, productive))
    return _without_dead(root, productive)


def _without_dead(node: Node, productive: set[Rule]) -> Node:
    match node:
        case Sequence(items):
            return sequence(*(_without_dead(item, productive) for item in items))
        case Choice(options):
            return choice(*(_without_dead(option, productive) for option in options))
        case Repeat(item, low, high):
            return repeat(_without_dead(item, productive), low, high)
        case Rule():
            return node if node in productive else NEVER
        case _:
            return node


def _produces(node: Node, productive: set[Rule]) -> bool:
    match node:
        case Literal():
            return True
        case CharSet(ranges):
            return bool(ranges)
        case Sequence(items):
            return all(_produces(item, productive) for item in items)
        case Choice(options):
            return any(_produces(option, productive) for option in options)
        case Repeat(item, low, _):
            return low == 0 or _produces(item, productive)
        case Lexeme(body):
            return not is_never(body)
        case Meet() | Except():
            return True
        case Rule():
            return node in productive

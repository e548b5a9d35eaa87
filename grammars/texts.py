"""Strings by length, pattern and exclusion: conditions on decoded text, made into a tree over its JSON spelling.

Most strings need no automaton: one pattern, or one length. Where several conditions meet, the GBNF gets the rules of
the product automaton, and the Lark the intersection itself (`Meet`), which llguidance works out while it runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from grammars.automata import Alphabet, Automaton, build, can_meet, counter, joint, lifted, meet, minimal
from grammars.effort import remembered, spend
from grammars.errors import Inexpressible, LimitExceeded
from grammars.json_text import PLAIN_CHAR, QUOTE, STRING, canonical, word
from grammars.strings import sized_string, string_except
from grammars.tree import (
    EMPTY,
    NEVER,
    CharSet,
    Choice,
    Deferred,
    Lexeme,
    Literal,
    Meet,
    Node,
    Repeat,
    Sequence,
    choice,
    literal,
    other_chars,
    repeat,
    sequence,
)

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MOST_RULES = 120_000
_MOST_OPTIONS = 32
_ANY_CHAR = other_chars(CharSet(()))
ANY_TEXT: Node = repeat(_ANY_CHAR)


@dataclass(frozen=True, slots=True)
class Text:
    """Strings of `low` to `high` code points that match all of `accept` and none of `reject`, as whole texts."""

    low: int = 0
    high: int | None = None
    accept: tuple[Node, ...] = ()
    reject: tuple[Node, ...] = ()
    formats: tuple[Node, ...] = ()
    """Those of `accept` that a format asks for."""

    @property
    def is_any(self) -> bool:
        return self == _ANY

    def meet(self, other: "Text") -> "Text | None":
        """Both at once; None where lengths already forbid it."""
        low = max(self.low, other.low)
        high = other.high if self.high is None else self.high if other.high is None else min(self.high, other.high)
        if high is not None and low > high:
            return None
        return Text(
            low,
            high,
            _union(self.accept, other.accept),
            _union(self.reject, other.reject),
            _union(self.formats, other.formats),
        )

    def complement(self) -> tuple["Text", ...]:
        """Texts of which each string that is not in this one is in at least one. Raises: Inexpressible for formats.

        Some validators assert formats and for others they are annotations; what breaks a format is valid to the latter.
        """
        if self.formats:
            raise Inexpressible("the complement of a format, which not every validator asserts")
        options: list[Text] = []
        if self.low > 0:
            options.append(Text(high=self.low - 1))
        if self.high is not None:
            options.append(Text(low=self.high + 1))
        options += [Text(reject=(node,)) for node in self.accept]
        options += [Text(accept=(node,)) for node in self.reject]
        return tuple(options)

    def matches(self, text: str) -> bool:
        if len(text) < self.low or (self.high is not None and len(text) > self.high):
            return False
        return all(_matches(n, text) for n in self.accept) and not any(_matches(n, text) for n in self.reject)

    @property
    def is_empty(self) -> bool:
        """No string at all. Raises: LimitExceeded."""
        if not self.accept and not self.reject:
            return False
        words = _words_left(self)
        if words is not None:
            return not words
        simple = _simplified(self)
        if len(simple.accept) == 1 and not simple.reject and (simple.low, simple.high) == (0, None):
            return simple.accept[0] == NEVER
        if not simple.accept and simple.high is None and all(_is_finite(n) for n in simple.reject):
            return False
        if (simple.low, simple.high) == (0, None):
            return not _can_meet(simple.accept, simple.reject)
        return not _has_length(_product(simple.accept, simple.reject), simple.low, simple.high)


_ANY = Text()


def words_text(words: Iterable[str]) -> Text:
    """Just these strings."""
    return Text(accept=(choice(*(literal(w) for w in words)),))


def _matches(node: Node, text: str) -> bool:
    words = words_of(node)
    return automaton_of(node).matches(text) if words is None else text in words


def words_of(node: Node) -> list[str] | None:
    """The strings of a tree that is a choice of literals."""
    options = node.options if isinstance(node, Choice) else (node,)
    if all(isinstance(o, Literal) or o == EMPTY for o in options):
        return [o.text if isinstance(o, Literal) else "" for o in options]
    return None


def _words_left(text: Text) -> list[str] | None:
    """All strings of a text that accepts known words only; None for other texts. No automaton for words alone."""
    found: dict[str, None] | None = None
    accept: list[Node] = []
    for node in text.accept:
        words = words_of(node)
        if words is None:
            accept.append(node)
        else:
            found = dict.fromkeys(words if found is None else [w for w in dict.fromkeys(words) if w in found])
    if found is None:
        return None
    reject: list[Node] = []
    for node in text.reject:
        words = words_of(node)
        if words is None:
            reject.append(node)
        else:
            excluded = set(words)
            found = {w: None for w in found if w not in excluded}
    rest = Text(text.low, text.high, tuple(accept), tuple(reject))
    return [word for word in found if rest.matches(word)]


@remembered(4096)
def text_node(text: Text) -> Node:
    """A JSON string literal, quotes included, of the text's strings. NEVER if there is none. Raises: LimitExceeded."""
    text = _simplified(text)
    if not text.accept and not text.reject:
        return STRING if (text.low, text.high) == (0, None) else sized_string(text.low, text.high)
    bounded = (text.low, text.high) != (0, None)
    if not text.accept and not bounded:
        words = [words_of(node) for node in text.reject]
        if all(w is not None for w in words):
            return string_except([x for w in words if w is not None for x in w])
    words_found = _words_left(text)
    if words_found is not None:
        return choice(*(word(canonical(w)) for w in words_found))
    if len(text.accept) == 1 and not text.reject and not bounded:
        return _quoted(text.accept[0])
    automaton = _product(text.accept, text.reject)
    if not _has_length(automaton, text.low, text.high):
        return NEVER
    top = text.low if text.high is None else text.high
    if bounded and len(automaton.moves) * (top + 1) > _MOST_RULES:
        raise LimitExceeded(f"a length of {top} beside a pattern needs more than {_MOST_RULES:,} rules")
    accept = [*text.accept, *([repeat(_ANY_CHAR, text.low, text.high)] if bounded or not text.accept else [])]
    return Meet(tuple(map(_quoted, accept)), tuple(map(_quoted, text.reject)), Deferred(lambda: _rules(text)))


def _rules(text: Text) -> Node:
    """The product automaton of all conditions as rules."""
    automaton = _product(text.accept, text.reject)
    if (text.low, text.high) != (0, None):
        count = counter(text.low, text.high, automaton.alphabet)
        automaton = meet([automaton, count], [], automaton.alphabet, _MOST_RULES)
    return sequence(QUOTE, automaton.rules("text", spelled_set, QUOTE))


def _has_length(automaton: Automaton, low: int, high: int | None) -> bool:
    """Some text of the automaton has a length from `low` to `high`. Raises: LimitExceeded."""
    if (low, high) == (0, None):
        return not automaton.is_empty
    states = frozenset([0]) if automaton.moves and not automaton.is_empty else frozenset()
    length = 0
    seen: set[frozenset[int]] = set()
    while states and (high is None or length <= high):
        if length >= low:
            if states & automaton.accepting:
                return True
            if states in seen:
                return False
            seen.add(states)
        spend(len(states))
        states = frozenset(t for s in states for t in automaton.moves[s].values())
        length += 1
    return False


@remembered(1024)
def automaton_of(node: Node) -> Automaton:
    return minimal(build(node, Alphabet.of([node])))


@remembered(1024)
def _product(accept: tuple[Node, ...], reject: tuple[Node, ...]) -> Automaton:
    if len(accept) == 1 and not reject:
        return automaton_of(accept[0])
    return meet(*_over_one_alphabet(accept, reject))


@remembered(8192)
def _can_meet(accept: tuple[Node, ...], reject: tuple[Node, ...]) -> bool:
    if len(accept) == 1 and not reject:
        return not automaton_of(accept[0]).is_empty
    return can_meet(*_over_one_alphabet(accept, reject))


def _over_one_alphabet(
    accept: tuple[Node, ...], reject: tuple[Node, ...]
) -> tuple[list[Automaton], list[Automaton], Alphabet]:
    """Each condition's own automaton, which is made once, over classes of characters that tell all of them apart."""
    alphabet = joint([automaton_of(node).alphabet for node in (*accept, *reject)])
    accepting = [lifted(automaton_of(node), alphabet) for node in accept] or [counter(0, None, alphabet)]
    return accepting, [lifted(automaton_of(node), alphabet) for node in reject], alphabet


def _simplified(text: Text) -> Text:
    """Lengths put into the pattern, or dropped where the pattern implies them."""
    accept = tuple(dict.fromkeys(node for node in text.accept if node != ANY_TEXT))
    if len(accept) != 1 or (text.low, text.high) == (0, None):
        return Text(text.low, text.high, accept, text.reject) if accept != text.accept else text
    least, most = lengths(accept[0])
    low = 0 if least >= text.low else text.low
    high = None if text.high is not None and most is not None and most <= text.high else text.high
    if (low, high) == (0, None):
        return Text(0, None, accept, text.reject)
    sized = _resized(accept[0], text.low, text.high)
    if sized is not None:
        return Text(0, None, (sized,), text.reject)
    return Text(low, high, accept, text.reject)


def _resized_options(
    items: tuple[Node, ...], index: int, options: tuple[Node, ...], low: int, high: int | None, budget: int
) -> Node | None:
    """Each option of one item on its own."""
    found = [_resized(sequence(*items[:index], o, *items[index + 1 :]), low, high, budget) for o in options]
    return None if any(node is None for node in found) else choice(*(n for n in found if n is not None))


def _resized(node: Node, low: int, high: int | None, budget: int = _MOST_OPTIONS) -> Node | None:
    """A sequence in which only one repetition of a character varies in length, with that repetition bounded anew."""
    items = node.items if isinstance(node, Sequence) else (node,)
    vary = [i for i, item in enumerate(items) if len(set(lengths(item))) > 1]
    for i in vary:
        item = items[i]
        if isinstance(item, Repeat) and (item.low, item.high) == (0, 1):
            item = Choice((EMPTY, item.item))
        if isinstance(item, Choice) and len(item.options) <= _MOST_OPTIONS and budget > 0:
            return _resized_options(items, i, item.options, low, high, budget // len(item.options))
    if not vary:
        length = lengths(node)[0]
        return node if length >= low and (high is None or length <= high) else NEVER
    if len(vary) != 1:
        return None
    varying = items[vary[0]]
    if not isinstance(varying, Repeat) or lengths(varying.item) != (1, 1):
        return None
    fixed = sum(lengths(item)[0] for i, item in enumerate(items) if i != vary[0])
    least = max(varying.low, low - fixed)
    limits = [n for n in (varying.high, None if high is None else high - fixed) if n is not None]
    most = min(limits) if limits else None
    if most is not None and (most < 0 or least > most):
        return NEVER
    return sequence(*items[: vary[0]], repeat(varying.item, least, most), *items[vary[0] + 1 :])


def lengths(node: Node) -> tuple[int, int | None]:
    """The least and the greatest number of characters; None: no greatest."""
    match node:
        case Literal(text):
            return len(text), len(text)
        case CharSet():
            return 1, 1
        case Sequence(items):
            pairs = [lengths(item) for item in items]
            tops = [high for _, high in pairs]
            return sum(low for low, _ in pairs), None if None in tops else sum(t for t in tops if t is not None)
        case Choice(options):
            pairs = [lengths(option) for option in options] or [(0, 0)]
            tops = [high for _, high in pairs]
            return min(low for low, _ in pairs), None if None in tops else max(t for t in tops if t is not None)
        case Repeat(item, low, high):
            least, most = lengths(item)
            top = 0 if most == 0 else None if most is None or high is None else most * high
            return least * low, top
        case _:
            raise TypeError("a text has no rules")


def _quoted(node: Node) -> Node:
    body = spelled(node)
    return NEVER if body == NEVER else Lexeme(sequence(QUOTE, body, QUOTE))


def spelled(node: Node) -> Node:
    """A tree over characters as the tree over their canonical JSON spelling."""
    match node:
        case Literal(text):
            return literal(canonical(text)[1:-1])
        case CharSet():
            return spelled_set(node)
        case Sequence(items):
            return sequence(*map(spelled, items))
        case Choice(options):
            return choice(*map(spelled, options))
        case Repeat(item, low, high):
            return repeat(spelled(item), low, high)
        case _:
            raise TypeError("a text has no rules")


@lru_cache(maxsize=4096)
def spelled_set(charset: CharSet) -> Node:
    """The characters of a set, each as json.dumps writes it."""
    plain: list[tuple[int, int]] = []
    escapes: list[Node] = []
    for low, high in charset.ranges:
        for plain_low, plain_high in PLAIN_CHAR.ranges:
            start, stop = max(low, plain_low), min(high, plain_high)
            if start <= stop:
                plain.append((start, stop))
        escapes += [literal(canonical(chr(c))[1:-1]) for c in range(low, min(high, 0x1F) + 1)]
        escapes += [literal(_SHORT[c]) for c in '"\\' if low <= ord(c) <= high]
    return choice(*([CharSet(tuple(plain))] if plain else []), *escapes)


def _is_finite(node: Node) -> bool:
    return lengths(node)[1] is not None


def _union(one: tuple[Node, ...], other: tuple[Node, ...]) -> tuple[Node, ...]:
    if not one or not other:
        return one or other
    return tuple(dict.fromkeys([*one, *other]))

"""Writes a tree out as Lark for llguidance: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md.

Every `Lexeme` becomes one terminal; the lexer takes the longest match, which is right for a lexeme by its definition
and would be wrong for other subtrees, so everything else stays in rules. A new grammar's text is read before its first
token, and that takes longer than writing it: 2-3 µs a word, 3 µs a rule, 4 µs a distinct terminal, more for large
regexes. So a rule that is used once stands where it is used, constants beside each other are one terminal, the
characters of strings are read once, and names are short.

Where remainders are counted digit by digit, outside of lexemes, a lexer would take a whole number for the first of
those digits' rivals; so one such number makes all numbers of its grammar go character by character.
"""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from json.encoder import encode_basestring_ascii

from grammars.json_text import canonical
from grammars.regexes import TextSize, joined_lines, quantifier, regex, regex_text
from grammars.tree import (
    CharSet,
    Choice,
    Except,
    Lexeme,
    Literal,
    Meet,
    Node,
    Repeat,
    Rule,
    Sequence,
    charwise,
    children,
)

_DEEPEST = 12
"""Brackets in brackets, of which llguidance refuses 30, and rules in rules, of which Python's stack holds so many."""


def write_lark(root: Node) -> str:
    """The Lark text of a tree. Raises: LimitExceeded."""
    return _Lark(*_survey(root)).write(root)


def _survey(root: Node) -> tuple[Counter[Rule], bool]:
    """How often each rule is named, and whether there are single digits; both outside of lexemes."""
    uses: Counter[Rule] = Counter()
    counts_digits = False
    stack = [root]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is Sequence or kind is Choice:
            stack += [child for child in children(node) if type(child) is not Lexeme]
        elif isinstance(node, Repeat):
            stack.append(node.item)
        elif isinstance(node, Rule):
            uses[node] += 1
            if uses[node] == 1:
                stack.append(node.body)
        elif kind is CharSet:
            counts_digits = counts_digits or _is_numeric(node)
    return uses, counts_digits


def _is_numeric(node: Node) -> bool:
    """Whether texts of a node begin as numbers do."""
    match node:
        case Literal(text):
            return text[:1] in _NUMERIC
        case CharSet(ranges):
            return all(chr(code) in _NUMERIC for ends in ranges for code in ends)
        case Sequence(items):
            return bool(items) and _is_numeric(items[0])
        case Choice(options):
            return any(map(_is_numeric, options))
        case Repeat(item) | Lexeme(item) | Rule(body=item):
            return _is_numeric(item)
        case _:
            return False


class _Lark:
    def __init__(self, uses: Counter[Rule], counts_digits: bool) -> None:
        self._uses = uses
        self._size = TextSize()
        self._counts_digits = counts_digits
        self._rules: dict[Rule, str] = {}
        self._waiting: list[Rule] = []
        self._terminals: dict[str, str] = {}
        self._known: dict[int, str] = {}
        """Terminals of lexemes by identity; the tree keeps them alive."""

    def write(self, root: Node) -> str:
        return joined_lines(self._lines(root))

    def _lines(self, root: Node) -> Iterator[str]:
        yield "%llguidance {}"
        yield "start: " + self._text(root, 0)
        while self._waiting:
            rule = self._waiting.pop()
            yield f"{self._rules[rule]}: {self._text(rule.body, 0)}"
        for text, name in self._terminals.items():
            yield f"{name}: {text}"

    def _text(self, node: Node, depth: int) -> str:
        """`depth`: brackets and rules around it. The commonest nodes come first."""
        match node:
            case Lexeme(body):
                if type(body) is Literal:
                    return self._literal(body)
                return self._known.get(id(node)) or self._lexeme(node, body)
            case Rule():
                return self._text(node.body, depth + 1) if self._stands_here(node, depth) else self._name(node)
            case Sequence(items):
                return " ".join([self._item(item, depth) for item in items]) or '""'
            case Repeat(item, low, high):
                return self._repeated(item, depth) + quantifier(low, high)
            case Choice(options):
                return " | ".join(self._options(options, depth))
            case Literal():
                return self._literal(node)
            case CharSet():
                return f"/{regex(node)}/"
            case Except(words, char, suffix):
                return self._except(words, char, suffix)
            case Meet(accept, reject, _):
                return self._terminal(" & ".join([*map(_slashed, accept), *("~" + _slashed(n) for n in reject)]))

    def _stands_here(self, rule: Rule, depth: int) -> bool:
        if isinstance(rule.body, _LEAVES):
            return True
        return self._uses[rule] == 1 and depth < _DEEPEST

    def _name(self, rule: Rule) -> str:
        if rule not in self._rules:
            self._rules[rule] = f"r{len(self._rules)}"
            self._waiting.append(rule)
        return self._rules[rule]

    def _item(self, item: Node, depth: int) -> str:
        """An item of a sequence; a choice needs brackets there."""
        while type(item) is Rule and self._stands_here(item, depth):
            item, depth = item.body, depth + 1
        return self._bracketed(item, depth) if type(item) is Choice else self._text(item, depth)

    def _repeated(self, item: Node, depth: int) -> str:
        while type(item) is Rule and self._stands_here(item, depth):
            item, depth = item.body, depth + 1
        if isinstance(item, (Rule, *_LEAVES)):
            return self._text(item, depth)
        return self._bracketed(item, depth)

    def _bracketed(self, node: Node, depth: int) -> str:
        if isinstance(node, Choice):
            options = self._options(node.options, depth + 1)
            return options[0] if len(options) == 1 else f"({' | '.join(options)})"
        return f"({self._text(node, depth + 1)})"

    def _options(self, options: tuple[Node, ...], depth: int) -> list[str]:
        """Two constants or more as one terminal, and then the others."""
        constants = [text for option in options if (text := self._constant(option)) is not None]
        if len(constants) < 2:
            return [self._text(option, depth) for option in options]
        terminal = self._terminal("/" + "|".join(map(regex_text, constants)) + "/")
        return [terminal, *(self._text(option, depth) for option in options if self._constant(option) is None)]

    def _constant(self, node: Node) -> str | None:
        """The text of a terminal that is only one."""
        body = node.body if isinstance(node, Lexeme) else node
        return body.text if isinstance(body, Literal) and not self._goes_by_character(body) else None

    def _literal(self, node: Literal) -> str:
        if self._goes_by_character(node):
            return self._known.get(id(node)) or self._by_character(node)
        return self._size.count(encode_basestring_ascii(node.text))  # Lark strings are read as JSON strings

    def _goes_by_character(self, node: Node) -> bool:
        return self._counts_digits and _is_numeric(node)

    def _by_character(self, node: Node) -> str:
        self._known[id(node)] = name = self._name(Rule("number", charwise(node)))
        return name

    def _except(self, words: tuple[str, ...], char: Node, suffix: str) -> str:
        any_string = self._joined(_pieces((_QUOTE, Repeat(char, 0, None), Literal(f'"{suffix}'))))
        taken = "|".join([regex_text(canonical(word) + suffix) for word in words])
        return self._terminal(f"{any_string} & ~/{taken}/" if words else any_string)

    def _lexeme(self, node: Node, body: Node) -> str:
        if self._goes_by_character(body):
            return self._by_character(node)
        pieces = _pieces(body.items if isinstance(body, Sequence) else (body,))
        self._known[id(node)] = name = self._terminal(self._joined(pieces))
        return name

    def _joined(self, pieces: "tuple[_Piece, ...]") -> str:
        """A terminal's text. Characters of strings, which are rules, become terminals that the others share."""
        return " ".join([text if rule is None else self._chars(rule) + text for rule, text in pieces])

    def _chars(self, rule: Rule) -> str:
        return self._known.get(id(rule)) or self._known.setdefault(id(rule), self._terminal(_slashed(rule.body)))

    def _terminal(self, text: str) -> str:
        return self._terminals.setdefault(text, f"T{len(self._terminals)}")


_NUMERIC = frozenset("-0123456789")
_QUOTE = Literal('"')
_LEAVES = (Lexeme, Literal, CharSet, Except, Meet)
_Piece = tuple[Rule | None, str]
"""Of a terminal: a regex, or a rule and how often it comes."""


@lru_cache(maxsize=256)
def _pieces(items: tuple[Node, ...]) -> tuple[_Piece, ...]:
    parts: list[_Piece] = []
    plain: list[Node] = []
    for item in items:
        if isinstance(item, Repeat) and isinstance(item.item, Rule):
            parts += [*_plain_piece(plain), (item.item, quantifier(item.low, item.high))]
            plain = []
        else:
            plain.append(item)
    return (*parts, *_plain_piece(plain)) or ((None, '""'),)


def _plain_piece(nodes: list[Node]) -> list[_Piece]:
    return [(None, _slashed(Sequence(tuple(nodes))))] if nodes else []


def _slashed(node: Node) -> str:
    return f"/{regex(node)}/"

"""Writes a tree out: as GBNF, which llama.cpp and others read, and as Lark, which llguidance runs fastest.

GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md. Lark as llguidance reads it:
https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md. Both come from the same tree. In Lark every
`Lexeme` becomes one terminal; the lexer takes the longest match, which is right for a lexeme by its definition and
would be wrong for other subtrees, so everything else stays in rules.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from json.encoder import encode_basestring_ascii

from grammars.errors import LimitExceeded
from grammars.json_text import canonical
from grammars.report import EMPTY_REPORT, Report
from grammars.strings import except_node
from grammars.tree import (
    MAX_CODE_POINT,
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
    other_chars,
    rules_in,
    sequence,
)

_MOST_TEXT = 8_000_000
"""Characters of grammar; a larger one would take seconds to load."""
_LLAMA_REPEAT = 1000
"""llama.cpp makes a rule for every bracket and every optional repetition, and refuses to repeat what has more than 2000
of them inside (MAX_REPETITION_THRESHOLD); so larger counts are nested, and what is large gets a name first."""


@dataclass(frozen=True)
class CompiledGrammar:
    """A grammar in both languages, each written when it is first asked for, and what it enforces."""

    root: Node
    report: Report

    @cached_property
    def gbnf(self) -> str:
        """Raises: LimitExceeded."""
        return _Gbnf(_names(rules_in(self.root))).write(self.root)

    @cached_property
    def lark(self) -> str:
        """Raises: LimitExceeded."""
        return _Lark(_names(rules_in(self.root, inside_lexemes=False))).write(self.root)


def emit(root: Node, report: Report = EMPTY_REPORT) -> CompiledGrammar:
    """The grammar of a tree."""
    return CompiledGrammar(root, report)


def _names(rules: list[Rule]) -> dict[Rule, str]:
    """A unique name of letters, digits and dashes for every rule."""
    names: dict[Rule, str] = {}
    taken = {"root", "start"}
    counts: dict[str, int] = {}
    for rule in rules:
        base = _base_name(rule.name)
        name = base
        while name in taken:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}-{counts[base]}"
        taken.add(name)
        names[rule] = name
    return names


@lru_cache(maxsize=8192)
def _base_name(name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "r"
    return base if base[0].isalpha() else f"r-{base}"


def _check_size(text: str) -> str:
    if len(text) > _MOST_TEXT:
        raise LimitExceeded(f"the grammar has {len(text):,} characters, more than {_MOST_TEXT:,}")
    return text


class _Gbnf:
    def __init__(self, names: dict[Rule, str]) -> None:
        self._names = names
        self._taken = set(names.values())
        self._parts: dict[str, str] = {}
        self._weights: dict[int, tuple[int, Node]] = {}

    def write(self, root: Node) -> str:
        lines = [f"root ::= {self._text(root)}"]
        lines += [f"{name} ::= {self._text(rule.body)}" for rule, name in self._names.items()]
        lines += [f"{name} ::= {text}" for text, name in self._parts.items()]
        return _check_size("\n".join(lines) + "\n")

    def _part(self, text: str) -> str:
        """A name for a text that is to be repeated."""
        if text not in self._parts:
            number = len(self._parts) + 1
            while f"part-{number}" in self._taken:
                number += 1
            self._taken.add(f"part-{number}")
            self._parts[text] = f"part-{number}"
        return self._parts[text]

    def _weight(self, node: Node) -> int:
        """About as many rules as llama.cpp makes for a subtree."""
        if isinstance(node, (Literal, CharSet, Rule)):
            return 1
        known = self._weights.get(id(node))
        if known is None:
            known = self._weights[id(node)] = (self._weigh(node), node)  # holds the node, so that its id stays its own
        return known[0]

    def _weigh(self, node: Node) -> int:
        match node:
            case Sequence(items) | Choice(items):
                return 1 + sum(self._weight(item) for item in items)
            case Repeat(item, low, high):
                return 1 + self._weight(item) + (1 if high is None else high - low)
            case Lexeme(body):
                return self._weight(body)
            case Meet(_, _, plain):
                return self._weight(plain.node)
            case Except(words):
                return self._weight(except_node(words))
            case _:
                return 1

    def _text(self, node: Node, *, inside: bool = False) -> str:
        """`inside`: the node is an item of something, so a choice or sequence needs brackets."""
        match node:
            case Literal(text):
                return '"' + "".join(map(_gbnf_char, text)) + '"'
            case CharSet(ranges):
                return _gbnf_set(ranges)
            case Sequence(items):
                text = " ".join(self._text(item, inside=True) for item in items) or '""'
                return f"({text})" if inside and len(items) > 1 else text
            case Choice(options):
                text = " | ".join(self._text(option, inside=True) for option in options)
                return f"({text})" if inside else text
            case Repeat(item, low, high):
                return self._repeat(item, low, high)
            case Lexeme(body):
                return self._text(body, inside=inside)
            case Meet(_, _, plain):
                return self._text(plain.node, inside=inside)
            case Except(words, _, suffix):
                return self._text(sequence(except_node(words), literal(suffix)), inside=inside)
            case Rule():
                return self._names[node]

    def _repeat(self, item: Node, low: int, high: int | None) -> str:
        text = self._text(item, inside=True)
        times = max(low, high or 0)
        if self._weight(item) * max(1, min(times, _LLAMA_REPEAT)) > _LLAMA_REPEAT:
            text = self._part(self._text(item))
        elif isinstance(item, (Repeat, Lexeme, Meet, Except)) and text[0] != "(":
            text = f"({text})"
        if times <= _LLAMA_REPEAT:
            return text + _quantifier(low, high)
        size = _LLAMA_REPEAT // 2
        block = self._part(f"{text}{{{size}}}")
        parts = [f"{block}{{{low // size}}}", f"{text}{{{low % size}}}"] if low else []
        if high is None:
            parts.append(f"{text}*")
        elif high > low:
            blocks, rest = divmod(high - low, size)
            fewer = f"{block}{{0,{max(blocks - 1, 0)}}} {text}{{0,{size - 1}}}"
            parts.append(f"({fewer} | {block}{{{blocks}}} {text}{{0,{rest}}})")
        return "(" + " ".join(parts) + ")"


class _Lark:
    def __init__(self, names: dict[Rule, str]) -> None:
        self._names = {rule: name.replace("-", "_") for rule, name in names.items()}
        self._terminals: dict[str, str] = {}

    def write(self, root: Node) -> str:
        rules = [f"start: {self._text(root)}"]
        rules += [f"{name}: {self._text(rule.body)}" for rule, name in self._names.items()]
        terminals = [f"{name}: {text}" for text, name in self._terminals.items()]
        return _check_size("\n".join(["%llguidance {}", *rules, *terminals]) + "\n")

    def _text(self, node: Node) -> str:
        """This is half of the time that a grammar takes to write, so the commonest nodes come first."""
        match node:
            case Lexeme(Literal(text)) | Literal(text):
                return encode_basestring_ascii(text)  # Lark strings are read as JSON strings
            case Rule():
                return self._names[node]
            case Sequence(items):
                return " ".join([self._inside(item) for item in items]) or '""'
            case Repeat(item, low, high):
                return f"({self._text(item)}){_quantifier(low, high)}"
            case Choice(options):
                return " | ".join([self._text(option) for option in options])
            case Lexeme(body):
                return self._terminal(_slashed(body))
            case CharSet():
                return f"/{_regex(node)}/"
            case Except(words, char, suffix):
                return self._except(words, char, suffix)
            case Meet(accept, reject, _):
                return self._terminal(" & ".join([*map(_slashed, accept), *("~" + _slashed(n) for n in reject)]))

    def _inside(self, item: Node) -> str:
        """An item of a sequence."""
        return f"({self._text(item)})" if isinstance(item, Choice) else self._text(item)

    def _except(self, words: tuple[str, ...], char: Node, suffix: str) -> str:
        any_string = f'/"{_repeated(_regex(char), 0, None)}"{_regex_text(suffix)}/'
        taken = "|".join(_regex_text(canonical(word) + suffix) for word in words)
        return self._terminal(f"{any_string} & ~/{taken}/" if words else any_string)

    def _terminal(self, text: str) -> str:
        return self._terminals.setdefault(text, f"T{len(self._terminals)}")


def _slashed(node: Node) -> str:
    return f"/{_regex(node)}/"


def _regex(node: Node) -> str:
    """A regular subtree in Rust's regex syntax, between Lark's slashes."""
    match node:
        case Literal(text):
            return _regex_text(text)
        case CharSet():
            return _regex_set(node)
        case Sequence(items):
            return "".join(_regex(item) for item in items)
        case Choice(options):
            return "(?:" + "|".join(_regex(option) for option in options) + ")"
        case Repeat(item, low, high):
            return _repeated(_regex(item), low, high)
        case Lexeme(body):
            return _regex(body)
        case Rule():
            return _rule_regex(node)
        case Meet() | Except():
            raise TypeError("an intersection stands alone")


@lru_cache(maxsize=64)
def _rule_regex(rule: Rule) -> str:
    return _regex(rule.body)


def _repeated(text: str, low: int, high: int | None) -> str:
    if len(text) > 1 and not (text[0] == "[" and text.find("]") == len(text) - 1):
        text = f"(?:{text})"
    return text + _quantifier(low, high)


def _quantifier(low: int, high: int | None) -> str:
    match low, high:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{low},}}"
        case _:
            return f"{{{low}}}" if low == high else f"{{{low},{high}}}"


def _range(low: int, high: int, write: Callable[[int], str]) -> str:
    return write(low) if low == high else f"{write(low)}-{write(high)}"


@lru_cache(maxsize=1024)
def _gbnf_set(ranges: tuple[Range, ...]) -> str:
    """Negated where that is shorter to read: llguidance's reader has no escapes for the highest code points."""
    sign = ""
    if ranges and ranges[-1][1] == MAX_CODE_POINT:
        sign, ranges = "^", other_chars(CharSet(ranges)).ranges
        if not ranges:
            return "[^\\x00]" if not sign else "[^\ufffe]"
    return "[" + sign + "".join(_range(low, high, _gbnf_set_char) for low, high in ranges) + "]"


@lru_cache(maxsize=1024)
def _regex_set(node: CharSet) -> str:
    ranges, sign = node.ranges, ""
    if ranges and ranges[-1][1] == MAX_CODE_POINT and ranges != ((0, 0xD7FF), (0xE000, MAX_CODE_POINT)):
        sign, ranges = "^", other_chars(node).ranges
    return "[" + sign + "".join(_range(low, high, _regex_set_char) for low, high in ranges) + "]"


_GBNF_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _gbnf_char(character: str) -> str:
    if character in _GBNF_ESCAPES:
        return _GBNF_ESCAPES[character]
    # readers disagree about escapes beyond \\xFF, so everything else stands for itself
    return character if character >= " " else f"\\x{ord(character):02X}"


def _gbnf_set_char(code: int) -> str:
    character = chr(code)
    if character in "]^-[":
        return f"\\x{code:02X}"
    return _gbnf_char(character)


@lru_cache(maxsize=8192)
def _regex_text(text: str) -> str:
    return text if text.isalnum() and text.isascii() else "".join(map(_regex_char, text))


def _regex_char(character: str) -> str:
    if character.isalnum() and character.isascii():
        return character
    return f"\\x{{{ord(character):X}}}"


def _regex_set_char(code: int) -> str:
    return _regex_char(chr(code))

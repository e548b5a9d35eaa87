"""Writes a tree out: as GBNF, which llama.cpp and others read, and as Lark, which llguidance runs fastest.

GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md. It is the form for readers, so its rules
have speaking names. Both come from the same tree.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from grammars.lark import write_lark
from grammars.regexes import TextSize, joined_lines, quantifier, range_text
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
        return write_lark(self.root)


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


class _Gbnf:
    def __init__(self, names: dict[Rule, str]) -> None:
        self._names = names
        self._size = TextSize()
        self._taken = set(names.values())
        self._parts: dict[str, str] = {}
        self._weights: dict[int, tuple[int, Node]] = {}

    def write(self, root: Node) -> str:
        return joined_lines(self._lines(root))

    def _lines(self, root: Node) -> Iterator[str]:
        yield f"root ::= {self._text(root)}"
        for rule, name in self._names.items():
            yield f"{name} ::= {self._text(rule.body)}"
        for text, name in self._parts.items():
            yield f"{name} ::= {text}"

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
                return self._size.count(f'"{text.translate(_GBNF_TABLE)}"')
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
            return text + quantifier(low, high)
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


@lru_cache(maxsize=1024)
def _gbnf_set(ranges: tuple[Range, ...]) -> str:
    """Negated where that is shorter to read: llguidance's reader has no escapes for the highest code points."""
    sign = ""
    if ranges and ranges[-1][1] == MAX_CODE_POINT:
        sign, ranges = "^", other_chars(CharSet(ranges)).ranges
        if not ranges:
            return "[^\\x00]" if not sign else "[^\ufffe]"
    return "[" + sign + "".join(range_text(low, high, _gbnf_set_char) for low, high in ranges) + "]"


_GBNF_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _gbnf_char(character: str) -> str:
    if character in _GBNF_ESCAPES:
        return _GBNF_ESCAPES[character]
    # readers disagree about escapes beyond \\xFF, so everything else stands for itself
    return character if character >= " " else f"\\x{ord(character):02X}"


_GBNF_TABLE = {code: _gbnf_char(chr(code)) for code in (*range(0x20), *map(ord, '"\\'))}


def _gbnf_set_char(code: int) -> str:
    character = chr(code)
    if character in "]^-[":
        return f"\\x{code:02X}"
    return _gbnf_char(character)

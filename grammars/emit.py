"""Writes a tree out: as GBNF, which llama.cpp and others read, and as Lark, which llguidance runs fastest.

GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md. Lark as llguidance reads it:
https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md. Both come from the same tree. In Lark every
`Lexeme` becomes one terminal; the lexer takes the longest match, which is right for a lexeme by its definition and
would be wrong for other subtrees, so everything else stays in rules.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from grammars.errors import LimitExceeded
from grammars.report import EMPTY_REPORT, Report
from grammars.tree import CharSet, Choice, Lexeme, Literal, Node, Repeat, Rule, Sequence, rules_in

_MOST_TEXT = 8_000_000
"""Characters of grammar; a larger one would take seconds to load."""
_LLAMA_REPEAT = 1000
"""llama.cpp refuses larger bounds (MAX_REPETITION_THRESHOLD is 2000); larger ones are nested."""


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar in both languages, and what it enforces."""

    gbnf: str
    lark: str
    report: Report


def emit(root: Node, report: Report = EMPTY_REPORT) -> CompiledGrammar:
    """Write a tree out. Raises: LimitExceeded."""
    names = _names(root)
    return CompiledGrammar(_Gbnf(names).write(root), _Lark(names).write(root), report)


def _names(root: Node) -> dict[Rule, str]:
    """A unique name of letters, digits and dashes for every rule."""
    names: dict[Rule, str] = {}
    taken = {"root", "start"}
    for rule in rules_in(root):
        base = re.sub(r"[^a-z0-9]+", "-", rule.name.lower()).strip("-")[:40] or "r"
        base = base if base[0].isalpha() else f"r-{base}"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        names[rule] = name
    return names


def _check_size(text: str) -> str:
    if len(text) > _MOST_TEXT:
        raise LimitExceeded(f"the grammar has {len(text):,} characters, more than {_MOST_TEXT:,}")
    return text


class _Gbnf:
    def __init__(self, names: dict[Rule, str]) -> None:
        self._names = names

    def write(self, root: Node) -> str:
        lines = [f"root ::= {self._text(root)}"]
        lines += [f"{name} ::= {self._text(rule.body)}" for rule, name in self._names.items()]
        return _check_size("\n".join(lines) + "\n")

    def _text(self, node: Node, *, inside: bool = False) -> str:
        """`inside`: the node is an item of something, so a choice or sequence needs brackets."""
        match node:
            case Literal(text):
                return '"' + "".join(map(_gbnf_char, text)) + '"'
            case CharSet(ranges):
                return "[" + "".join(_range(low, high, _gbnf_set_char) for low, high in ranges) + "]"
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
            case Rule():
                return self._names[node]

    def _repeat(self, item: Node, low: int, high: int | None) -> str:
        text = self._text(item, inside=True)
        if isinstance(item, (Repeat, Lexeme)) and text[0] != "(":
            text = f"({text})"
        if max(low, high or 0) <= _LLAMA_REPEAT:
            return text + _quantifier(low, high)
        block = _LLAMA_REPEAT // 2
        parts = []
        if low:
            parts.append(f"({text}{{{block}}}){{{low // block}}} {text}{{{low % block}}}")
        if high is None:
            parts.append(f"{text}*")
        elif high > low:
            blocks, rest = divmod(high - low, block)
            parts.append(
                f"(({text}{{{block}}}){{0,{max(blocks - 1, 0)}}} {text}{{0,{block - 1}}} | "
                f"({text}{{{block}}}){{{blocks}}} {text}{{0,{rest}}})"
            )
        return "(" + " ".join(parts) + ")"


class _Lark:
    def __init__(self, names: dict[Rule, str]) -> None:
        self._names = {rule: name.replace("-", "_") for rule, name in names.items()}
        self._terminals: dict[Node, str] = {}

    def write(self, root: Node) -> str:
        rules = [f"start: {self._text(root)}"]
        wanted = rules_in(root, inside_lexemes=False)
        rules += [f"{self._names[rule]}: {self._text(rule.body)}" for rule in wanted]
        terminals = [f"{name}: /{_regex(node)}/" for node, name in self._terminals.items()]
        return _check_size("\n".join(["%llguidance {}", *rules, *terminals]) + "\n")

    def _text(self, node: Node, *, inside: bool = False) -> str:
        match node:
            case Literal(text):
                return '"' + "".join(map(_lark_char, text)) + '"'
            case CharSet():
                return f"/{_regex(node)}/"
            case Sequence(items):
                text = " ".join(self._text(item, inside=True) for item in items) or '""'
                return f"({text})" if inside and len(items) > 1 else text
            case Choice(options):
                text = " | ".join(self._text(option, inside=True) for option in options)
                return f"({text})" if inside else text
            case Repeat(item, low, high):
                return f"({self._text(item)}){_quantifier(low, high)}"
            case Lexeme(Literal() as body):
                return self._text(body)
            case Lexeme(body):
                return self._terminals.setdefault(body, f"T{len(self._terminals)}")
            case Rule():
                return self._names[node]


def _regex(node: Node) -> str:
    """A regular subtree in Rust's regex syntax, between Lark's slashes."""
    match node:
        case Literal(text):
            return "".join(_regex_char(c) for c in text)
        case CharSet(ranges):
            return "[" + "".join(_range(low, high, _regex_set_char) for low, high in ranges) + "]"
        case Sequence(items):
            return "".join(_regex(item) for item in items)
        case Choice(options):
            return "(" + "|".join(_regex(option) for option in options) + ")"
        case Repeat(item, low, high):
            return f"({_regex(item)}){_quantifier(low, high)}"
        case Lexeme(body):
            return _regex(body)
        case Rule():
            return _regex(node.body)


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


_GBNF_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _gbnf_char(character: str) -> str:
    if character in _GBNF_ESCAPES:
        return _GBNF_ESCAPES[character]
    return character if character.isprintable() else _gbnf_code(ord(character))


def _gbnf_set_char(code: int) -> str:
    character = chr(code)
    if character in "]^-[":
        return _gbnf_code(code)
    return _gbnf_char(character)


def _gbnf_code(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _lark_char(character: str) -> str:
    if character in _GBNF_ESCAPES:
        return _GBNF_ESCAPES[character]
    return character if character.isprintable() else _json_code(ord(character))


def _json_code(code: int) -> str:
    """Lark strings are read as JSON strings: beyond the BMP a surrogate pair."""
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _regex_char(character: str) -> str:
    if character.isalnum() and character.isascii():
        return character
    return f"\\x{{{ord(character):X}}}"


def _regex_set_char(code: int) -> str:
    return _regex_char(chr(code))

"""Regular subtrees in Rust's regex syntax, as they stand between Lark's slashes.

https://docs.rs/regex/latest/regex/#syntax. What is read again for every new grammar is kept short: only what has a
meaning in a regex is escaped, and only ASCII stands for itself.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from grammars.errors import LimitExceeded
from grammars.tree import (
    MAX_CODE_POINT,
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
    other_chars,
)

_MOST_TEXT = 8_000_000
"""Characters of grammar; a larger one would take seconds to load."""
_ALL = ((0, 0xD7FF), (0xE000, MAX_CODE_POINT))


def regex(node: Node) -> str:
    """The subtree as a regex. What it is put into adds brackets where a choice needs them: it brings its own."""
    match node:
        case Literal(text):
            return regex_text(text)
        case CharSet():
            return _set(node)
        case Sequence(items):
            return "".join([regex(item) for item in items])
        case Choice(options):
            return "(?:" + "|".join([regex(option) for option in options]) + ")"
        case Repeat(item, low, high):
            text = regex(item)
            is_one = isinstance(item, (CharSet, Choice)) or len(text) == 1
            return (text if is_one else f"(?:{text})") + quantifier(low, high)
        case Lexeme(body):
            return regex(body)
        case Rule():
            return _rule_regex(node)
        case Meet() | Except():
            raise TypeError("an intersection stands alone")


@lru_cache(maxsize=64)
def _rule_regex(rule: Rule) -> str:
    return regex(rule.body)


def quantifier(low: int, high: int | None) -> str:
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


def range_text(low: int, high: int, write: Callable[[int], str]) -> str:
    return write(low) if low == high else f"{write(low)}-{write(high)}"


class TextSize:
    """Counts what is written of a grammar, so that one too large is given up early."""

    def __init__(self) -> None:
        self._size = 0

    def count(self, text: str) -> str:
        """The text. Raises: LimitExceeded."""
        self._size += len(text)
        if self._size > _MOST_TEXT:
            raise LimitExceeded(f"the grammar has more than {_MOST_TEXT:,} characters")
        return text


def joined_lines(lines: Iterable[str]) -> str:
    """The lines as one text. Raises: LimitExceeded."""
    size = TextSize()
    return "\n".join([size.count(line) for line in lines]) + "\n"


@lru_cache(maxsize=1024)
def _set(node: CharSet) -> str:
    ranges, sign = node.ranges, ""
    if ranges and ranges[-1][1] == MAX_CODE_POINT and ranges != _ALL:
        sign, ranges = "^", other_chars(node).ranges
    return "[" + sign + "".join(range_text(low, high, _set_char) for low, high in ranges) + "]"


_ESCAPED = {code: f"\\{chr(code)}" for code in map(ord, "\\.+*?()|[]{}^$/")}
_ESCAPED |= {code: f"\\x{code:02X}" for code in (*range(0x20), 0x7F)}
_ESCAPED_IN_SET = _ESCAPED | {code: f"\\{chr(code)}" for code in map(ord, "-&~#")}


def regex_text(text: str) -> str:
    """A text that stands for itself."""
    if text.isascii():
        return text if text.isalnum() else text.translate(_ESCAPED)
    return "".join([_ESCAPED.get(ord(c), c) if c.isascii() else f"\\x{{{ord(c):X}}}" for c in text])


def _set_char(code: int) -> str:
    return _ESCAPED_IN_SET.get(code, chr(code)) if code < 0x80 else f"\\x{{{code:X}}}"

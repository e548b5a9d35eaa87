r"""Regular expressions as JSON Schema writes them (ECMA-262), read into regular trees over decoded characters.

A pattern may match anywhere in a string, so a side without an anchor gets any text. Look-ahead directly after the
start becomes a further condition on the whole text: `^(?!a)b` is `b…` and not `a…`. Back references, look-behind and
word boundaries are refused. `\d` and `\w` are ASCII, as in ECMA-262; `\s` is its white space.
"""

import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from grammars.texts import ANY_TEXT, lengths
from grammars.tree import (
    EMPTY,
    NEVER,
    CharSet,
    Choice,
    Node,
    Repeat,
    Sequence,
    chars,
    choice,
    literal,
    other_chars,
    repeat,
    sequence,
)

_ANY_CHAR = other_chars(CharSet(()))
_DOT = other_chars(chars("\n\r\u2028\u2029"))
_DIGIT = chars((48, 57))
_WORD = chars((48, 57), (65, 90), (97, 122), "_")
_SPACE = chars((9, 13), " \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff", (0x2000, 0x200A))
_CLASSES = {
    "d": _DIGIT, "D": other_chars(_DIGIT), "w": _WORD, "W": other_chars(_WORD),
    "s": _SPACE, "S": other_chars(_SPACE),
}  # fmt: skip
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_MOST_DEEP = 60


class PatternError(ValueError):
    """The pattern is no regular expression, or not one that a finite automaton can hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Texts that match all of `accept` and none of `reject`, as whole texts."""

    accept: tuple[Node, ...]
    reject: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class _Start:
    pass


@dataclass(frozen=True, slots=True)
class _End:
    pass


@dataclass(frozen=True, slots=True)
class _Ahead:
    body: "_Part"
    is_negative: bool


_Part = Node | _Start | _End | _Ahead
# Sequence and Choice below hold parts until the anchors are resolved.


@lru_cache(maxsize=2048)
def read_pattern(pattern: str) -> tuple[Condition, ...]:
    """The conditions of which a text must meet one for the pattern to be found in it. Raises: PatternError."""
    parser = _Parser(pattern)
    whole = parser.alternatives()
    if parser.position < len(pattern):
        raise PatternError("a bracket closes that was never opened")
    options = list(_branches(whole))
    plain = [option for option in (_plain(branch) for branch in options) if option is not None]
    if len(plain) == len(options):
        return (Condition((choice(*plain),)),)
    return tuple(_condition(branch) for branch in options)


def _branches(part: _Part) -> list[list[_Part]]:
    """The alternatives of a part as lists of items, opened only as far as anchors make it necessary."""
    if not _has_anchor(part):
        return [[part]]
    match part:
        case Choice(options):
            return [branch for option in options for branch in _branches(option)]
        case Sequence(items):
            lists: list[list[_Part]] = [[]]
            for item in items:
                tails = _branches(item)
                lists = [head + tail for head in lists for tail in tails]
                if len(lists) > 200:
                    raise PatternError("its anchors stand in too many alternatives")
            return lists
        case Repeat(item, 1, 1):
            return _branches(item)
        case Repeat(item, 0, 1):
            return [[], *_branches(item)]
        case Repeat():
            raise PatternError("an anchor is repeated")
        case _:
            return [[part]]


def _plain(branch: list[_Part]) -> Node | None:
    """A branch without look-ahead as one tree over the whole text."""
    if any(isinstance(part, _Ahead) for part in branch):
        return None
    return _anchored(branch)


def _anchored(branch: list[_Part]) -> Node:
    starts = [i for i, part in enumerate(branch) if isinstance(part, _Start)]
    ends = [i for i, part in enumerate(branch) if isinstance(part, _End)]
    first = starts[-1] if starts else -1
    last = ends[0] if ends else len(branch)
    body = [part for part in branch if not isinstance(part, (_Start, _End))]
    for index, part in enumerate(branch):
        if isinstance(part, (_Start, _End)):
            continue
        if index < first or index > last:
            if not _may_be_empty(part):
                return NEVER
            raise PatternError("an anchor stands in the middle")
    left = EMPTY if starts else ANY_TEXT
    right = EMPTY if ends else ANY_TEXT
    return sequence(left, *(part for part in body if not isinstance(part, _Ahead)), right)


def _condition(branch: list[_Part]) -> Condition:
    """A branch with look-ahead: each one a condition on the text from its place on, which must be the start."""
    accept: list[Node] = []
    reject: list[Node] = []
    rest: list[_Part] = []
    for index, part in enumerate(branch):
        if not isinstance(part, _Ahead):
            rest.append(part)
            continue
        before = branch[:index]
        fixed = [p for p in before if not isinstance(p, (_Start, _Ahead))]
        if not any(isinstance(p, _Start) for p in before):
            raise PatternError("look-ahead is only possible after ^")
        if fixed and any(_fixed_length(p) is None for p in fixed):
            raise PatternError("look-ahead is only possible after text of fixed length")
        gap = sum(_fixed_length(p) or 0 for p in fixed)
        for inner in _branches(part.body):
            if any(isinstance(p, _Ahead) for p in inner):
                raise PatternError("look-ahead inside of look-ahead")
        inner_node = choice(*(_anchored([_Start(), *inner]) for inner in _branches(part.body)))
        node = sequence(repeat(_ANY_CHAR, gap, gap), inner_node)
        (reject if part.is_negative else accept).append(node)
    return Condition((_anchored(rest), *accept), tuple(reject))


def _has_anchor(part: _Part) -> bool:
    match part:
        case _Start() | _End() | _Ahead():
            return True
        case Sequence(items) | Choice(items):
            return any(_has_anchor(item) for item in items)
        case Repeat(item, _, _):
            return _has_anchor(item)
        case _:
            return False


def _may_be_empty(part: _Part) -> bool:
    match part:
        case Sequence(items):
            return all(_may_be_empty(item) for item in items)
        case Choice(options):
            return any(_may_be_empty(option) for option in options)
        case Repeat(item, low, _):
            return low == 0 or _may_be_empty(item)
        case CharSet():
            return False
        case _Start() | _End() | _Ahead():
            return True
        case _:
            return False


def _fixed_length(part: _Part) -> int | None:
    if _has_anchor(part):
        return None
    low, high = lengths(part)  # type: ignore[arg-type]
    return low if low == high else None


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.position = 0
        self.depth = 0

    def peek(self, count: int = 1) -> str:
        return self.text[self.position : self.position + count]

    def take(self, count: int = 1) -> str:
        taken = self.text[self.position : self.position + count]
        if len(taken) < count:
            raise PatternError("it ends too early")
        self.position += count
        return taken

    def eat(self, expected: str) -> bool:
        if self.text.startswith(expected, self.position):
            self.position += len(expected)
            return True
        return False

    def alternatives(self) -> _Part:
        self.depth += 1
        if self.depth > _MOST_DEEP:
            raise PatternError("it is nested too deep")
        options = [self.sequence()]
        while self.eat("|"):
            options.append(self.sequence())
        self.depth -= 1
        return options[0] if len(options) == 1 else Choice(tuple(options))  # type: ignore[arg-type]

    def sequence(self) -> _Part:
        items: list[_Part] = []
        while self.peek() not in ("", "|", ")"):
            items.append(self.quantified(self.atom()))
        return _joined(items)

    def quantified(self, part: _Part) -> _Part:
        bounds = self.bounds()
        if bounds is None:
            return part
        self.eat("?")  # lazy or not, the language is the same
        low, high = bounds
        if high is not None and low > high:
            raise PatternError("a repetition's bounds are in the wrong order")
        if _has_anchor(part):
            if isinstance(part, (_Start, _End, _Ahead)) and low == 0:
                return EMPTY
            return Repeat(part, low, high) if (low, high) != (1, 1) else part  # type: ignore[arg-type]
        return repeat(part, low, high)  # type: ignore[arg-type]

    def bounds(self) -> tuple[int, int | None] | None:
        sign = self.peek()
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if sign in simple:
            self.position += 1
            return simple[sign]
        if sign != "{":
            return None
        stop = self.text.find("}", self.position)
        inside = self.text[self.position + 1 : stop] if stop > 0 else ""
        low, comma, high = inside.partition(",")
        if not low.isdecimal() or (high and not high.isdecimal()) or len(inside) > 12:
            return None  # a brace that stands for itself (annex B)
        self.position = stop + 1
        return int(low), int(high) if high else (None if comma else int(low))

    def atom(self) -> _Part:
        character = self.take()
        match character:
            case "^":
                return _Start()
            case "$":
                return _End()
            case ".":
                return _DOT
            case "[":
                return self.charset()
            case "(":
                return self.group()
            case "\\":
                return self.escape()
            case "*" | "+" | "?":
                raise PatternError("there is nothing to repeat")
            case _:
                return literal(character)

    def group(self) -> _Part:
        if self.eat("?"):
            if self.eat("=") or self.eat("!"):
                is_negative = self.text[self.position - 1] == "!"
                body = self.alternatives()
                self.close()
                return _Ahead(body, is_negative)
            if self.peek(2) in ("<=", "<!"):
                raise PatternError("look-behind")
            if self.eat("<") or self.eat("P<"):
                stop = self.text.find(">", self.position)
                if stop < 0:
                    raise PatternError("a group's name doesn't end")
                self.position = stop + 1
            elif not self.eat(":"):
                raise PatternError(f"the group (?{self.peek()}")
        body = self.alternatives()
        self.close()
        return body

    def close(self) -> None:
        if not self.eat(")"):
            raise PatternError("a bracket isn't closed")

    def escape(self) -> Node:
        character = self.peek()
        if character in ("b", "B"):
            raise PatternError(f"the word boundary \\{character}")
        if character in ("k",) or (character.isdecimal() and character != "0"):
            raise PatternError("a back reference")
        if character in ("Z", "z", "A", "G"):
            raise PatternError(f"\\{character} means different things to different readers")
        found = self.character_class()
        return found if found is not None else literal(self.escaped_character())

    def character_class(self) -> CharSet | None:
        character = self.peek()
        if character in _CLASSES:
            self.position += 1
            return _CLASSES[character]
        if character in ("p", "P"):
            self.position += 1
            return self.category(character == "P")
        return None

    def category(self, is_negated: bool) -> CharSet:
        if not self.eat("{"):
            raise PatternError("\\p without a property")
        stop = self.text.find("}", self.position)
        if stop < 0:
            raise PatternError("a property's name doesn't end")
        name = self.text[self.position : stop]
        self.position = stop + 1
        found = _category(name)
        return other_chars(found) if is_negated else found

    def escaped_character(self) -> str:
        character = self.take()
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character == "x":
            return chr(self.hexadecimal(2))
        if character == "c" and self.peek().isalpha():
            return chr(ord(self.take()) % 32)
        if character == "u":
            return self.unicode_escape()
        if character.isalpha():
            raise PatternError(f"\\{character} is no escape")
        return character

    def unicode_escape(self) -> str:
        if self.eat("{"):
            stop = self.text.find("}", self.position)
            code = self.hexadecimal(max(stop - self.position, 1))
            self.eat("}")
        else:
            code = self.hexadecimal(4)
            if 0xD800 <= code < 0xDC00 and self.eat("\\u"):
                code = 0x10000 + ((code - 0xD800) << 10) + (self.hexadecimal(4) - 0xDC00)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise PatternError("a lone surrogate")
        return chr(code)

    def hexadecimal(self, digits: int) -> int:
        text = self.take(digits)
        try:
            return int(text, 16)
        except ValueError:
            raise PatternError(f"{text!r} is no hexadecimal number") from None

    def charset(self) -> Node:
        is_negated = self.eat("^")
        parts: list[tuple[int, int]] = []
        while not self.eat("]"):
            first = self.member()
            if self.peek() == "-" and self.peek(2) not in ("-]", "-"):
                self.position += 1
                last = self.member()
                if isinstance(first, CharSet) or isinstance(last, CharSet):
                    raise PatternError("a range ends in a class")
                if ord(first) > ord(last):
                    raise PatternError("a range is in the wrong order")
                parts.append((ord(first), ord(last)))
            elif isinstance(first, CharSet):
                parts += first.ranges
            else:
                parts.append((ord(first), ord(first)))
        found = chars(*parts)
        return other_chars(found) if is_negated else other_chars(other_chars(found))

    def member(self) -> str | CharSet:
        character = self.take()
        if character != "\\":
            return character
        found = self.character_class()
        if found is not None:
            return found
        if self.eat("b"):
            return "\b"
        return self.escaped_character()


def _joined(items: list[_Part]) -> _Part:
    if any(_has_anchor(item) for item in items):
        return items[0] if len(items) == 1 else Sequence(tuple(items))  # type: ignore[arg-type]
    return sequence(*items)  # type: ignore[arg-type]


_LONG_CATEGORIES = {
    "Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Number": "N", "Decimal_Number": "Nd",
    "Punctuation": "P", "Mark": "M", "Symbol": "S", "Separator": "Z", "digit": "Nd", "Cc": "Cc",
}  # fmt: skip


@lru_cache(maxsize=64)
def _category(name: str) -> CharSet:
    """A general category of Unicode, as this Python's tables have it."""
    wanted = name.removeprefix("gc=").removeprefix("General_Category=")
    wanted = _LONG_CATEGORIES.get(wanted, wanted)
    if not (1 <= len(wanted) <= 2 and wanted[0] in "LMNPSZC" and wanted not in ("C", "Cs", "Cn")):
        raise PatternError(f"the property \\p{{{name}}}")
    ranges: list[tuple[int, int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)).startswith(wanted):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    if not ranges:
        raise PatternError(f"the property \\p{{{name}}}")
    return CharSet(tuple(ranges))

"""JSON's own grammar (RFC 8259) as tree nodes: strings, numbers, spacing, and whole values of any kind."""

import json
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring

from grammars.tree import (
    EMPTY,
    CharSet,
    Choice,
    Deferred,
    Except,
    Lexeme,
    Literal,
    Meet,
    Node,
    Rule,
    chars,
    choice,
    literal,
    optional,
    other_chars,
    repeat,
    sequence,
)


class Spacing(Enum):
    """Where a text may have blanks outside of strings."""

    COMPACT = "compact"
    """None: `{"a":1,"b":[1,2]}`."""
    SPACED = "spaced"
    """One after each comma and colon, as Python's json.dumps writes: `{"a": 1, "b": [1, 2]}`."""
    FLEXIBLE = "flexible"
    """Any, up to 20 at a place: for reading JSON that somebody else has written."""


def word(text: str) -> Node:
    """A text that is a token of JSON by itself, never to be joined with its neighbours."""
    return Lexeme(literal(text))


@dataclass(frozen=True, slots=True)
class Punctuation:
    """The signs between values, blanks included."""

    open_object: Node
    close_object: Node
    open_array: Node
    close_array: Node
    comma: Node
    colon: Node

    def member(self, key: Node, value: Node) -> Node:
        """A key and its value. Without flexible blanks the colon belongs to the key's lexeme: fewer and longer lexemes
        are quicker to read and to run. Then every key must be written so, for lexers take the longest match."""
        if isinstance(self.colon, Lexeme) and isinstance(self.colon.body, Literal):
            return sequence(_followed(key, self.colon.body.text), value)
        return sequence(key, self.colon, value)

    @staticmethod
    def of(spacing: Spacing) -> "Punctuation":
        if spacing is Spacing.FLEXIBLE:
            return Punctuation(
                sequence(word("{"), BLANKS),
                sequence(BLANKS, word("}")),
                sequence(word("["), BLANKS),
                sequence(BLANKS, word("]")),
                sequence(BLANKS, word(","), BLANKS),
                sequence(BLANKS, word(":"), BLANKS),
            )
        blank = " " if spacing is Spacing.SPACED else ""
        return Punctuation(word("{"), word("}"), word("["), word("]"), word("," + blank), word(":" + blank))


def _followed(key: Node, text: str) -> Node:
    """A lexeme with a text after it."""
    match key:
        case Lexeme(Literal(found)):
            return Lexeme(Literal(found + text))
        case Lexeme(body):
            return Lexeme(sequence(body, literal(text)))
        case Rule():
            return _followed_rule(key, text)
        case Choice(options):
            return choice(*(_followed(option, text) for option in options))
        case Meet(accept, reject, plain):
            return Meet(
                tuple(_followed(node, text) for node in accept),
                tuple(_followed(node, text) for node in reject),
                Deferred(lambda: sequence(plain.node, literal(text))),
            )
        case Except(words, char, _):
            return Except(words, char, text)
        case _:
            raise TypeError("a key is a lexeme")


@lru_cache(maxsize=16)
def _followed_rule(key: Rule, text: str) -> Node:
    return Rule("key", _followed(key.body, text))


BLANKS: Node = optional(Lexeme(repeat(chars(" \t\n\r"), 1, 20)))

DIGIT = chars((ord("0"), ord("9")))
MOST_DIGITS = 20
"""Of a whole part or a fraction. A double holds 17 and a 64-bit integer 20; without a bound a model at a high
temperature can write digits until its tokens run out."""
FRACTION: Node = sequence(literal("."), repeat(DIGIT, 1, MOST_DIGITS))
_HEX = chars("0123456789abcdefABCDEF")
PLAIN_CHAR: CharSet = other_chars(chars((0, 0x1F), '"\\'))
"""A character that stands for itself in a JSON string."""
SHORT_ESCAPE: Node = sequence(literal("\\"), chars('"\\bfnrt'))
_UNICODE_ESCAPE: Node = sequence(
    literal("\\u"),
    choice(
        sequence(chars("0123456789abcABCefEF"), repeat(_HEX, 3, 3)),
        sequence(chars("dD"), chars("01234567"), repeat(_HEX, 2, 2)),
        # a surrogate pair is one character
        sequence(
            chars("dD"), chars("89abAB"), repeat(_HEX, 2, 2), literal("\\u"),
            chars("dD"), chars("cdefCDEF"), repeat(_HEX, 2, 2),
        ),
    ),
)  # fmt: skip
STRING_CHAR: Node = Rule("char", choice(PLAIN_CHAR, SHORT_ESCAPE, literal("\\/"), _UNICODE_ESCAPE))
"""One code point of a JSON string, however it is written."""
CANONICAL_CHAR: Node = Rule("plain-char", choice(PLAIN_CHAR, SHORT_ESCAPE))
"""One code point written in the one way json.dumps writes it, so that texts differ where strings differ. Control
characters without a short escape have no such way and are left out."""

QUOTE = literal('"')
STRING: Node = Rule("string", Lexeme(sequence(QUOTE, repeat(STRING_CHAR), QUOTE)))
INTEGER: Node = Rule(
    "integer",
    Lexeme(
        sequence(
            optional(literal("-")),
            choice(literal("0"), sequence(chars((ord("1"), ord("9"))), repeat(DIGIT, 0, MOST_DIGITS - 1))),
        )
    ),
)
NUMBER: Node = Rule(
    "number",
    Lexeme(
        sequence(
            optional(literal("-")),
            choice(literal("0"), sequence(chars((ord("1"), ord("9"))), repeat(DIGIT, 0, MOST_DIGITS - 1))),
            optional(FRACTION),
            optional(sequence(chars("eE"), optional(chars("+-")), repeat(DIGIT, 1, 3))),
        )
    ),
)
BOOLEAN: Node = choice(word("true"), word("false"))
NULL: Node = word("null")


def canonical(value: object) -> str:
    """The one text by which a string, number, boolean or null is written in constants and keys."""
    if isinstance(value, str):
        return encode_basestring(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def constant(value: object, signs: Punctuation) -> Node:
    """Exactly this JSON value, strings and numbers in their canonical spelling, keys in the value's order."""
    match value:
        case dict():
            members = [signs.member(word(canonical(key)), constant(v, signs)) for key, v in value.items()]
            return sequence(signs.open_object, joined(members, signs.comma), signs.close_object)
        case list():
            items = [constant(item, signs) for item in value]
            return sequence(signs.open_array, joined(items, signs.comma), signs.close_array)
        case _:
            return word(canonical(value))


def joined(items: list[Node], comma: Node) -> Node:
    """The items with commas between them."""
    return sequence(*[node for item in items for node in (comma, item)][1:])


class AnyJson:
    """Rules for JSON values of any kind, in one spacing."""

    def __init__(self, spacing: Spacing) -> None:
        signs = Punctuation.of(spacing)
        self.value: Rule = Rule("value")
        self.object: Rule = Rule("object", self._members(signs))
        self.array: Rule = Rule(
            "array", sequence(signs.open_array, optional(separated(self.value, signs.comma)), signs.close_array)
        )
        self.value.define(choice(self.object, self.array, STRING, NUMBER, BOOLEAN, NULL))

    def _members(self, signs: Punctuation) -> Node:
        member = signs.member(STRING, self.value)
        return sequence(signs.open_object, optional(separated(member, signs.comma)), signs.close_object)


@lru_cache(maxsize=len(Spacing))
def any_json(spacing: Spacing) -> AnyJson:
    """The same rules for every grammar: made once."""
    return AnyJson(spacing)


def separated(item: Node, comma: Node, low: int = 1, high: int | None = None) -> Node:
    """`low` (at least 1) to `high` items with commas between them."""
    rest = repeat(sequence(comma, item), low - 1, None if high is None else high - 1)
    return sequence(item, rest) if rest != EMPTY else item

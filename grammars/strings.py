"""Strings by length, and strings that are none of a given few (the keys that `additionalProperties` is about)."""

import re
from collections.abc import Iterable

from grammars.json_text import CANONICAL_CHAR, PLAIN_CHAR, QUOTE, SHORT_ESCAPE, STRING_CHAR, canonical, word
from grammars.tree import EMPTY, CharSet, Except, Lexeme, Node, chars, choice, literal, other_chars, repeat, sequence

_UNSPELLABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f]")
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def sized_string(low: int, high: int | None) -> Node:
    """A JSON string of `low` to `high` code points, however they are escaped."""
    return Lexeme(sequence(QUOTE, repeat(STRING_CHAR, low, high), QUOTE))


def key(name: str) -> Node:
    """An object's key, in its one canonical spelling."""
    return word(canonical(name))


def string_except(words: Iterable[str]) -> Node:
    """Any string but these. Written canonically, so that no other spelling of a word can slip through."""
    found = tuple(sorted({text for text in words if _is_spellable(text)}))
    return Except(found, CANONICAL_CHAR)


def except_node(words: Iterable[str]) -> Node:
    """The same as a plain tree, for grammars without complement."""
    return sequence(QUOTE, _except(list(words)), QUOTE)


def _is_spellable(text: str) -> bool:
    """A canonical string can be this text at all; other control characters than the short escapes it has not."""
    return _UNSPELLABLE.search(text) is None


def _except(words: list[str]) -> Node:
    """Strings that are none of the words: leave the words' trie at some point, or stop where no word ends."""
    if not words:
        return repeat(CANONICAL_CHAR)
    by_first: dict[str, list[str]] = {}
    for text in words:
        if text:
            by_first.setdefault(text[0], []).append(text[1:])
    options = [sequence(_char(first), _except(rest)) for first, rest in by_first.items()]
    options.append(sequence(_other_char(by_first), repeat(CANONICAL_CHAR)))
    return choice(*options) if "" in words else choice(EMPTY, *options)


def _char(character: str) -> Node:
    return literal(_SHORT.get(character, character))


def _other_char(characters: Iterable[str]) -> Node:
    taken = set(characters)
    plain = CharSet(_without(PLAIN_CHAR, taken))
    escapes = [literal(text) for character, text in _SHORT.items() if character not in taken]
    if len(escapes) == len(_SHORT):
        return choice(plain, SHORT_ESCAPE)
    return choice(plain, *escapes)


def _without(charset: CharSet, characters: set[str]) -> tuple[tuple[int, int], ...]:
    removed = other_chars(charset).ranges + chars("".join(characters)).ranges
    return other_chars(CharSet(removed)).ranges

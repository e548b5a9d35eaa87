"""Bare texts that end at a mark: how any text is written so, how it is read back, and the grammar of it.

A text ends at the first closing mark, so one that has the mark in it is written as XML's CDATA with the mark split over
two sections; then it never appears whole, and any text survives.
"""

import json

import grammars
from grammars import Node
from grammars.tree import Lexeme, chars, other_chars

CDATA, CDATA_END = "<![CDATA[", "]]>"


def shielded(text: str, mark: str) -> str:
    """The text as CDATA, without the mark in it."""
    split = CDATA_END + CDATA
    inside = text.replace(CDATA_END, "]]" + split + ">")
    return CDATA + inside.replace(mark, mark[0] + split + mark[1:]) + CDATA_END


def read_text(text: str) -> str:
    """The string that a bare text, closing mark left out, stands for."""
    if text.startswith(CDATA) and text.endswith(CDATA_END):
        return text[len(CDATA) : -len(CDATA_END)].replace(CDATA_END + CDATA, "")
    return text


def held(text: str, mark: str) -> int:
    """Characters at the end of the text that may be the beginning of the mark."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)


def escaped(text: str) -> str:
    """As it stands between the quotation marks of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def text_until(mark: str, not_first: str = "") -> Node:
    """Any text up to the first `mark`, which is part of it. `not_first`: characters the text may not begin with.

    Where the mark's first character comes in it again, no text has the part before that.
    """
    return Lexeme(grammars.sequence(*_unmarked(_head(mark), not_first), grammars.literal(mark)))


def text_without(mark: str, not_first: str = "") -> Node:
    """Any text that `mark` does not appear in. As `text_until`."""
    return Lexeme(grammars.sequence(*_unmarked(_head(mark), not_first)))


def _head(mark: str) -> str:
    return mark[: mark.find(mark[0], 1)] if mark[0] in mark[1:] else mark


def _unmarked(mark: str, not_first: str) -> tuple[Node, ...]:
    """Regular, without recursion: characters that begin no mark, and beginnings of the mark that break off, by another
    beginning or by a character that neither goes on nor begins anew."""
    first = mark[0]
    beginnings = [mark[:length] for length in range(1, len(mark))]
    broken_anew = grammars.repeat(grammars.choice(*map(grammars.literal, beginnings)))
    broken_off = [
        grammars.sequence(grammars.literal(start), other_chars(chars(first + mark[len(start)]))) for start in beginnings
    ]
    other = grammars.choice(other_chars(chars(first)), grammars.sequence(broken_anew, grammars.choice(*broken_off)))
    start = [other_chars(chars(first + not_first))] if not_first else []
    return (*start, grammars.repeat(other), broken_anew)

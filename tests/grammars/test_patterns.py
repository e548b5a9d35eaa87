"""Patterns against Python's own regular expressions, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grammars.patterns import PatternError, read_pattern
from grammars.texts import Text


def finds(pattern: str, text: str) -> bool:
    return any(Text(0, None, c.accept, c.reject).matches(text) for c in read_pattern(pattern))


PATTERNS = [
    "a", "^a", "a$", "^a$", "^a|b$", "^(a|bc)*$", "^[a-c]{2,3}$", "^[^a]+$", "a.c", "^(?:ab)?c+?$", "^$", "",
    "^(?!ab)[abc]+$", "^(?=.*c)[abc]{2,}$", "^a(?!b)", "(^a|b)c", "^(a|^b)", "^a{0}b$", "[a-]b",
    "^\\w+\\.\\d*$", "^a{,2}$", "(?<year>a)b", "^[\\w-]+$", "^(a(b(c)?)?)?$", "^\\x61\\u0062$", "\\$|\\^",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text("abc.1-${,}^", max_size=6))
def test_a_pattern_finds_what_pythons_does(pattern: str, text: str) -> None:
    # ECMA-262 reads {,2} as plain text and has no P in the names of groups
    theirs = pattern.replace("{,2}", "\\{,2\\}").replace("?<year>", "?P<year>")
    assert finds(pattern, text) == (re.search(theirs, text) is not None)


@pytest.mark.parametrize(
    "pattern", ["(a)\\1", "(?<=a)b", "\\bword", "(", ")", "*", "[b-a]", "a{3,2}", "(^a)*b", "\\p{Nonsense}", "^\\p{Lu$"]
)
def test_what_is_no_finite_automaton_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        read_pattern(pattern)


def test_digits_and_words_are_ascii_as_in_ecma_262() -> None:
    assert not finds("^\\d$", "٣")
    assert not finds("^\\w$", "é")
    assert finds("^\\W$", "é")
    assert finds("^\\p{L}$", "é")


@given(low=st.integers(0, 4), width=st.integers(0, 4), text=st.text("ab-", max_size=9))
def test_lengths_and_patterns_hold_together(low: int, width: int, text: str) -> None:
    (condition,) = read_pattern("^[a-b]+(-[ab]+)*$")
    met = Text(low, low + width).meet(Text(0, None, condition.accept))
    assert met is not None
    wanted = low <= len(text) <= low + width and re.search("^[a-b]+(-[ab]+)*$", text) is not None
    assert met.matches(text) == wanted


@given(text=st.text("ab", max_size=6))
def test_a_complement_takes_exactly_what_the_text_refuses(text: str) -> None:
    (condition,) = read_pattern("^a.*b$")
    some = Text(2, 4, condition.accept)
    assert any(other.matches(text) for other in some.complement()) != some.matches(text)

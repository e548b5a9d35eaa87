"""Grammars in Lark's language, against lark itself where it is installed, and spelled inside of JSON strings."""

import json
import random

import pytest

import grammars
from grammars import InvalidGrammar
from grammars.lark_source import read_lark

SUMS = r"""
// sums and products
start: expr
?expr: term (("+"|"-") term)*
     | expr "&" term -> both
term.2: factor (("*"|"/") factor)*
factor: NUMBER | "-" factor | "(" expr ")" | NAME | "let"i NAME
NAME: /[a-z_]{1,5}/
%import common.NUMBER
%import common.WS -> BLANK
%ignore BLANK
"""
REPEATS = r"""
start: "a"~2 B~1..3 [C] ("x".."z")+ "\n"
B: "b" | "β" | "\u00e9"
C: "c" "\"" | "\\"
"""
TEXTS = {
    SUMS: ["1+2", "1 + 2", " 1", "1+", "(a*b)-c", "1.5e3", "--a", "a b", "((1))", "1&2", "", "abcdefg", "LeT x", "let"],
    REPEATS: ["aabx\n", "aabβéyz\n", 'aabc"x\n', "aab\\x\n", "abx\n", "aabbbbx\n", "aabx", "aabcx\n"],
}  # fmt: skip
ADMITTED = {
    SUMS: ["1+2", "1 + 2", " 1", "(a*b)-c", "1.5e3", "--a", "((1))", "1&2", "LeT x", "let"],
    REPEATS: ["aabx\n", "aabβéyz\n", 'aabc"x\n', "aab\\x\n"],
}


@pytest.mark.parametrize("definition", [SUMS, REPEATS], ids=["sums", "repeats"])
def test_texts_are_admitted_as_they_are_derived(definition: str) -> None:
    compiled = grammars.emit(read_lark(definition))
    assert [text for text in TEXTS[definition] if grammars.check(compiled, text).admitted] == ADMITTED[definition]


@pytest.mark.parametrize("definition", [SUMS, REPEATS], ids=["sums", "repeats"])
def test_texts_stand_in_json_strings_as_json_writes_them(definition: str) -> None:
    compiled = grammars.emit(grammars.lark_string(definition))
    admitted = [
        text for text in TEXTS[definition] if grammars.check(compiled, json.dumps(text, ensure_ascii=False)).admitted
    ]
    assert admitted == ADMITTED[definition]


def test_it_reads_as_lark_itself_does() -> None:
    lark = pytest.importorskip("lark", reason="lark is no dependency; where it is installed it is the judge")
    theirs = lark.Lark(SUMS, parser="earley", lexer="dynamic_complete")
    ours = grammars.emit(read_lark(SUMS))
    generator = random.Random(7)
    for _ in range(150):
        text = "".join(
            generator.choices(["1", "a", "+", "*", "(", ")", " ", "&", "-", "let"], k=generator.randint(1, 7))
        )
        try:
            theirs.parse(text)
            is_derived = True
        except lark.exceptions.LarkError:
            is_derived = False
        assert grammars.check(ours, text).admitted == is_derived, text


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("expr: 'a'", "can't be read"),
        ('expr: "a"', "no rule 'start'"),
        ("start: other", "'other' is used but not defined"),
        ("start: start", "no text"),
        ('start: "a"\nstart: "b"', "defined twice"),
        ('start: ("a"', "not closed"),
        ('start: "a")', "stands where it can't"),
        ('start: "a" ~ 5000', "up to 1000"),
        ("start: /a(?=b)/", "can't be held"),
        ("start: /a/i", "flags"),
        ("start: A\nA: start", "a terminal can't use"),
        ("start{x}: x", "':' is missing"),
        ("%declare A", "not supported"),
        ("%import python.NAME", "only Lark's 'common'"),
        ("start: C\n%import common.C_COMMENT -> C", "common.C_COMMENT"),
        ('start: ""', "no terminal"),
        ("start: " + "(" * 80 + '"a"' + ")" * 80, "too deep"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_held_is_refused_with_its_line(definition: str, words: str) -> None:
    with pytest.raises(InvalidGrammar, match=words.replace("(", r"\(")):
        read_lark(definition)

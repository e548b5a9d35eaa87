"""Calls out of text that no grammar held."""

import pytest

from server.chat.choosing import dialect_of as derive
from server.chat.dialect import literal_start
from server.chat.free_parser import FreeParser
from server.chat.parser import CallDelta, CallStart, ContentDelta, Delta

from .templates import OURS

DIALECT = derive(OURS)
BEGIN, SUFFIX = literal_start(DIALECT.begin), literal_start(DIALECT.suffix)


def parse(text: str) -> list[Delta]:
    parser = FreeParser(DIALECT)
    assert parser.feed(text) == []
    return parser.finish()


def calls_of(text: str) -> list[tuple[str, str]]:
    deltas = parse(text)
    names = [delta.name for delta in deltas if isinstance(delta, CallStart)]
    return list(zip(names, [delta.arguments for delta in deltas if isinstance(delta, CallDelta)], strict=True))


def call(name: str, arguments: str) -> str:
    return f'{BEGIN}"{name}"{literal_start(DIALECT.middle)}{arguments}{SUFFIX}'


def test_well_formed_calls_are_read_in_order() -> None:
    assert calls_of(call("f", '{"a":1}') + call("g", "{}")) == [("f", '{"a":1}'), ("g", "{}")]


def test_words_before_a_call_stay_content() -> None:
    assert parse("Sure. " + call("f", "{}"))[0] == ContentDelta("Sure.")


def test_blanks_around_the_literals_do_no_harm() -> None:
    assert calls_of(call("f", ' {"a": 1} ').replace(":", " : ", 1)) == [("f", '{"a": 1}')]


def test_arguments_that_are_no_json_are_handed_out_as_written() -> None:
    assert calls_of(call("f", '{"a": oops}')) == [("f", '{"a": oops}')]


@pytest.mark.parametrize("broken", ["", "name: f", SUFFIX, BEGIN + BEGIN, '{"a"'])
def test_what_is_no_call_stays_content(broken: str) -> None:
    (delta,) = parse(DIALECT.trigger + broken)
    assert isinstance(delta, ContentDelta)
    assert delta.text.startswith(DIALECT.trigger)

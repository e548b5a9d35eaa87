"""Text back to content and calls, in pieces of any size."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.choosing import dialect_of as derive
from server.chat.dialect import GENERIC, Dialect
from server.chat.messages import ToolCall
from server.chat.parser import AnswerParser, CallDelta, CallEnd, CallsAt, CallStart, ContentDelta, Delta

from .templates import HERMES, OURS

DIALECTS = [derive(OURS), derive(HERMES), GENERIC]
NASTY = ["</tool_call>", '"', "\\", "{", "}]", "\n", "é🙂", "<tool_call>", '"}</tool_call>']
_TEXTS = st.text() | st.sampled_from(NASTY)
_ARGUMENTS = st.dictionaries(
    _TEXTS, st.recursive(_TEXTS | st.integers() | st.none(), st.lists, max_leaves=4), max_size=3
)
_CALLS = st.lists(st.tuples(st.text(min_size=1) | st.sampled_from(NASTY), _ARGUMENTS), max_size=3)
_CONTENT = st.text("ab <>t\n", max_size=12).map(str.rstrip).filter(lambda text: "<tool_call>" not in text)


def parse(
    dialect: Dialect, text: str, cuts: list[int], *, calls_at: CallsAt = "anywhere"
) -> tuple[str, list[tuple[str, str]]]:
    parser = AnswerParser(dialect, calls=calls_at)
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    deltas: list[Delta] = []
    for begin, end in pairwise(edges):
        deltas += parser.feed(text[begin:end])
    deltas += parser.finish()
    content, calls = "", dict[int, list[str]]()
    for delta in deltas:
        match delta:
            case ContentDelta(part):
                content += part
            case CallStart(index, name):
                assert index == len(calls)
                calls[index] = [name, ""]
            case CallDelta(index, part):
                calls[index][1] += part
            case CallEnd(index):
                json.loads(calls[index][1])
    return content, [(name, arguments) for name, arguments in calls.values()]


@pytest.mark.parametrize("dialect", DIALECTS, ids=["ours", "hermes", "generic"])
@given(content=_CONTENT, calls=_CALLS, cuts=st.lists(st.integers(0, 300), max_size=30))
def test_what_is_written_is_read_back_however_it_is_cut(
    dialect: Dialect, content: str, calls: list[tuple[str, dict[str, Any]]], cuts: list[int]
) -> None:
    written = tuple(ToolCall(name, json.dumps(arguments)) for name, arguments in calls)
    text = content + ("\n" if content and calls else "") + dialect.write(written)
    said, found = parse(dialect, text, cuts)
    assert said == content
    assert [(name, json.loads(arguments)) for name, arguments in found] == calls


@given(text=st.text("<tool_cal>x \n"), cuts=st.lists(st.integers(0, 50)))
def test_text_without_a_call_is_content_to_the_letter(text: str, cuts: list[int]) -> None:
    assert parse(DIALECTS[0], text.replace("<tool_call>", ""), cuts)[0] == text.replace("<tool_call>", "")


def test_arguments_are_passed_on_as_the_model_wrote_them() -> None:
    text = '<tool_call>{"name":"f","arguments":{ "a" :1.50}}</tool_call>'
    assert parse(DIALECTS[0], text, [])[1] == [("f", '{ "a" :1.50}')]


def test_a_torso_of_a_call_is_no_content() -> None:
    assert parse(DIALECTS[0], 'Ok. <tool_call>{"name":"f","argum', []) == ("Ok.", [("f", "")])


def test_where_no_calls_are_allowed_a_call_is_just_text() -> None:
    text = '<tool_call>{"name":"f","arguments":{}}</tool_call>'
    assert parse(DIALECTS[0], text, [3, 9], calls_at="nowhere") == (text, [])


@given(cuts=st.lists(st.integers(0, 80), max_size=20))
def test_a_call_quoted_in_formatted_text_is_text(cuts: list[int]) -> None:
    call = '<tool_call>{"name":"f","arguments":{}}</tool_call>'
    text = json.dumps({"said": call})
    assert parse(DIALECTS[0], text, cuts, calls_at="start") == (text, [])
    assert parse(DIALECTS[0], call, cuts, calls_at="start") == ("", [("f", "{}")])

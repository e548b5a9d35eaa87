"""What holds of every dialect: what is written is admitted by the grammar and read back as it was, however it is cut.

Over small templates of our own, and over all that llama.cpp's sources have.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from server.chat.conversation import Conversations
from server.chat.free_parser import FreeParser
from server.chat.messages import Message, Tool, ToolCall
from server.chat.parser import AnswerParser, CallDelta, CallEnd, CallStart, ContentDelta, Delta, ReasoningDelta
from server.chat.request import ChatRequest, ToolChoice
from server.chat.template import TemplateError
from server.engine.types import Constraint

from . import llama_templates
from .templates import SAMPLES

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "A text."},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A text or none."},
        "unit": {"type": "string", "enum": ["a", "b <c>", "null"], "description": "One of three."},
        "count": {"type": "integer", "description": "A number."},
        "share": {"type": "number", "description": "A share."},
        "is_so": {"type": "boolean", "description": "A flag."},
        "list": {"type": "array", "items": {"type": "string"}, "description": "A list."},
        "object": {
            "type": "object",
            "properties": {
                "key": {"type": "string"},
                "inner": {"type": "object", "properties": {"n": {"type": "null"}}},
            },
            "additionalProperties": False,
            "description": "An object.",
        },
    },
}
TOOLS = tuple(Tool(name, SCHEMA, "Does things.") for name in ("get", "get_more", "a.b-c_1"))
SCHEMAS = {tool.name: tool.parameters for tool in TOOLS}
USER = Message("user", "q")
EXAMPLES = settings().max_examples // 16
NASTY = [
    "", "null", '"', "\\", "\n", " a ", "it's", "é🙂", "{", "}]", "</tool_call>", "</parameter>", "\n</parameter>\n",
    "</p>", "<![CDATA[x]]>", "]]>", "</arg_value>", "<|call_end|>", '<|"|>', "[TOOL_CALLS]", "<tool_call>", "</think>",
]  # fmt: skip
_TEXTS = st.sampled_from(NASTY) | st.lists(st.sampled_from(NASTY), max_size=3).map("".join) | st.text(max_size=5)
_VALUES = {
    "text": _TEXTS,
    "note": _TEXTS | st.none(),
    "unit": st.sampled_from(SCHEMA["properties"]["unit"]["enum"]),
    "count": st.integers(-(10**6), 10**6),
    "share": st.sampled_from([0.5, -1.25, 3.0]),
    "is_so": st.booleans(),
    "list": st.lists(_TEXTS, max_size=2),
    "object": st.fixed_dictionaries({}, optional={"key": _TEXTS, "inner": st.just({"n": None})}).map(
        lambda given: {key: given[key] for key in ("key", "inner") if key in given}
    ),
}
_ARGUMENTS = st.fixed_dictionaries({}, optional=_VALUES).map(
    lambda given: {key: given[key] for key in _VALUES if key in given}
)
_CALLS = st.lists(st.tuples(st.sampled_from([tool.name for tool in TOOLS]), _ARGUMENTS), min_size=1, max_size=3)
_CUTS = st.lists(st.integers(0, 2000), max_size=40)
Read = tuple[str, str, list[tuple[str, Any]]]


@cache
def conversations(case: str) -> Conversations:
    kind, name = case.split("/", 1)
    return Conversations(SAMPLES[name] if kind == "sample" else llama_templates.template(name))


CASES = [f"sample/{name}" for name in SAMPLES] + [
    f"llama.cpp/{case}" if isinstance(case, str) else pytest.param("/", marks=case.marks)
    for case in llama_templates.PARAMETERS
]


@cache
def constraint(case: str, mode: str, thinks: str = "never") -> Constraint:
    request = ChatRequest((USER,), TOOLS, ToolChoice(mode))  # type: ignore[arg-type]
    found = conversations(case)._grammars.build(request, thinks).constraint  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("case", CASES)
def test_text_and_thoughts_may_have_all_that_they_need(case: str) -> None:
    """Where nothing can be called, and before a call, tags are barred that only calls have."""
    held = conversations(case)
    thought = held.dialect.reasoning
    needed = "".join((thought.begin, thought.end) if thought else ()) + held.dialect.text_begin + held.dialect.text_end
    said = [Message(role, "Hello") for role in ("user", "assistant", "user", "assistant", "user")]
    with contextlib.suppress(TemplateError):
        needed += held.template.render(said)
    none, some = (held.prepare(ChatRequest((USER,), tools)).grammar.barred for tools in ((), TOOLS))
    assert not [tag for tag in (*none, *some) if tag in needed]
    assert held.dialect.trigger not in some


@pytest.mark.skipif("openai-gpt-oss-120b" not in llama_templates.NAMES, reason="run scripts/llama_sources.sh .venv")
def test_harmonys_channels_are_open_without_tools() -> None:
    assert conversations("llama.cpp/openai-gpt-oss-120b").prepare(ChatRequest((USER,))).grammar.barred == ()


@cache
def tokenizer() -> LLTokenizer:
    return LLTokenizer("byte")


def admits(rule: Constraint, text: str) -> bool:
    matcher = LLMatcher(tokenizer(), rule.lark, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and bool(matcher.is_accepting())


def written(case: str, calls: Sequence[tuple[str, Any]]) -> str:
    dialect = conversations(case).dialect
    made = tuple(ToolCall(name, json.dumps(arguments), f"callid{n:03}") for n, (name, arguments) in enumerate(calls))
    return dialect.write(made if dialect.next is not None else made[:1], SCHEMAS)


def kept(case: str, calls: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """As many of the calls as one turn may have."""
    return calls if conversations(case).dialect.next is not None else calls[:1]


def read(parser: AnswerParser | FreeParser, text: str, cuts: Sequence[int]) -> Read:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    deltas: list[Delta] = []
    for begin, end in pairwise(edges):
        deltas += parser.feed(text[begin:end])
    content, thought, calls = "", "", list[list[str]]()
    for delta in [*deltas, *parser.finish()]:
        match delta:
            case ContentDelta(part):
                content += part
            case ReasoningDelta(part):
                thought += part
            case CallStart(index, name):
                assert index == len(calls)
                calls.append([name, ""])
            case CallDelta(index, part):
                calls[index][1] += part
            case CallEnd(index):
                json.loads(calls[index][1])
    return thought, content, [(name, json.loads(arguments)) for name, arguments in calls]


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES)
@given(calls=_CALLS, cuts=_CUTS)
def test_what_is_written_is_admitted_and_read_back(case: str, calls: list[tuple[str, Any]], cuts: list[int]) -> None:
    text = written(case, calls)
    assert admits(constraint(case, "required"), text), text
    parser = AnswerParser(conversations(case).dialect, calls="start", schemas=SCHEMAS)
    assert read(parser, text, cuts) == ("", "", kept(case, calls))


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES)
@given(calls=_CALLS, data=st.data())
def test_what_is_cut_off_or_has_another_name_is_not_admitted(
    case: str, calls: list[tuple[str, Any]], data: st.DataObject
) -> None:
    text = written(case, calls[:1])
    cut = data.draw(st.integers(0, len(text) - 1))
    assert not admits(constraint(case, "required"), text[:cut])
    assert not admits(constraint(case, "required"), f"Sure! {text}")
    other = Conversations(conversations(case).template).dialect
    call = (ToolCall("delete_all", "{}", "callid000"),)
    assert not admits(constraint(case, "required"), other.write(call, {}))


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES)
@given(calls=_CALLS, cuts=_CUTS, content=st.sampled_from(["", "Let me look.", "a < b\n\n{ }"]))
def test_words_before_calls_are_content(case: str, calls: list[tuple[str, Any]], cuts: list[int], content: str) -> None:
    held = conversations(case)
    if held.dialect.is_first or held.dialect.text_begin:
        content = ""
    text = content + ("\n\n" if content else "") + written(case, calls)
    rule = constraint(case, "auto")
    start = 0 if rule.trigger is None else text.index(rule.trigger)
    assert admits(rule, text[start:])
    parser = held.parser(held.prepare(ChatRequest((USER,), TOOLS)))
    assert isinstance(parser, AnswerParser)
    assert read(parser_after_thinking(case), text, cuts) == ("", content, kept(case, calls))


def parser_after_thinking(case: str) -> AnswerParser:
    dialect = conversations(case).dialect
    at_start = dialect.is_first or bool(dialect.text_begin)
    return AnswerParser(dialect, calls="start" if at_start else "anywhere", schemas=SCHEMAS)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES)
@given(
    calls=_CALLS, cuts=_CUTS, thinks=st.sampled_from(["open", "perhaps"]), mode=st.sampled_from(["auto", "required"])
)
def test_calls_may_follow_reasoning(
    case: str, calls: list[tuple[str, Any]], cuts: list[int], thinks: Any, mode: str
) -> None:
    dialect = conversations(case).dialect
    if dialect.reasoning is None:
        return
    thought = f"I could write {dialect.trigger} here. < Hm."
    begin = dialect.reasoning.begin if thinks == "perhaps" else ""
    blanks = "" if dialect.text_begin else "\n\n"
    text = f"{begin}{thought}{dialect.reasoning.end}{blanks}{written(case, calls)}"
    rule = constraint(case, mode, thinks)
    assert admits(rule, text if rule.trigger is None else text[text.index(rule.trigger) :]), text
    calls_at = "start" if mode == "required" or dialect.is_first or dialect.text_begin else "anywhere"
    parser = AnswerParser(dialect, calls=calls_at, schemas=SCHEMAS, thinks=thinks)  # type: ignore[arg-type]
    assert read(parser, text, cuts) == (thought, "", kept(case, calls))


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES)
@given(calls=_CALLS)
def test_a_prompt_shows_tools_calls_and_results(case: str, calls: list[tuple[str, Any]]) -> None:
    held = conversations(case)
    made = tuple(ToolCall(name, json.dumps(given), f"callid{n:03}") for n, (name, given) in enumerate(calls))
    results = [Message("tool", f"result-{call.id}", tool_call_id=call.id, name=call.name) for call in made]
    messages = (Message("system", "Be brief."), USER, Message("assistant", None, made), *results)
    text = held.prompt(ChatRequest(messages, TOOLS)).text
    assert all(tool.name in text for tool in TOOLS)
    assert all(result.content in text for result in results if result.content)
    assert all(call.name in text for call in made)


@pytest.mark.parametrize("case", CASES)
def test_a_prompt_writes_calls_as_the_dialect_does(case: str) -> None:
    held = conversations(case)
    if held.dialect.name in ("harmony", "atem"):
        pytest.skip("the template spells calls in the other way that the format allows")
    calls = [
        ("get", {"text": "x", "note": None, "count": 3, "share": 0.5, "is_so": True}),
        ("get_more", {"note": "y", "list": ["a", "b"], "object": {"key": "it's", "inner": {"n": None}}}),
    ]
    for some in ([calls[0]], [calls[1]], calls):
        made = tuple(
            ToolCall(name, json.dumps(given), f"callid{n:03}") for n, (name, given) in enumerate(kept(case, some))
        )
        turns = (USER, Message("assistant", None, made))
        results = [Message("tool", "ok", tool_call_id=call.id, name=call.name) for call in made]
        texts = [held.prompt(ChatRequest((*turns, *after), TOOLS)).text for after in (results, [])]
        assert any(written(case, some) in text for text in texts)


@pytest.mark.parametrize("case", CASES)
def test_calls_are_read_without_a_grammar_too(case: str) -> None:
    held = conversations(case)
    calls = kept(case, [("get", {"text": "x", "count": 3, "list": ["a"]}), ("get_more", {"object": {"key": "y"}})])
    dialect = held.dialect
    thought = f"{dialect.reasoning.begin}Hm.{dialect.reasoning.end}" if dialect.reasoning else ""
    parser = FreeParser(dialect, SCHEMAS, "perhaps" if thought else "never")
    said = "" if dialect.text_begin or dialect.is_first else "So.\n"
    expected = ("Hm." if thought else "", said.strip(), calls)
    assert read(parser, thought + said + written(case, calls), [7]) == expected


def test_a_turn_of_several_calls_is_split_where_the_template_takes_one() -> None:
    held = conversations("sample/at_first")
    calls = tuple(ToolCall("get", json.dumps({"count": n}), f"callid{n:03}") for n in range(2))
    results = [Message("tool", f"result {n}", tool_call_id=f"callid{n:03}") for n in range(2)]
    text = held.prompt(ChatRequest((USER, Message("assistant", "So.", calls), *reversed(results), USER), TOOLS)).text
    places = [text.index(part) for part in ("So.", '"count": 0', "result 0", '"count": 1', "result 1")]
    assert places == sorted(places)
    assert text.count("result 0") == 1


def test_ids_are_made_to_fit_and_stay_each_others() -> None:
    held = conversations("sample/with_ids")
    call = ToolCall("get", "{}", "call_0123456789abcdef")
    messages = (USER, replace(USER, role="assistant", tool_calls=(call,)), Message("tool", "ok", tool_call_id=call.id))
    shown = held._history.rewrite(messages, TOOLS)
    assert shown[1].tool_calls[0].id == shown[2].tool_call_id
    assert len(shown[1].tool_calls[0].id) == 9

"""The grammar of an answer, by tool_choice and response format."""

from dataclasses import replace

import pytest
from llguidance import LLMatcher

from server.chat.choosing import dialect_of as derive
from server.chat.constraint import AnswerGrammars, SchemaError
from server.chat.dialect import GENERIC
from server.chat.messages import Message, Tool
from server.chat.request import CALLS_AT_ONCE, ChatRequest, ResponseFormat, ToolChoice
from server.engine.model import Model
from server.engine.types import Constraint
from tests.server.engine.conftest import MODEL

from .templates import OURS

WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
STOP = Tool("stop", {})
BASE = ChatRequest((Message("user", "q"),), (WEATHER, STOP))
GRAMMARS = AnswerGrammars(derive(OURS))
CALL = '<tool_call>{"name":"get_weather","arguments":{"city":"Rome"}}</tool_call>'
EMPTY_CALL = '<tool_call>{"name":"stop","arguments":{}}</tool_call>'


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(MODEL)


def admits(model: Model, constraint: Constraint | None, text: str) -> bool:
    assert constraint is not None
    assert constraint.lark is not None
    matcher = LLMatcher(model.vocabulary.mask_tokenizer, constraint.lark, log_level=0)
    tokens = list(model.vocabulary.tokenize(text, parse_special=False))
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def choosing(mode: str, *names: str) -> ChatRequest:
    return replace(BASE, tool_choice=ToolChoice(mode, names or None))  # type: ignore[arg-type]


def test_required_admits_calls_and_nothing_before_them(model: Model) -> None:
    constraint = GRAMMARS.build(choosing("required")).constraint
    assert constraint is not None
    assert constraint.trigger is None
    assert admits(model, constraint, CALL)
    assert admits(model, constraint, CALL + EMPTY_CALL)
    for text in ("", "Sure! " + CALL, CALL + " done", CALL.replace("city", "town"), CALL.replace("get_weather", "go")):
        assert not admits(model, constraint, text), text


def test_auto_waits_for_the_trigger(model: Model) -> None:
    constraint = GRAMMARS.build(choosing("auto")).constraint
    assert constraint is not None
    assert constraint.trigger == "<tool_call>"
    assert admits(model, constraint, CALL)


def test_a_named_tool_is_the_only_one(model: Model) -> None:
    constraint = GRAMMARS.build(choosing("required", "stop")).constraint
    assert admits(model, constraint, EMPTY_CALL)
    assert not admits(model, constraint, CALL)


def test_none_leaves_no_grammar_and_no_tools_to_call() -> None:
    assert GRAMMARS.build(choosing("none")).constraint is None


def test_calls_are_bounded(model: Model) -> None:
    constraint = GRAMMARS.build(choosing("required")).constraint
    assert admits(model, constraint, EMPTY_CALL * CALLS_AT_ONCE)
    assert not admits(model, constraint, EMPTY_CALL * (CALLS_AT_ONCE + 1))
    single = GRAMMARS.build(replace(choosing("required"), parallel_tool_calls=False)).constraint
    assert not admits(model, single, EMPTY_CALL * 2)


def test_a_response_format_with_tools_admits_either(model: Model) -> None:
    wanted = ResponseFormat("json_schema", {"type": "object", "properties": {"a": {"type": "integer"}}})
    constraint = GRAMMARS.build(replace(choosing("auto"), response_format=wanted)).constraint
    assert admits(model, constraint, '{"a":1}')
    assert admits(model, constraint, CALL)
    assert not admits(model, constraint, "hello")


def test_the_generic_dialect_is_spaced(model: Model) -> None:
    constraint = AnswerGrammars(GENERIC).build(choosing("required")).constraint
    assert admits(
        model, constraint, '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    )


def test_a_strict_tool_that_cannot_be_held_is_refused_by_field() -> None:
    tool = Tool("f", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}, strict=True)
    with pytest.raises(SchemaError, match="uniqueItems") as caught:
        GRAMMARS.build(replace(BASE, tools=(WEATHER, tool), tool_choice=ToolChoice("auto")))
    assert caught.value.param == "tools[1].function.parameters"


def test_a_tool_that_is_not_strict_is_widened_and_says_so() -> None:
    tool = Tool("f", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})
    answer = GRAMMARS.build(replace(BASE, tools=(tool,), tool_choice=ToolChoice("auto")))
    assert [name for name, _ in answer.widened] == ["f"]


def test_the_same_request_is_compiled_once() -> None:
    assert GRAMMARS.build(choosing("required")) is GRAMMARS.build(choosing("required"))


def test_tools_whose_grammar_is_too_large_are_refused_by_field() -> None:
    item = {"type": "object", "properties": {f"key_{n}": {"const": f"{n}" * 2000} for n in range(60)}}
    tools = tuple(Tool(f"tool_{n}", {"properties": {f"{m}": item for m in range(8)}}) for n in range(8))
    with pytest.raises(SchemaError, match="tools") as caught:
        GRAMMARS.build(replace(BASE, tools=tools, tool_choice=ToolChoice("auto")))
    assert caught.value.param.startswith("tools")


def test_a_request_may_go_without_a_grammar() -> None:
    for mode in ("auto", "required"):
        assert GRAMMARS.build(replace(choosing(mode), is_constrained=False)).constraint is None


@pytest.mark.parametrize("failure", [RecursionError("too deep"), TypeError("no number"), KeyError("type")])
def test_arguments_that_fail_to_compile_are_an_error_that_names_the_field(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("grammars.compile_schema", fail)
    with pytest.raises(SchemaError) as caught:
        AnswerGrammars(derive(OURS)).build(choosing("required"))
    assert caught.value.param == "tools[0].function.parameters"

"""From the wire's request to ours, and what is refused on the way."""

from typing import Any

import pytest
from pydantic import ValidationError

from server.api.chat_request import read_chat_request
from server.api.errors import ApiError, field_name
from server.api.wire import ChatCompletionRequest
from server.chat.request import ChatRequest, ToolChoice
from server.engine.types import Sampling

NAMED = {"type": "function", "function": {"name": "f"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def tool_with(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def read(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_chat_request(ChatCompletionRequest.model_validate(body), Sampling(temperature=0.0, top_k=5))


def test_what_the_request_leaves_open_is_the_models_recommendation() -> None:
    assert read().sampling == Sampling(temperature=0.0, top_k=5)
    assert read(temperature=0.7).sampling == Sampling(temperature=0.7, top_k=5)


def test_content_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read(messages=[{"role": "user", "content": parts}]).messages[0].content == "ab"


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, ToolChoice("none")),
        ({"tools": [TOOL]}, ToolChoice("auto")),
        ({"tools": [TOOL], "tool_choice": "none"}, ToolChoice("none")),
        ({"tools": [TOOL], "tool_choice": "required"}, ToolChoice("required")),
        ({"tools": [TOOL], "tool_choice": NAMED}, ToolChoice("required", ("f",))),
        (
            {"tools": [TOOL], "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }},
            ToolChoice("auto", ("f",)),
        ),
    ],
)  # fmt: skip
def test_every_form_of_tool_choice_is_read(fields: dict[str, Any], choice: ToolChoice) -> None:
    assert read(**fields).tool_choice == choice


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice.function.name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name"),
        ({"tools": [tool_with({"type": "string"})]}, "tools[0].function.parameters"),
        ({"tools": [tool_with({"type": "object", "required": 1})]}, "tools[0].function.parameters"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "nobody"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{oops"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":' + "[" * 100_000}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"tools": [tool_with({"type": "object", "const": float("nan")})]}, "tools[0].function.parameters"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"self": 1}}, "chat_template_kwargs"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 7}}}},
            "response_format.json_schema.schema",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert caught.value.body["error"]["param"] == param


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"temperature": 3},
        {"temperature": "hot"},
        {"n": 0},
        {"n": True},
        {"stop": ["a"] * 5},
        {"logit_bias": {"x": 1}},
        {"logit_bias": {"1": 101}},
        {"logit_bias": {"9" * 5000: 1}},
        {"max_tokens": 0},
        {"tool_choice": "maybe"},
        {"response_format": {"type": "xml"}},
        {"tools": [{"type": "function", "function": {"name": "no spaces"}}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"stream_options": {"include_usage": True}},
        {"functions": []},
    ],
    ids=str,
)
def test_unknown_values_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**fields)


def test_a_pattern_of_javascripts_is_no_mistake() -> None:
    assert read(tools=[tool_with({"type": "object", "properties": {"a": {"pattern": r"^\p{L}+$"}}})]).tools


@pytest.mark.parametrize(
    ("effort", "variables"),
    [
        ("none", {"reasoning_effort": "none", "enable_thinking": False, "thinking": False}),
        ("medium", {"reasoning_effort": "medium", "thinking_effort": "high"}),
        ("max", {"reasoning_effort": "max", "thinking_effort": "max"}),
    ],
)
def test_the_effort_reaches_templates_under_their_names(effort: str, variables: dict[str, Any]) -> None:
    assert read(reasoning_effort=effort).template_variables == variables


def test_the_repetition_penalty_has_two_names() -> None:
    assert read(repetition_penalty=1.2).sampling == read(repeat_penalty=1.2).sampling
    assert read(repeat_penalty=1.2).sampling.repetition_penalty == 1.2


def test_unknown_fields_are_accepted() -> None:
    assert read(store=True, metadata={"a": "b"}, user="me", service_tier="auto").messages


def test_locations_are_written_as_openai_writes_them() -> None:
    assert field_name(["messages", 0, "content", "list[TextPart]", 1, "text"]) == "messages[0].content[1].text"
    assert field_name(["tool_choice", "Named", "function", "name"]) == "tool_choice.function.name"


@pytest.mark.parametrize(
    ("fields", "constrained"), [({}, True), ({"trammel": {}}, True), ({"trammel": {"constrain": False}}, False)]
)
def test_the_grammar_can_be_switched_off(fields: dict[str, Any], constrained: bool) -> None:
    assert read(**fields).is_constrained is constrained

"""Custom tools over HTTP: a text or what a grammar allows, instead of JSON."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

MODEL = "trammel-tiny"
QUESTION: Any = [{"role": "user", "content": "Take a note."}]


def custom(name: str, syntax: str | None = None, definition: str = "") -> dict[str, Any]:
    grammar = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    return {"type": "custom", "custom": {"name": name, **({"format": grammar} if syntax else {})}}


NOTE, CODE = custom("note"), custom("code", "regex", r'"[a-f]{3,6}"\n\d+')
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CHOOSE_CODE: Any = {"type": "custom", "custom": {"name": "code"}}


@pytest.fixture
def client(server_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def chat(url: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": QUESTION, "seed": 1, "max_tokens": 60, "tools": [NOTE, CODE, WEATHER], **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def test_a_named_custom_tool_gets_an_input_its_regex_allows(client: openai.OpenAI) -> None:
    tools: Any = [NOTE, CODE, WEATHER]
    for seed in range(4):
        answer = client.chat.completions.create(
            model=MODEL, messages=QUESTION, tools=tools, tool_choice=CHOOSE_CODE, seed=seed, temperature=2,
            parallel_tool_calls=False,
        )  # fmt: skip
        calls: Any = answer.choices[0].message.tool_calls
        assert [(call.type, call.custom.name) for call in calls] == [("custom", "code")]
        assert re.fullmatch(r'"[a-f]{3,6}"\n\d+', calls[0].custom.input)


def test_an_input_is_what_its_lark_grammar_derives(server_url: str) -> None:
    sums = custom("sum", "lark", 'start: NUMBER ("+" start)? \n NUMBER: /[1-9]{1,3}/\n%ignore " "')
    choice = {"type": "custom", "custom": {"name": "sum"}}
    for seed in range(4):
        fields = {
            "tools": [sums],
            "tool_choice": choice,
            "seed": seed,
            "temperature": 1.5,
            "parallel_tool_calls": False,
            "trammel": {"fit": True},
        }
        answer = chat(server_url, **fields).json()["choices"][0]
        text = answer["message"]["tool_calls"][0]["custom"]["input"]
        assert re.fullmatch(r" *[1-9]{1,3}( *\+ *[1-9]{1,3})* *", text)


def test_the_conversation_goes_on_with_a_custom_tools_output(server_url: str) -> None:
    call = chat(server_url, tool_choice=CHOOSE_CODE, parallel_tool_calls=False).json()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "done"}
    answer = chat(server_url, messages=[*QUESTION, call, result], tool_choice="none")
    assert answer.status_code == 200, answer.text


def test_a_free_input_is_text_and_streams_as_it_is(server_url: str) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "custom", "custom": {"name": "code"}}]}}  # fmt: skip
    fields: dict[str, Any] = {"tool_choice": choice, "temperature": 0, "parallel_tool_calls": False}
    whole = chat(server_url, **fields).json()["choices"][0]["message"]["tool_calls"][0]
    text = ""
    for line in chat(server_url, **fields, stream=True).iter_lines():
        if '"tool_calls"' in line and '"custom"' in line:
            text += re.findall(r'"input":"((?:[^"\\]|\\.)*)"', line)[0].encode().decode("unicode_escape")
    assert text == whole["custom"]["input"]


def test_responses_have_custom_tools_too(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "code", "format": {
        "type": "grammar", "syntax": "regex", "definition": "[a-f]{3}"}}]  # fmt: skip
    first = client.responses.create(
        model=MODEL, input="Code?", tools=tools, tool_choice="required", parallel_tool_calls=False
    )
    (call,) = first.output
    assert call.type == "custom_tool_call"
    assert re.fullmatch("[a-f]{3}", call.input)
    output: Any = [{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}]
    second = client.responses.create(
        model=MODEL, previous_response_id=first.id, input=output, tools=tools, tool_choice="none", max_output_tokens=16
    )
    assert second.output_text
    with client.responses.stream(model=MODEL, input="Code?", tools=tools, tool_choice="required") as stream:
        kinds = [event.type for event in stream]
    assert "response.custom_tool_call_input.done" in kinds


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [custom("a b")]}, "tools[0].custom.name"),
        ({"tools": [custom("code", "regex", "(")]}, "tools[0].custom.format.grammar.definition"),
        ({"tools": [custom("code", "regex", r"(a)\1")]}, "tools[0].custom.format.grammar.definition"),
        ({"tools": [custom("code", "lark", "start: missing")]}, "tools[0].custom.format.grammar.definition"),
        ({"tools": [custom("code", "yacc", "x")]}, "tools[0].custom.format.grammar.syntax"),
        ({"tools": [NOTE, NOTE]}, "tools[1].custom.name"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "none"}}}, "tool_choice.custom.name"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_custom_tool_that_cannot_be_is_refused_by_its_field(
    server_url: str, fields: dict[str, Any], param: str
) -> None:
    answer = chat(server_url, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text

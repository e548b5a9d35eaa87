"""`/v1/tokenize`, `/v1/detokenize` and `/v1/grammar` over HTTP."""

import json
from typing import Any

import httpx
import pytest
from llguidance.gbnf_to_lark import gbnf_to_lark

MODEL = "trammel-tiny"
CITY: dict[str, Any] = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]
}  # fmt: skip
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}


def post(url: str, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/{path}", json=body, timeout=60)


def test_tokens_of_a_text_and_back(server_url: str) -> None:
    text = "The weather in Paris, 😀!"
    answer = post(server_url, "tokenize", model=MODEL, prompt=text, return_token_strs=True).json()
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    assert answer["max_model_len"] > 1000
    bare = post(server_url, "tokenize", model=MODEL, prompt=text, add_special_tokens=False).json()
    assert post(server_url, "detokenize", model=MODEL, tokens=bare["tokens"]).json() == {"prompt": text}


def test_tokens_of_a_conversation_are_those_that_are_counted(server_url: str) -> None:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "tools": [TOOL]}
    counted = post(server_url, "chat/completions", **body, max_tokens=1).json()["usage"]["prompt_tokens"]
    assert post(server_url, "tokenize", **body).json()["count"] == counted


def test_the_grammar_of_tools_begins_with_a_call_where_one_is_required(server_url: str) -> None:
    asked: dict[str, Any] = {"model": MODEL, "tools": [TOOL]}
    required = post(server_url, "grammar", **asked, tool_choice="required").json()
    lazy = post(server_url, "grammar", **asked).json()
    assert "get_weather" in required["gbnf"]
    assert (required["trigger"], bool(lazy["trigger"])) == (None, True)
    gbnf_to_lark(required["gbnf"])  # it is GBNF
    assert {"keyword": "required", "pointer": "", "note": ""} in required["reports"]["get_weather"]["enforced"]


def test_the_grammar_of_a_schema_is_the_command_lines(server_url: str) -> None:
    answer = post(server_url, "grammar", schema=CITY).json()
    assert answer["gbnf"].startswith("root ::= ")
    loose = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    refused = post(server_url, "grammar", schema=loose)
    assert (refused.status_code, "uniqueItems" in refused.text) == (400, True)
    widened = post(server_url, "grammar", schema=loose, strict=False).json()["reports"]["schema"]["widened"]
    assert [entry["keyword"] for entry in widened] == ["uniqueItems"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tokenize", {"model": MODEL}, None),
        ("tokenize", {"model": MODEL, "prompt": "a", "messages": [{"role": "user", "content": "b"}]}, None),
        ("tokenize", {"model": "none", "prompt": "a"}, "model"),
        ("detokenize", {"model": MODEL, "tokens": [1, 10**6]}, "tokens[1]"),
        ("detokenize", {"model": MODEL, "tokens": "a"}, "tokens"),
        ("grammar", {"model": MODEL}, None),
        ("grammar", {"tools": [TOOL]}, None),
        ("grammar", {"schema": {"$ref": "#/nowhere"}}, "schema"),
        ("grammar", {"model": MODEL, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
         "tool_choice.function.name"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)  # fmt: skip
def test_what_cannot_be_inspected_is_refused_by_its_field(
    server_url: str, path: str, body: dict[str, Any], param: str | None
) -> None:
    answer = post(server_url, path, **body)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param

"""What an answer may be, over HTTP: which tools it calls and how often, calls or a formatted text, our own fields."""

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

MODEL = "trammel-tiny"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": CITY}} for name in ("get_weather", "get_time", "stop")
]
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]


def post(url: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 200, "temperature": 1.5, "tools": TOOLS, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def answer(url: str, **fields: Any) -> dict[str, Any]:
    response = post(url, **fields)
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def calls_of(choice: dict[str, Any]) -> list[tuple[str, Any]]:
    calls = choice["message"].get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


@pytest.fixture(scope="module")
def begin(server_url: str) -> str:
    """The token that begins a call, as a bias names it."""
    body = {"model": MODEL, "prompt": "<tool_call>", "add_special_tokens": False}
    (token,) = httpx.post(f"{server_url}/v1/tokenize", json=body).json()["tokens"]
    return str(token)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("seed", range(3))
def test_only_allowed_tools_are_called(server_url: str, begin: str, mode: str, seed: int) -> None:
    bias = {begin: 100} if mode == "auto" else {}
    choice = answer(server_url, tool_choice=allowed(mode, "get_time", "stop"), seed=seed, logit_bias=bias)
    names = {name for name, _ in calls_of(choice)}
    assert names
    assert names <= {"get_time", "stop"}
    assert not choice["message"]["content"]


def test_allowed_tools_with_auto_may_be_left_alone(server_url: str, begin: str) -> None:
    choice = answer(server_url, tool_choice=allowed("auto", "stop"), logit_bias={begin: -100}, max_tokens=8)
    assert calls_of(choice) == []
    assert choice["message"]["content"]


@pytest.mark.parametrize("seed", range(3))
def test_calls_are_sixteen_at_most_and_none_is_made_twice(server_url: str, begin: str, seed: int) -> None:
    """However much the model wants to go on: token 1 is <|end|>."""
    bias = {begin: 100, "1": -100}
    choice = answer(server_url, tool_choice="required", max_tokens=900, seed=seed, logit_bias=bias)
    calls = calls_of(choice)
    assert 1 <= len(calls) <= 16
    assert len({json.dumps(call) for call in calls}) == len(calls)
    assert choice["finish_reason"] == "tool_calls"


def test_one_call_can_only_be_made_once(server_url: str, begin: str) -> None:
    only = {"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}
    bias = {begin: 100, "1": -100}
    fields = {"tools": [only], "tool_choice": "required", "logit_bias": bias, "max_tokens": 900}
    choice = answer(server_url, **fields)
    assert calls_of(choice) == [("ping", {})]
    assert choice["finish_reason"] == "tool_calls"
    lines = [line for line in post(server_url, stream=True, **fields).text.splitlines() if '"name"' in line]
    assert len(lines) == 1


@pytest.mark.parametrize("seed", range(3))
def test_with_a_format_an_answer_is_calls_or_a_valid_text(server_url: str, begin: str, seed: int) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2, 3]}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    called = answer(server_url, response_format=wanted, logit_bias={begin: 100}, seed=seed)
    assert calls_of(called)
    for _, arguments in calls_of(called):
        Draft202012Validator(CITY).validate(arguments)
    said = answer(server_url, response_format=wanted, logit_bias={begin: -100}, seed=seed)
    assert calls_of(said) == []
    Draft202012Validator(schema).validate(json.loads(said["message"]["content"]))


def tool_with(strict: bool) -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "integer"}, "maxItems": 3, "uniqueItems": True}
    parameters = {"type": "object", "properties": {"a": numbers}, "required": ["a"]}
    return {"type": "function", "function": {"name": "f", "strict": strict, "parameters": parameters}}


def test_what_strict_refuses_is_widened_and_told_without_it(server_url: str) -> None:
    refused = post(server_url, tools=[tool_with(strict=True)])
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "tools[0].function.parameters")
    assert "uniqueItems" in error["message"]
    assert "/properties/a" in error["message"]
    for stream in (False, True):
        held = post(server_url, tools=[tool_with(strict=False)], tool_choice="required", stream=stream)
        assert held.headers["x-trammel-widened"] == "f: uniqueItems"
    body = {
        "model": MODEL,
        "input": "Now.",
        "tools": [{"type": "function", **tool_with(strict=False)["function"]}],
        "tool_choice": "required",
        "max_output_tokens": 60,
    }
    response = httpx.post(f"{server_url}/v1/responses", json=body, timeout=60)
    assert response.headers["x-trammel-widened"] == "f: uniqueItems"


def test_a_formats_keyword_is_refused_or_told_the_same_way(server_url: str) -> None:
    schema = tool_with(strict=True)["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    refused = post(server_url, tools=None, response_format=wanted)
    assert refused.json()["error"]["param"] == "response_format.json_schema.schema"
    wanted["json_schema"]["strict"] = False  # type: ignore[index]
    held = post(server_url, tools=None, response_format=wanted)
    assert held.headers["x-trammel-widened"] == "response_format: uniqueItems"


def test_min_p_of_one_leaves_the_likeliest_token_alone(server_url: str) -> None:
    """Whatever the seed: each drawn token is the first of its row."""
    # elsewhere the likeliest is to call, which may not be
    messages = [{"role": "user", "content": "Repeat: Lima 5:40 Kewo Oslo"}]
    asked = {"messages": messages, "tools": None, "temperature": 2}
    fields = {**asked, "max_tokens": 12, "logprobs": True, "top_logprobs": 1}
    for seed in range(3):
        for token in answer(server_url, min_p=1, seed=seed, **fields)["logprobs"]["content"]:
            assert token["logprob"] == token["top_logprobs"][0]["logprob"]


def test_the_repeat_penalty_keeps_tokens_from_coming_again(server_url: str) -> None:
    """Strong enough, none comes twice, not even from the prompt."""
    body = {"model": MODEL, "prompt": "one two three", "temperature": 0, "max_tokens": 12, "logprobs": 0}
    for field in ("repeat_penalty", "repetition_penalty"):
        made = httpx.post(f"{server_url}/v1/completions", json={**body, field: 10}, timeout=60).json()
        tokens = made["choices"][0]["logprobs"]["tokens"]
        assert len(set(tokens)) == len(tokens)


def test_variables_for_the_template_reach_it_and_its_own_are_refused(server_url: str) -> None:
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 1}
    refused = httpx.post(f"{server_url}/v1/chat/completions", json={**body, "chat_template_kwargs": {"messages": []}})
    assert refused.json()["error"]["param"] == "chat_template_kwargs"
    taken = httpx.post(f"{server_url}/v1/chat/completions", json={**body, "chat_template_kwargs": {"anything": 1}})
    assert taken.status_code == 200

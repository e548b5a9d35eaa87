"""`"trammel": {"fit": true}` over HTTP: calls and formatted texts are whole within any budget that allows one."""

import json
import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

MODEL = "trammel-tiny"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "string"}},
        "size": {"enum": ["small", "extraordinarily large"]},
    },
    "required": ["title", "size"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "make_note", "parameters": PARAMETERS}}
REQUIRED: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
FORMAT: dict[str, Any] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "note", "schema": PARAMETERS}}
}
WILD = {"temperature": 2, "logit_bias": {"1": -100}}
"""Token 1 is <|end|>."""


def post(url: str, **fields: Any) -> httpx.Response:
    question = [{"role": "user", "content": "Write a note about the weather, a long one."}]
    body = {"model": MODEL, "messages": question, "trammel": {"fit": True}, **WILD, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def least(url: str, **fields: Any) -> int:
    """The budget that the refusal of a smaller one names."""
    refused = post(url, max_tokens=1, **fields)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["type"]) == (400, "max_tokens", "invalid_request_error")
    return int(re.search(r"at least (\d+)", error["message"])[1])  # type: ignore[index]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "make_note"}}])
def test_a_required_call_is_whole_within_every_budget_from_the_least_on(server_url: str, choice: Any) -> None:
    fields = {**REQUIRED, "tool_choice": choice}
    budget = least(server_url, **fields)
    assert post(server_url, max_tokens=budget - 1, **fields).status_code == 400
    for extra in (0, 1, 2, 5, 9, 30):
        answer = post(server_url, max_tokens=budget + extra, seed=extra, **fields).json()
        choice_made = answer["choices"][0]
        assert choice_made["finish_reason"] == "tool_calls"
        (call,) = choice_made["message"]["tool_calls"]
        Draft202012Validator(PARAMETERS).validate(json.loads(call["function"]["arguments"]))
        assert answer["usage"]["completion_tokens"] <= budget + extra


def test_a_budget_that_is_too_small_is_refused_by_the_name_it_has(server_url: str) -> None:
    error = post(server_url, max_completion_tokens=1, **REQUIRED).json()["error"]
    assert error["param"] == "max_completion_tokens"
    assert "'max_completion_tokens' at least" in error["message"]


def test_an_answer_that_was_brought_to_its_end_says_so(server_url: str) -> None:
    budget = least(server_url, **REQUIRED)
    fitted = post(server_url, max_tokens=budget, **REQUIRED).json()["choices"][0]
    assert fitted["trammel"] == {"fitted": True}
    whole = post(server_url, max_tokens=400, **{**REQUIRED, "tools": [_bounded()]}).json()["choices"][0]
    assert "trammel" not in whole


def _bounded() -> Any:
    properties = {"title": {"type": "string", "maxLength": 4}}
    return {
        "type": "function",
        "function": {"name": "make_note", "parameters": {"type": "object", "properties": properties}},
    }


@pytest.mark.parametrize("seed", range(4))
def test_several_calls_are_whole_to_the_last(server_url: str, seed: int) -> None:
    fields = {**REQUIRED, "parallel_tool_calls": True}
    choice = post(server_url, max_tokens=120, seed=seed, **fields).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    for call in choice["message"]["tool_calls"]:
        Draft202012Validator(PARAMETERS).validate(json.loads(call["function"]["arguments"]))


def test_a_streamed_call_is_whole_and_its_last_chunk_says_so(server_url: str) -> None:
    budget = least(server_url, **REQUIRED) + 4
    chunks = _chunks(post(server_url, max_tokens=budget, stream=True, **REQUIRED))
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    arguments = "".join(call["function"].get("arguments", "") for call in calls)
    Draft202012Validator(PARAMETERS).validate(json.loads(arguments))
    last = chunks[-1]["choices"][0]
    assert (last["finish_reason"], last["trammel"]) == ("tool_calls", {"fitted": True})


def _chunks(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("extra", [0, 3, 12])
@pytest.mark.parametrize("logprobs", [False, True])
def test_a_formatted_text_is_whole_too(server_url: str, extra: int, logprobs: bool) -> None:
    budget = least(server_url, **FORMAT) + extra
    choice = post(server_url, max_tokens=budget, logprobs=logprobs, **FORMAT).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    Draft202012Validator(PARAMETERS).validate(json.loads(choice["message"]["content"]))
    if logprobs:
        # a character may be several tokens, whose texts are no characters: their bytes are what adds up
        spelt = bytes(byte for one in choice["logprobs"]["content"] for byte in one["bytes"])
        assert spelt.decode() == choice["message"]["content"]


def test_plain_text_is_cut_and_says_length(server_url: str) -> None:
    choice = post(server_url, max_tokens=6, tools=[TOOL], logit_bias={"1": -100, "5": -100}).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "trammel" not in choice


def test_responses_fit_too(server_url: str) -> None:
    tool = {"type": "function", **TOOL["function"]}
    body = {
        "model": MODEL, "input": "Write a long note.", "tools": [tool], "tool_choice": "required",
        "parallel_tool_calls": False, "trammel": {"fit": True}, **WILD,
    }  # fmt: skip
    refused = httpx.post(f"{server_url}/v1/responses", json={**body, "max_output_tokens": 1}, timeout=60)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "max_output_tokens")
    budget = int(re.search(r"'max_output_tokens' at least (\d+)", error["message"])[1])  # type: ignore[index]
    answer = httpx.post(f"{server_url}/v1/responses", json={**body, "max_output_tokens": budget}, timeout=60).json()
    assert (answer["status"], answer["trammel"]) == ("completed", {"fitted": True})
    (call,) = answer["output"]
    Draft202012Validator(PARAMETERS).validate(json.loads(call["arguments"]))
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "noted"}
    following = {**body, "input": [output], "previous_response_id": answer["id"], "max_output_tokens": budget}
    assert httpx.post(f"{server_url}/v1/responses", json=following, timeout=60).status_code == 200


@pytest.mark.parametrize(
    "fields", [{"grammar": 'root ::= "a"+'}, {"trammel": {"fit": True, "constrain": False}}], ids=["grammar", "free"]
)
def test_where_no_end_is_known_fit_is_refused(server_url: str, fields: dict[str, Any]) -> None:
    response = post(server_url, **fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "trammel.fit")


@pytest.mark.parametrize("budget", [3, 8, 12])
def test_without_fit_a_streamed_call_cut_short_says_length_and_is_not_closed(server_url: str, budget: int) -> None:
    """Fragments have been sent by then; what is no JSON can't be taken for a whole call."""
    fields = {**REQUIRED, "trammel": None, "max_tokens": budget}
    chunks = _chunks(post(server_url, stream=True, **fields))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    if calls:
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads("".join(call["function"].get("arguments", "") for call in calls))
    whole = post(server_url, **fields).json()["choices"][0]
    assert whole["finish_reason"] == "length"
    assert "tool_calls" not in whole["message"]

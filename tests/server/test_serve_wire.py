"""What somebody with curl or a proxy meets: headers, methods, and the small print of streams."""

import json
from typing import Any

import httpx
import pytest

BODY: dict[str, Any] = {"model": "trammel-tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 6}
CALLS: dict[str, Any] = {
    **BODY, "max_tokens": 200, "tool_choice": "required", "temperature": 1.5, "seed": 1,
    "tools": [
        {"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"]}}}
        for name in ("f", "g")
    ],
}  # fmt: skip


def chunks(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": True}, timeout=60)
    assert answer.status_code == 200, answer.text
    blocks = [block for block in answer.text.split("\n\n") if block.startswith("data: ")]
    assert blocks.pop() == "data: [DONE]"
    return [json.loads(block[6:]) for block in blocks]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_said_to_be_json_is_refused_by_naming_the_header(server_url: str, kind: str | None) -> None:
    """`curl -d` alone sends the last; and text/plain is what a page of another origin may send without asking."""
    headers = {"content-type": kind} if kind else {}
    answer = httpx.post(f"{server_url}/v1/chat/completions", content=json.dumps(BODY), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_a_body_that_is_said_to_be_json_may_name_its_letters(server_url: str) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = httpx.post(f"{server_url}/v1/chat/completions", content=json.dumps(BODY), headers=headers, timeout=60)
    assert answer.status_code == 200


def test_health_is_told_without_a_body_too(server_url: str) -> None:
    for path in ("healthz", "readyz"):
        answer = httpx.head(f"{server_url}/{path}")
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_base_url_without_v1_is_told_where_the_api_is(server_url: str) -> None:
    answer = httpx.post(f"{server_url}/chat/completions", json=BODY)
    assert answer.status_code == 404
    assert "/v1" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("chat/completions", {"messages": BODY["messages"], "max_tokens": 3}),
        ("completions", {"prompt": "hi", "max_tokens": 3}),
        ("responses", {"input": "hi", "max_output_tokens": 16}),
        ("chat/completions", {"messages": BODY["messages"], "max_tokens": 3, "trammel": {"run_tools": True}}),
    ],
)
def test_no_proxy_keeps_a_stream_back(server_url: str, path: str, question: dict[str, Any]) -> None:
    body = {"model": "trammel-tiny", "stream": True, **question}
    answer = httpx.post(f"{server_url}/v1/{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    assert "content-length" not in answer.headers


def test_what_the_specification_requires_is_there_though_it_is_null(server_url: str) -> None:
    whole = httpx.post(f"{server_url}/v1/chat/completions", json=BODY, timeout=60).json()["choices"][0]
    assert whole["message"]["refusal"] is None
    assert whole["logprobs"] is None
    told = [chunk["choices"][0] for chunk in chunks(server_url, BODY)]
    assert told[0]["delta"]["refusal"] is None
    assert all(choice["logprobs"] is None for choice in told)
    assert all(set(choice) == {"index", "delta", "logprobs", "finish_reason"} for choice in told)


def test_usage_is_null_until_the_last_chunk_which_has_no_choices(server_url: str) -> None:
    *told, last = chunks(server_url, {**BODY, "stream_options": {"include_usage": True}})
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in told)
    assert (last["choices"], last["usage"]["completion_tokens"] > 0) == ([], True)
    assert not any("usage" in chunk for chunk in chunks(server_url, BODY))


def test_several_calls_are_numbered_without_gaps_and_named_once(server_url: str) -> None:
    """A model whose end is biased away has to call again."""
    end = httpx.post(f"{server_url}/v1/tokenize", json={"model": "trammel-tiny", "prompt": "<|end|>"}).json()["tokens"]
    most = 0
    for seed in range(3):
        parts = [
            part
            for chunk in chunks(server_url, {**CALLS, "seed": seed, "logit_bias": {str(end[0]): -100}})
            for part in chunk["choices"][0]["delta"].get("tool_calls", ())
        ]
        begun = [part for part in parts if "id" in part]
        assert [part["index"] for part in begun] == list(range(len(begun)))
        assert len({part["id"] for part in begun}) == len(begun)
        assert [part["index"] for part in parts] == sorted(part["index"] for part in parts)
        for part in parts:
            assert set(part) == ({"index", "id", "type", "function"} if "id" in part else {"index", "function"})
            assert ("name" in part["function"]) == ("id" in part)
        most = max(most, len(begun))
    assert most >= 2

"""A reasoning model over HTTP: what it thinks is told apart, and calls follow it under the grammar."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import httpx
import pytest

from tests.conftest import MODEL, ServerProcess, running_server

TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {}}}}]
BODY = {
    "model": "thinker",
    "messages": [{"role": "user", "content": "Hello!"}],
    "tools": TOOLS,
    "temperature": 0,
    "max_tokens": 60,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    path = tmp_path_factory.mktemp("thinker") / "thinker.gguf"
    with_template(path, "{%- if reasoning_effort == 'high' -%}{{- '<think>' -}}{%- endif -%}{#- </think> -#}")
    with running_server("--model", str(path)) as server:
        yield server


def with_template(path: Path, end: str) -> None:
    """The model that ships, its template with something more at its end."""
    reader = gguf.GGUFReader(MODEL)
    writer = gguf.GGUFWriter(path, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = field.contents()
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        if name == "tokenizer.chat_template":
            value = str(value) + end
        writer.add_key_value(name, value, field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ask(server: ServerProcess, **fields: Any) -> dict[str, Any]:
    response = httpx.post(f"{server.url}/v1/chat/completions", json={**BODY, **fields}, timeout=60)
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def test_a_thought_that_the_prompt_opens_is_no_content(server: ServerProcess) -> None:
    message = ask(server, reasoning_effort="high", tool_choice="required")["message"]
    assert message["reasoning_content"]
    assert "</think>" not in (message["content"] or "")


def test_without_a_thought_a_required_call_comes_at_once(server: ServerProcess) -> None:
    message = ask(server, tool_choice="required", reasoning_effort="low")["message"]
    assert not message["content"]
    assert message.get("reasoning_content") or message["tool_calls"][0]["function"]["name"] == "get"


@pytest.mark.parametrize("budget", [24, 40, 60])
def test_a_thought_that_goes_on_and_on_leaves_room_for_a_call_that_must_fit(server: ServerProcess, budget: int) -> None:
    fields = {"reasoning_effort": "high", "tool_choice": "required", "temperature": 2, "max_tokens": budget}
    choice = ask(server, **fields, trammel={"fit": True}, logit_bias={"1": -100})
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["reasoning_content"]
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {}


def test_a_streamed_thought_is_the_whole_one(server: ServerProcess) -> None:
    whole = ask(server, reasoning_effort="high", tool_choice="required")["message"]
    body = {**BODY, "reasoning_effort": "high", "tool_choice": "required", "stream": True}
    thought = ""
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                thought += delta.get("reasoning_content", "")
    assert thought == whole["reasoning_content"]


def usage_of(server: ServerProcess, **fields: Any) -> dict[str, Any]:
    usage: dict[str, Any] = httpx.post(f"{server.url}/v1/chat/completions", json={**BODY, **fields}, timeout=60).json()[
        "usage"
    ]
    return usage


def test_the_tokens_of_a_thought_are_counted(server: ServerProcess) -> None:
    endless = {"reasoning_effort": "high", "max_tokens": 12, "tools": None, "logit_bias": {"1": -100}}
    usage = usage_of(server, **endless)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == usage["completion_tokens"] == 12
    fitting = {**endless, "tools": TOOLS, "tool_choice": "required", "max_tokens": 40, "trammel": {"fit": True}}
    usage = usage_of(server, **fitting)
    call = '<tool_call>{"name":"get","arguments":{}}</tool_call>'
    tokens = httpx.post(f"{server.url}/v1/tokenize", json={"model": "thinker", "prompt": call}).json()["count"]
    spoken = usage["completion_tokens"] - usage["completion_tokens_details"]["reasoning_tokens"]
    assert tokens <= spoken <= tokens + 4  # the blanks before it, and the fewer tokens that they may be cut with
    assert usage_of(server, reasoning_effort="low", tools=None)["completion_tokens_details"]["reasoning_tokens"] == 0


def test_a_requests_own_variables_reach_the_template(server: ServerProcess) -> None:
    """As `reasoning_effort` does; the variable goes before the field."""
    body = {"model": "thinker", "messages": BODY["messages"]}

    def prompt(**fields: Any) -> int:
        return int(httpx.post(f"{server.url}/v1/tokenize", json={**body, **fields}).json()["count"])

    assert prompt(chat_template_kwargs={"reasoning_effort": "high"}) > prompt()
    high = {"reasoning_effort": "high"}
    thought = ask(server, chat_template_kwargs=high, reasoning_effort="low", tool_choice="required")
    assert thought["message"]["reasoning_content"]


def test_an_unknown_effort_is_refused_by_name(server: ServerProcess) -> None:
    body = {**BODY, "reasoning_effort": "enormous"}
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "reasoning_effort"


@pytest.mark.parametrize("stream", [False, True])
def test_responses_of_a_reasoning_model_are_whole(server: ServerProcess, stream: bool) -> None:
    body = {
        "model": "thinker",
        "input": "Hello!",
        "reasoning": {"effort": "high"},
        "max_output_tokens": 30,
        "temperature": 0,
        "stream": stream,
    }
    response = httpx.post(f"{server.url}/v1/responses", json=body, timeout=60)
    assert response.status_code == 200, response.text
    assert "failed" not in response.text
    assert "</think>" not in response.text

"""The whole server over HTTP: the OpenAI SDK's main job, streams, and every door's wrong inputs."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from jsonschema import Draft202012Validator

from tests.conftest import ServerProcess, running_server

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name of the city", "maxLength": 30},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "Get the weather", "parameters": PARAMETERS},
    }
]
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
MODEL = "trammel-tiny"
LONG = {"logit_bias": {"1": -100}, "max_tokens": 1500}
"""Never ends by itself: token 1 is <|end|>."""


@pytest.fixture
def client(server_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0)


def post(url: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": QUESTION, "seed": 1, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in response.text
    return error


def test_call_result_answer_through_the_sdk(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required")
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    assert message.tool_calls
    call: Any = message.tool_calls[0]
    Draft202012Validator(PARAMETERS).validate(json.loads(call.function.arguments))
    result: Any = [
        *QUESTION,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21}'},
    ]
    final = client.chat.completions.create(model=MODEL, messages=result, tools=TOOLS, max_tokens=80, tool_choice="none")
    assert final.choices[0].message.content
    assert final.choices[0].finish_reason in ("stop", "length")
    assert final.usage
    assert final.usage.total_tokens == final.usage.prompt_tokens + final.usage.completion_tokens


def test_a_streamed_call_adds_up_to_the_whole_one(client: openai.OpenAI) -> None:
    whole: Any = client.chat.completions.create(model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required")
    stream = client.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required",
        stream=True, stream_options={"include_usage": True},
    )  # fmt: skip
    name, arguments, ids, reasons, usage = "", "", [], [], None
    for chunk in stream:
        usage = chunk.usage or usage
        if not chunk.choices:
            continue
        reasons.append(chunk.choices[0].finish_reason)
        for delta in chunk.choices[0].delta.tool_calls or ():
            assert delta.index == 0
            assert delta.function
            ids += [delta.id] if delta.id else []
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
    call = whole.choices[0].message.tool_calls[0]
    assert (name, arguments) == (call.function.name, call.function.arguments)
    assert len(ids) == 1
    assert reasons[-1] == "tool_calls"
    assert set(reasons[:-1]) == {None}
    assert usage
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_where_nothing_can_be_called_no_call_is_begun(client: openai.OpenAI) -> None:
    """The model was trained to call: it would, tool or not."""
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    for given in ({}, {"tools": [tool], "tool_choice": "none"}):
        for place in ("Paris", "Oslo", "Lima", "Rome"):
            messages: Any = [{"role": "user", "content": f"What is the weather in {place}?"}]
            answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=12, **given)
            assert "<tool_call>" not in (answer.choices[0].message.content or "")
            assert answer.choices[0].message.tool_calls is None


def test_text_never_ends_a_call_that_it_has_not_begun(server_url: str) -> None:
    asked = {"model": MODEL, "prompt": "</tool_call>", "add_special_tokens": False}
    (end,) = httpx.post(f"{server_url}/v1/tokenize", json=asked).json()["tokens"]
    for bias in ({str(end): 100}, {str(end): 100, "1": -100}):
        message = post(server_url, tools=TOOLS, max_tokens=8, logit_bias=bias).json()["choices"][0]["message"]
        assert "</tool_call>" not in (message["content"] or "")


def test_streamed_text_adds_up_to_the_whole_text(client: openai.OpenAI) -> None:
    # what the model is sure of: another request beside it may turn a near tie
    messages: Any = [{"role": "user", "content": "Repeat: Lima 5:40 Kewo Oslo"}]
    whole = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=60)
    stream = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=60, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == whole.choices[0].message.content


def test_a_streamed_response_ends_with_done(server_url: str) -> None:
    lines = [line for line in post(server_url, stream=True, max_tokens=5).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    first = json.loads(lines[0].removeprefix("data: "))
    assert first["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("name", ["get_weather", "book_table"])
def test_a_named_tool_is_the_one_that_is_called(client: openai.OpenAI, name: str) -> None:
    tools = [*TOOLS, {"type": "function", "function": {"name": "book_table", "parameters": PARAMETERS}}]
    choice: Any = {"type": "function", "function": {"name": name}}
    answer: Any = client.chat.completions.create(model=MODEL, messages=QUESTION, tools=tools, tool_choice=choice)
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == [name]


def test_tool_choice_none_never_calls(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="none", max_tokens=60
    )
    assert answer.choices[0].message.tool_calls is None


def test_one_call_only_without_parallel_tool_calls(server_url: str) -> None:
    for seed in range(5):
        answer = post(
            server_url, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, temperature=2, seed=seed
        ).json()
        assert len(answer["choices"][0]["message"]["tool_calls"]) == 1


def test_response_formats_are_held(server_url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}},
        "required": ["age"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    for seed in range(5):
        content = post(server_url, response_format=wanted, temperature=1.5, seed=seed).json()["choices"][0]["message"][
            "content"
        ]
        Draft202012Validator(schema).validate(json.loads(content))
    answer = post(server_url, response_format={"type": "json_object"}, max_tokens=400).json()["choices"][0]
    if answer["finish_reason"] == "stop":
        assert isinstance(json.loads(answer["message"]["content"]), dict)


def test_several_choices_differ_by_seed_and_count_their_prompt_once(server_url: str) -> None:
    answer = post(server_url, n=4, temperature=1.5, seed=1, max_tokens=30).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) > 1
    assert answer["usage"]["prompt_tokens"] < 40


def test_the_same_seed_gives_the_same_answer(start_server: Callable[..., ServerProcess]) -> None:
    # alone on a server of its own: other requests' cells in the KV cache change how attention rounds
    url = start_server().url
    one, two = (post(url, temperature=1, seed=7, max_tokens=30).json()["choices"] for _ in range(2))
    assert one == two


def test_a_call_cut_short_is_no_call_and_says_length(server_url: str) -> None:
    answer = post(server_url, tools=TOOLS, tool_choice="required", max_tokens=3).json()["choices"][0]
    assert answer["finish_reason"] == "length"
    assert "tool_calls" not in answer["message"]


def test_models_are_listed_and_retrieved(server_url: str) -> None:
    listed = httpx.get(f"{server_url}/v1/models").json()
    assert [model["id"] for model in listed["data"]] == [MODEL]
    assert httpx.get(f"{server_url}/v1/models/{MODEL}").json() == listed["data"][0]
    missing = httpx.get(f"{server_url}/v1/models/no/such:model")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"model": "gpt-4o"}, 404, "model", "model_not_found"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, 400, "messages", "context_length_exceeded"),
        ({"temperature": 9}, 400, "temperature", "invalid_value"),
        ({"logit_bias": {"999999": 1}}, 400, "logit_bias", "invalid_value"),
        ({"tools": [{"type": "function"}]}, 400, "tools[0].function", "missing_required_parameter"),
        ({"tools": TOOLS, "tool_choice": "perhaps"}, 400, "tool_choice", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {
                "name": "f", "strict": True,
                "parameters": {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}}}]},
            400, "tools[0].function.parameters", "invalid_schema",
        ),
        (
            {"tools": [{"type": "function", "function": {
                "name": "f", "parameters": {"type": "object", "properties": {"a": False}, "required": ["a"]}}}]},
            400, "tools[0].function.parameters", "invalid_schema",
        ),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_field_and_the_server_lives_on(
    server_url: str, fields: dict[str, Any], status: int, param: str, code: str
) -> None:
    response = post(server_url, **fields)
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (status, param, code)
    assert post(server_url, max_tokens=2).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b'{"model": "x"', 400),
        ("POST", "/v1/chat/completions", b"\xff\xfe", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b"", 400),
        ("GET", "/v1/chat/completions", b"", 405),
        ("GET", "/v1/nothing", b"", 404),
        ("POST", "/v1/chat/completions", b"x" * (9 * 1024 * 1024), 413),
    ],
    ids=str,
)
def test_a_wrong_request_gets_openais_error_shape(
    server_url: str, method: str, path: str, content: bytes, status: int
) -> None:
    response = httpx.request(method, server_url + path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    error_of(response)


def test_a_body_too_large_is_refused_though_no_length_was_declared(server_url: str) -> None:
    body = (b" " * 1024 * 1024 for _ in range(10))
    response = httpx.post(f"{server_url}/v1/chat/completions", content=body, timeout=60)
    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


def test_a_tool_whose_schema_is_widened_is_named_in_a_header(server_url: str) -> None:
    numbers = {"type": "array", "items": {"type": "integer"}, "maxItems": 2, "uniqueItems": True}
    parameters = {"type": "object", "properties": {"a": numbers}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    response = post(server_url, tools=tools, tool_choice="required")
    assert response.headers["x-trammel-widened"] == "f: uniqueItems"


def running(url: str) -> int:
    return int(httpx.get(f"{url}/healthz").json()["running"])


def wait_until(claim: Callable[[], bool]) -> bool:
    for _ in range(100):
        if claim():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_leaves_frees_its_place(server_url: str, is_streamed: bool) -> None:
    body = {"model": MODEL, "messages": QUESTION, "stream": is_streamed, **LONG}
    assert wait_until(lambda: running(server_url) == 0)

    def leave_early() -> None:
        timeout = httpx.Timeout(10, read=0.3)
        with httpx.stream("POST", f"{server_url}/v1/chat/completions", json=body, timeout=timeout) as response:
            for _ in response.iter_lines():
                return

    threading.Thread(target=lambda: _ignore(leave_early)).start()
    assert wait_until(lambda: running(server_url) == 0)


def _ignore(act: Callable[[], None]) -> None:
    try:
        act()
    except httpx.HTTPError:
        return


def test_eight_clients_at_once_all_get_valid_calls(server_url: str) -> None:
    def ask(seed: int) -> Any:
        return post(server_url, tools=TOOLS, tool_choice="required", temperature=1.5, seed=seed).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    for answer in answers:
        for call in answer["choices"][0]["message"]["tool_calls"]:
            Draft202012Validator(PARAMETERS).validate(json.loads(call["function"]["arguments"]))


def test_a_full_queue_answers_429_with_retry_after(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--parallel", "1", "--queue", "1")
    with ThreadPoolExecutor(12) as pool:
        assert httpx.get(f"{server.url}/readyz").json()["status"] == "ok"
        answers = pool.map(lambda n: post(server.url, max_tokens=900, logit_bias=LONG["logit_bias"]), range(12))
        assert wait_until(lambda: httpx.get(f"{server.url}/readyz").json()["status"] == "queue full")
        responses = list(answers)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    refused = [response for response in responses if response.status_code == 429]
    assert refused
    assert all(error_of(response)["code"] == "rate_limit_exceeded" for response in refused)
    assert int(refused[0].headers["retry-after"]) >= 1
    assert any(response.status_code == 200 for response in responses)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--model", "nothing.gguf"), "does not exist"),
        (("--model", "pyproject.toml"), "not a GGUF file"),
        (("--port", "70000"), "port"),
        (("--parallel", "0"), "parallel"),
        (("--store", "/nowhere/store.sqlite"), "can't be opened"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(flags: tuple[str, ...], word: str) -> None:
    server = ServerProcess(*flags)
    _, log = server.process.communicate(timeout=30)
    assert server.process.returncode == 2
    assert word in log
    assert "Traceback" not in log


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAMMEL_MODEL_NAME", "my/model:v1")
    with running_server() as server:
        assert httpx.get(f"{server.url}/v1/models/my/model:v1").status_code == 200


def test_log_probabilities_come_as_the_sdk_wants_them(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "Repeat: Lima 5:40 Kewo Oslo"}]  # no call comes to its mind here
    asked: Any = {"model": MODEL, "messages": messages, "max_tokens": 8, "temperature": 0, "logprobs": True}
    choice = client.chat.completions.create(**asked, top_logprobs=3).choices[0]
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert bytes(b for token in tokens for b in token.bytes or []).decode() == choice.message.content
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob <= 0  # temperature 0 takes the likeliest
        assert [one.logprob for one in token.top_logprobs] == sorted(
            (o.logprob for o in token.top_logprobs), reverse=True
        )
    streamed = [
        token
        for chunk in client.chat.completions.create(**asked, top_logprobs=3, stream=True)
        if chunk.choices and chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content or []
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]


def test_every_token_of_a_constrained_answer_has_a_probability(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "f", "schema": PARAMETERS, "strict": True}}
    choice = client.chat.completions.create(
        model=MODEL, messages=QUESTION, response_format=form, logprobs=True, max_tokens=80
    ).choices[0]
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert bytes(b for token in tokens for b in token.bytes or []).decode() == choice.message.content
    assert all(token.top_logprobs == [] for token in tokens)


def test_top_logprobs_without_logprobs_are_refused(server_url: str) -> None:
    response = post(server_url, top_logprobs=2)
    assert response.status_code == 400
    assert "logprobs" in error_of(response)["message"]
    assert error_of(post(server_url, logprobs=True, top_logprobs=21))["param"] == "top_logprobs"


def test_a_clients_mistake_is_no_traceback_in_the_log_and_closes_no_connection(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    long = [{"role": "user", "content": "word " * 5000}]
    with httpx.Client(base_url=server.url, timeout=60) as connection:
        for fields in ({"logit_bias": {"999999": 1}}, {"messages": long}, {"tools": [{"type": "function"}]}):
            body = {"model": MODEL, "messages": QUESTION, **fields}
            answer = connection.post("/v1/chat/completions", json=body)
            assert answer.status_code == 400
            assert answer.headers.get("connection") != "close"
    assert "Traceback" not in server.stop()

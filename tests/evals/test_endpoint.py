"""Endpoints by name, and requests against servers that answer, wait, fail and talk nonsense."""

import json

import pytest

from evals.endpoint import Answer, Client, Endpoint, EndpointError, parse_endpoint
from tests.conftest import free_port
from tests.evals.servers import scripted

BODY = {"model": "trammel-tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
GOOD = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})


async def ask(url: str, name: str = "a", retries: int = 2) -> Answer:
    client = Client(Endpoint(name, url), retries=retries, pause=0.01)
    try:
        return await client.ask(BODY)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("a=http://h:1", Endpoint("a", "http://h:1/v1")),
        ("a=http://h:1/", Endpoint("a", "http://h:1/v1")),
        ("a=https://h/api/v2#m:7b", Endpoint("a", "https://h/api/v2", "m:7b")),
    ],
)
def test_an_endpoint_is_a_name_a_url_and_a_model(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "a", "http://h", "=http://h", "a=ftp://h"])
def test_what_is_none_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=URL"):
        parse_endpoint(text)


async def test_a_real_server_lists_its_models_and_answers(server_url: str) -> None:
    client = Client(Endpoint("ours", f"{server_url}/v1"))
    assert (await client.models())["trammel-tiny"] == "trammel"
    answer = await client.ask(BODY)
    await client.close()
    assert answer.error == ""
    assert answer.message["role"] == "assistant"
    assert answer.prompt_tokens > 0
    assert 1 <= answer.completion_tokens <= 4
    assert answer.finish_reason in ("stop", "length")
    assert answer.latency > 0


async def test_a_refusal_is_final_and_told(server_url: str) -> None:
    client = Client(Endpoint("ours", f"{server_url}/v1"), retries=5, pause=30)
    answer = await client.ask({**BODY, "model": "no-such-model"})
    await client.close()
    assert "404" in answer.error
    assert "does not exist" in answer.error


async def test_a_server_that_is_busy_or_broken_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HOST_API_KEY", "secret")
    with scripted((429, "full"), (503, "down"), (200, GOOD)) as (url, keys):
        answer = await ask(url, "my-host")
    assert answer.message == {"content": "hi"}
    assert keys == ["Bearer secret"] * 3


async def test_what_never_works_is_an_error_after_the_last_try() -> None:
    with scripted((500, "a"), (500, "b")) as (url, keys):
        answer = await ask(url, retries=1)
    assert (answer.error, len(keys)) == ("500: b", 2)
    assert "ConnectError" in (await ask(f"http://127.0.0.1:{free_port()}/v1", retries=1)).error


@pytest.mark.parametrize("nonsense", ["oops", "{}", '{"choices": []}', '{"choices": [{"message": null}]}', "[]"])
async def test_what_is_no_chat_completion_is_an_error(nonsense: str) -> None:
    with scripted((200, nonsense)) as (url, _):
        assert "not a chat completion" in (await ask(url)).error


async def test_an_endpoint_that_lists_nothing_is_named() -> None:
    client = Client(Endpoint("gone", f"http://127.0.0.1:{free_port()}/v1"))
    with pytest.raises(EndpointError, match="gone at"):
        await client.models()
    await client.close()

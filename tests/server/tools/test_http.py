"""The HTTP tool, against a transport that shows what was sent."""

import json

import httpx
import pytest

from server.tools import ToolError
from server.tools.definition import CallContext
from server.tools.http import Method, http_tool

CONTEXT = CallContext("run_1", "key_1")
SEEN: list[httpx.Request] = []


def answer(request: httpx.Request) -> httpx.Response:
    SEEN.append(request)
    match request.url.path.split("/")[-1]:
        case "missing":
            return httpx.Response(404, text="no such user")
        case "broken":
            return httpx.Response(500)
        case "moved":
            return httpx.Response(302, headers={"location": "http://evil.example/"})
        case "big":
            return httpx.Response(200, content=b"x" * 6_000_000)
        case _:
            return httpx.Response(200, json={"ok": True})


def users(method: Method = "GET") -> object:
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "q": {"type": "integer"}}}
    return http_tool("users", method, "https://api.example/users/{id}", schema, transport=httpx.MockTransport(answer))


async def call(method: Method = "GET", **arguments: object) -> object:
    tool = users(method)
    return await tool.execute(arguments, CONTEXT)  # type: ignore[attr-defined]


async def test_arguments_go_to_path_query_and_body() -> None:
    assert await call(id="a b/../c?d", q=2) == {"ok": True}
    assert str(SEEN[-1].url) == "https://api.example/users/a%20b%2F..%2Fc%3Fd?q=2"
    assert SEEN[-1].headers["idempotency-key"] == "key_1"
    await call("POST", id="7", q=2)
    assert json.loads(SEEN[-1].content) == {"q": 2}


@pytest.mark.parametrize("id_", ["..", ".", ""])
async def test_an_argument_does_not_walk_the_path(id_: str) -> None:
    with pytest.raises(ToolError):
        await call(id=id_)


async def test_refusals_are_words_and_faults_are_unknown_outcomes() -> None:
    with pytest.raises(ToolError, match="404: no such user"):
        await call(id="missing")
    with pytest.raises(RuntimeError, match="500"):
        await call(id="broken")
    with pytest.raises(RuntimeError, match="302"):
        await call(id="moved")
    assert SEEN[-1].url.host == "api.example"


async def test_a_big_answer_is_not_read_to_the_end() -> None:
    assert len(str(await call(id="big"))) == 4 * 1024 * 1024


@pytest.mark.parametrize("url", ["https://{host}/x", "ftp://a/b", "{all}"])
def test_no_argument_stands_in_the_host(url: str) -> None:
    with pytest.raises(ValueError, match="host"):
        http_tool("x", "GET", url, {})


def test_a_get_is_a_read_and_the_rest_is_destructive_unless_told() -> None:
    assert http_tool("x", "GET", "https://a/b", {}).effect == "read"
    assert http_tool("x", "POST", "https://a/b", {}).effect == "destructive"
    assert http_tool("x", "POST", "https://a/b", {}, effect="write").effect == "write"

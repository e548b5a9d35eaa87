"""What the operator grants runs: caps that no request can raise, and a key's places, which runs take too."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import running_server
from tests.server.test_serve_runs import PARIS, TOOLS

KEY = {"authorization": "Bearer one"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_TALLY", str(tmp_path_factory.mktemp("limits") / "tally"))
        limits = ("--run-steps", "2", "--run-calls", "1", "--run-seconds", "40")
        with running_server("--tools", TOOLS, "--api-key", "one", "--key-concurrency", "1", *limits) as server:
            yield server.url


def post(url: str, path: str, tool: str, seconds: float = 60, **fields: Any) -> httpx.Response:
    options = {"run_tools": True, "tools": [tool], **fields.pop("trammel", {})}
    body = {
        "model": "trammel-tiny", "messages": PARIS, "tool_choice": "required", "parallel_tool_calls": False,
        "max_tokens": 40, "trammel": options, **fields,
    }  # fmt: skip
    return httpx.post(f"{url}/v1/{path}", json=body, headers=KEY, timeout=seconds)


def test_caps_are_the_operators_unless_a_request_asks_for_less(url: str) -> None:
    assert post(url, "chat/completions", "get_weather").json()["trammel"]["cap"] in ("calls", None)
    less = post(url, "chat/completions", "get_weather", trammel={"max_steps": 1}).json()["trammel"]
    assert (less["cap"], less["usage"]["steps"]) == ("steps", 1)
    refused = post(url, "chat/completions", "get_weather", trammel={"max_steps": 3})
    assert refused.json()["error"]["message"].endswith("this server allows at most 2.")


def test_openais_bound_of_calls_is_kept_by_a_lower_one(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="one", max_retries=0) as client:
        response = client.responses.create(
            model="trammel-tiny", input="What is the weather in Paris?", tool_choice="required", max_tool_calls=99,
            max_output_tokens=40,
            tools=[{"type": "mcp", "server_label": "trammel", "allowed_tools": ["get_weather"]}],
        )  # fmt: skip
    assert len([item for item in response.output if item.type == "mcp_call" and item.output]) == 1


def test_a_run_in_the_background_takes_a_place_until_it_rests(url: str) -> None:
    run = post(url, "runs", "slow_write").json()["id"]
    for _ in range(100):
        if httpx.get(f"{url}/v1/runs/{run}", headers=KEY).json()["steps"]:
            break
        time.sleep(0.05)
    for path in ("chat/completions", "runs"):
        refused = post(url, path, "get_weather")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert httpx.post(f"{url}/v1/runs/{run}/cancel", headers=KEY).status_code == 200, "deciding needs no place"
    assert post(url, "chat/completions", "get_weather").status_code == 200


def test_a_run_that_waits_takes_none(url: str) -> None:
    waiting = post(url, "chat/completions", "delete_note").json()["trammel"]
    assert waiting["status"] == "waiting_for_approval"
    assert post(url, "chat/completions", "get_weather").status_code == 200
    assert httpx.post(f"{url}/v1/runs/{waiting['id']}/cancel", headers=KEY).status_code == 200


def test_a_client_that_leaves_a_stream_frees_no_place_the_run_still_has(url: str, tmp_path: Path) -> None:
    options = {"run_tools": True, "tools": ["slow_write"]}
    body = {"model": "trammel-tiny", "messages": PARIS, "tool_choice": "required", "stream": True, "trammel": options}
    run = ""
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, headers=KEY, timeout=60) as stream:
        for line in stream.iter_lines():
            if '"run":' in line and not run:
                run = line.split('"run":"')[1].split('"')[0]
            if '"begun"' in line:
                break
    time.sleep(0.2)
    assert post(url, "runs", "get_weather").status_code == 429
    assert httpx.get(f"{url}/v1/runs/{run}", headers=KEY).json()["status"] == "running"
    assert httpx.post(f"{url}/v1/runs/{run}/cancel", headers=KEY).status_code == 200
    assert post(url, "chat/completions", "get_weather").status_code == 200


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_client_that_leaves_stops_the_waiting_and_not_the_run(url: str, path: str) -> None:
    server_tools = {"type": "mcp", "server_label": "trammel", "allowed_tools": ["slow_write"]}
    fields = {"tools": [server_tools], "input": "Write"} if path == "responses" else {}
    with pytest.raises(httpx.ReadTimeout):
        post(url, path, "slow_write", seconds=1.5, **fields)
    newest = httpx.get(f"{url}/v1/runs", params={"limit": 1}, headers=KEY).json()["data"][0]["id"]
    assert httpx.get(f"{url}/v1/runs/{newest}", headers=KEY).json()["status"] == "running"
    assert httpx.post(f"{url}/v1/runs/{newest}/cancel", headers=KEY).json()["status"] == "cancelled"

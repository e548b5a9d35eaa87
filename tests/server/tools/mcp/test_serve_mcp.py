"""`trammel serve --mcp FILE`: a tool of an MCP server is called by the loop."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import running_server

pytest.importorskip("mcp", reason="the extra mcp is not installed: MCP servers are NOT tried")
SERVER = Path(__file__).parent / "files_server.py"


def test_the_loop_calls_a_tool_of_an_mcp_server(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    server = {"command": sys.executable, "args": [str(SERVER)], "trust": "trusted", "texts": "trusted"}
    file.write_text(json.dumps({"mcpServers": {"notes": server}}))
    with running_server("--mcp", str(file)) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        until_it_has(client, "notes_add_note")
        body = {
            "model": "trammel-tiny",
            "messages": [{"role": "user", "content": "Add the note x, saying y"}],
            "max_tokens": 200,
            "tool_choice": {"type": "function", "function": {"name": "notes_add_note"}},
            "trammel": {"run_tools": True, "max_steps": 2},
        }
        (step, *_) = client.post("/v1/chat/completions", json=body).raise_for_status().json()["trammel"]["steps"]
        assert (step["tool"], step["outcome"]) == ("notes_add_note", "ok")
        assert json.loads(step["arguments"])["name"] in step["result"]


def test_an_approval_that_comes_before_the_mcp_server_does_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    code = f"import runpy, time; time.sleep(2); runpy.run_path({str(SERVER)!r}, run_name='__main__')"
    file.write_text(json.dumps({"mcpServers": {"notes": {"command": sys.executable, "args": ["-c", code]}}}))
    flags = ("--mcp", str(file), "--store", str(tmp_path / "trammel.db"))
    body = {
        "model": "trammel-tiny",
        "messages": [{"role": "user", "content": "Grow"}],
        "max_tokens": 50,
        "tool_choice": {"type": "function", "function": {"name": "notes_grow"}},
        "trammel": {"run_tools": True, "max_steps": 1},
    }
    with running_server(*flags) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        until_it_has(client, "notes_grow")
        run = client.post("/v1/chat/completions", json=body).raise_for_status().json()["trammel"]
        assert run["status"] == "waiting_for_approval"
    with running_server(*flags) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        place = f"/v1/runs/{run['id']}"
        client.post(f"{place}/approvals/{run['approvals'][0]['id']}", json={"approve": True}).raise_for_status()
        for _ in range(200):
            (step,) = client.get(place).json()["steps"]
            if step["result"]:
                break
            time.sleep(0.1)
        assert (step["outcome"], step["fault"]) == ("ok", None)


def until_it_has(client: httpx.Client, name: str) -> None:
    for _ in range(200):
        tools: list[dict[str, Any]] = client.get("/v1/tools").json()["data"]
        if any(tool["name"] == name for tool in tools):
            return
        time.sleep(0.1)
    raise AssertionError(f"no {name} within 20 s")

"""A server that is killed and started again finds its tools warm."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import ServerProcess

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"look_up_{number}",
            "description": "Looks something up in the register of the old town, by name and by street.",
            "parameters": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}},
        },
    }
    for number in range(4)
]


def ask(url: str, question: str, **fields: Any) -> tuple[dict[str, Any], int]:
    """The choice and the cached tokens of its prompt."""
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": question}]
    body = {"model": "trammel-tiny", "messages": messages, "tools": TOOLS, "temperature": 0, "max_tokens": 60}
    answer = httpx.post(f"{url}/v1/chat/completions", json={**body, **fields}, timeout=60).json()
    return answer["choices"][0]["message"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_a_killed_server_finds_what_was_hot_and_a_stopped_one_what_was_used(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    flags = ("--prefix-store", str(tmp_path), "--log-level", "info")
    server = start_server(*flags)
    assert ask(server.url, "Where is the church?")[1] == 0
    expected, cached = ask(server.url, "Who lives in Mill Street?")
    for _ in range(100):
        if kept := list(tmp_path.glob("trammel-tiny/*.kv")):
            break
        time.sleep(0.1)
    server.process.send_signal(signal.SIGKILL)
    assert len(kept) == 1

    server = start_server(*flags)
    answer, restored = ask(server.url, "Who lives in Mill Street?")
    assert cached - 2 <= restored <= cached  # of the questions' texts the first tokens are the same
    assert restored > 200
    assert without_ids(answer) == without_ids(expected)
    ask(server.url, "Hello", tools=TOOLS[:2])
    assert "restored a prefix of" in server.stop()

    server = start_server(*flags)
    assert ask(server.url, "Good morning", tools=TOOLS[:2])[1] > 100  # used once, and stored when the server ended

    other = start_server(*flags, "--kv-type", "q8_0", "--flash-attention", "on")
    assert ask(other.url, "Who lives in Mill Street?")[1] == 0
    assert "kv_type f16, and this is q8_0" in other.stop()


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "tool_calls": [call["function"] for call in message.get("tool_calls", ())]}


def test_a_store_that_cannot_be_used_is_said_before_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = ServerProcess("--prefix-store", str(tmp_path / "file"), "--log-level", "warning")
    _, log = server.process.communicate(timeout=30)
    assert server.process.returncode == 2
    assert "prefix store" in log
    assert "Traceback" not in log

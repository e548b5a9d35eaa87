"""The end of a server: what is under way is finished, what comes late is sent away, the exit code says how it was."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess

QUESTION: dict[str, Any] = {"model": "trammel-tiny", "messages": [{"role": "user", "content": "Tell me a story."}]}
ENDLESS: dict[str, Any] = {**QUESTION, "logit_bias": {"1": -100}, "max_tokens": 1000, "temperature": 0}


@contextmanager
def streaming(url: str, **fields: Any) -> Iterator[Iterator[str]]:
    """The lines of a long answer, of which the first has come."""
    body = {**ENDLESS, "stream": True, **fields}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        assert response.status_code == 200
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        yield lines


def end_of(server: ServerProcess) -> tuple[int, str]:
    """Exit code and log."""
    _, log = server.process.communicate(timeout=30)
    return server.process.returncode, log


def test_what_is_under_way_is_finished_and_new_requests_are_sent_away(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server("--drain-timeout", "120")
    with streaming(server.url) as lines:
        server.process.send_signal(signal.SIGTERM)
        next(lines)
        while (health := httpx.get(f"{server.url}/healthz")).status_code == 200:
            next(lines)
        assert health.json()["status"] == "draining"
        late = httpx.post(f"{server.url}/v1/chat/completions", json=QUESTION)
        assert (late.status_code, late.json()["error"]["code"]) == (503, "shutting_down")
        assert int(late.headers["retry-after"]) >= 1
        assert httpx.get(f"{server.url}/v1/models").status_code == 200
        rest = list(lines)
    assert rest[-1] == "data: [DONE]"
    assert '"finish_reason":"length"' in rest[-2]
    assert end_of(server)[0] == 0


def test_what_is_not_done_at_the_deadline_is_ended_with_an_error(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--drain-timeout", "0.2")
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(f"{server.url}/v1/chat/completions", json=ENDLESS, timeout=60))

    whole = threading.Thread(target=ask)
    with streaming(server.url) as lines:
        whole.start()
        while httpx.get(f"{server.url}/healthz").json()["running"] < 2:
            next(lines)
        server.process.send_signal(signal.SIGINT)
        last = list(lines)[-1]
    whole.join(30)
    error = json.loads(last.removeprefix("data: "))["error"]
    assert error["code"] == answers[0].json()["error"]["code"] == "shutting_down"
    assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "5")
    assert end_of(server)[0] == 0


def test_a_second_signal_ends_at_once(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--drain-timeout", "600")
    with streaming(server.url, n=8) as lines:
        server.process.send_signal(signal.SIGTERM)
        while httpx.get(f"{server.url}/healthz").status_code == 200:
            next(lines)
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(httpx.TransportError):
            list(lines)
    code, log = end_of(server)
    assert code == 0
    assert "at once by a second signal" in log


def test_a_port_that_is_taken_has_an_exit_code_of_its_own(start_server: Callable[..., ServerProcess]) -> None:
    second = ServerProcess("--threads", "1", "--port", str(start_server().port))
    code, log = end_of(second)
    assert code == 3
    assert "address already in use" in log


def test_a_run_in_the_background_breaks_off_and_goes_on_after_a_restart(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    flags = ("--tools", str(Path(__file__).with_name("agent_tools.py")), "--runs", f"sqlite:///{tmp_path}/runs.db")
    first = start_server(*flags)
    options = {"run_tools": True, "tools": ["get_weather"], "max_steps": 2}
    body = {**ENDLESS, "tool_choice": "none", "max_tokens": 400, "trammel": options}
    run = httpx.post(f"{first.url}/v1/runs", json=body, timeout=60).json()["id"]
    while not httpx.get(f"{first.url}/healthz").json()["running"]:
        assert httpx.get(f"{first.url}/v1/runs/{run}").json()["status"] == "running"
    first.process.send_signal(signal.SIGTERM)
    assert end_of(first)[0] == 0

    second = start_server(*flags)
    while (found := httpx.get(f"{second.url}/v1/runs/{run}").json())["status"] == "running":
        time.sleep(0.05)
    assert (found["status"], found["cap"]) == ("incomplete", "tokens")


def test_an_idle_server_ends_when_it_is_told_to(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--drain-timeout", "600", "--log-level", "info")
    server.process.send_signal(signal.SIGTERM)
    code, log = end_of(server)
    assert code == 0
    assert "0 requests under way" in log
    assert "Traceback" not in log

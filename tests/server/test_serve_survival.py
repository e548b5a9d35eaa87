"""A server process goes on after what fails in it, and ends so that it is started anew after what it can't survive."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from server.engine.model import Model
from server.process import EXIT_ENGINE_DIED
from tests.broken_models import write_with_nan_token
from tests.conftest import MODEL, ServerProcess, running_server

from .test_serve_drain import ENDLESS, QUESTION, end_of, streaming

FAULTY = ("-m", "tests.server.faulty_server")


@pytest.fixture(scope="module")
def broken_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a model that gives NaN wherever `Paris` is in its context."""
    model = Model(MODEL)
    (_, token) = model.vocabulary.tokenize(" Paris")
    model.close()
    path = write_with_nan_token(MODEL, tmp_path_factory.mktemp("broken") / "nan.gguf", token)
    with running_server("--model", f"trammel-tiny={path}", "--flash-attention", "off") as server:
        yield server.url


def ask(url: str, text: str, **fields: Any) -> httpx.Response:
    body = {**QUESTION, "messages": [{"role": "user", "content": text}], "max_tokens": 20, "temperature": 0, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def test_nan_is_one_requests_error_and_the_others_go_on(broken_url: str) -> None:
    texts = ["Hello", "Is it Paris?", "What time is it?", "Good morning"] * 2
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda text: ask(broken_url, text), texts))
    assert [response.status_code for response in responses] == [200, 500, 200, 200] * 2
    error = responses[1].json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", "generation_failed")
    assert "NaN" in error["message"]
    assert httpx.get(f"{broken_url}/healthz").status_code == 200


def test_nan_in_a_stream_is_its_last_event(broken_url: str) -> None:
    events = [line for line in ask(broken_url, "Is it Paris?", stream=True).text.split("\n\n") if line]
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "generation_failed"
    assert ask(broken_url, "Hello").status_code == 200


def test_an_exhausted_kv_cache_makes_requests_wait_and_none_fail(start_server: Callable[..., ServerProcess]) -> None:
    url = start_server("--context-length", "256", "--kv-cells", "256", "--parallel", "4").url
    with ThreadPoolExecutor(4) as pool:
        bodies = [{**ENDLESS, "max_tokens": None, "user": str(number)} for number in range(4)]
        responses = list(pool.map(lambda body: httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60), bodies))
    assert [response.json()["choices"][0]["finish_reason"] for response in responses] == ["length"] * 4
    assert [response.json()["usage"]["total_tokens"] for response in responses] == [256] * 4
    metrics = httpx.get(f"{url}/metrics").text
    assert "trammel_failed_total 0.0" in metrics
    assert "trammel_parked_total 0.0" not in metrics
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_a_dead_engine_turns_health_red_and_ends_the_process_with_a_code_of_its_own() -> None:
    models = ("--model", str(MODEL), "--model", f"other={MODEL}")
    server = ServerProcess("--threads", "1", "--drain-timeout", "120", *models, launcher=FAULTY)
    try:
        server.wait_until_ready()
        with streaming(server.url, model="other") as others, streaming(server.url, n=4) as lines:
            while httpx.get(f"{server.url}/healthz").json()["running"] < 5:
                next(lines)  # until then it isn't known whose engine works hardest
            server.process.send_signal(signal.SIGUSR1)
            last = list(lines)[-1]
            health = httpx.get(f"{server.url}/healthz")
            rest = list(others)
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_stopped"
        assert (health.status_code, health.json()["status"]) == (503, "engine stopped")
        assert rest[-1] == "data: [DONE]"  # the other engine had time to finish
        code, log = end_of(server)
        assert code == EXIT_ENGINE_DIED == 70
        assert "the engine thread died" in log
        assert "FaultError" in log
    finally:
        server.process.kill()
        server.process.communicate()

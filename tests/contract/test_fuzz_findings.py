"""What random requests have found, one by one."""

import httpx
import pytest

QUESTION = [{"role": "user", "content": "hello"}]
MODEL = "trammel-tiny"


@pytest.mark.parametrize(
    ("path", "prompt"), [("chat/completions", {"messages": QUESTION}), ("completions", {"prompt": "hello"})]
)
def test_numbers_too_small_to_divide_by_are_no_server_errors(
    server_url: str, path: str, prompt: dict[str, object]
) -> None:
    body = {"model": MODEL, "max_tokens": 3, **prompt}
    cold = httpx.post(f"{server_url}/v1/{path}", json={**body, "temperature": 2.5e-88, "top_p": 0.5}, timeout=60)
    assert cold.status_code == 200
    penalty = httpx.post(f"{server_url}/v1/{path}", json={**body, "repeat_penalty": 5e-324}, timeout=60)
    assert (penalty.status_code, penalty.json()["error"]["param"]) == (400, "repeat_penalty")


@pytest.mark.parametrize("after", ["-24264280071841206029516800", "9" * 30, "-2"])
def test_an_events_number_that_no_database_holds_is_refused(server_url: str, after: str) -> None:
    run = _run(server_url)
    answer = httpx.get(f"{server_url}/v1/runs/{run}/events", params={"after": after}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")


@pytest.mark.parametrize("number", ["²".encode("latin-1"), b"9" * 30, b"-1", b"x"])
def test_a_last_event_id_that_is_none_begins_at_the_beginning(server_url: str, number: bytes) -> None:
    run = _run(server_url)
    headers = {b"last-event-id": number}
    answer = httpx.get(f"{server_url}/v1/runs/{run}/events", headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.text.startswith("id: 0\n")


def _run(url: str) -> str:
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 3}
    made = httpx.post(f"{url}/v1/runs", json=body, timeout=60)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])

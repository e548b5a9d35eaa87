"""The loop over HTTP, with the model that ships: chat completions that run tools, and `/v1/runs`."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import ServerProcess, running_server

TOOLS = str(Path(__file__).with_name("agent_tools.py"))
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
LOOK: Any = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"enum": ["sky"]}}}},
}


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("agent") / "tally"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_TALLY", str(path))
        yield path


@pytest.fixture(scope="module")
def url(tally: Path) -> Iterator[str]:
    with running_server("--tools", TOOLS) as server:
        yield server.url


def ask(url: str, server_tools: list[str], path: str = "chat/completions", **fields: Any) -> httpx.Response:
    options = {"run_tools": True, "tools": server_tools, "max_steps": 3, **fields.pop("trammel", {})}
    body = {
        "model": "trammel-tiny", "messages": PARIS, "tool_choice": "required", "parallel_tool_calls": False,
        "max_tokens": 40, "seed": 1, "trammel": options, **fields,
    }  # fmt: skip
    return httpx.post(f"{url}/v1/{path}", json=body, timeout=60)


def get(url: str, path: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/v1/runs/{path}", timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def until(url: str, run: str, *statuses: str) -> dict[str, Any]:
    for _ in range(300):
        found = get(url, run)
        if found["status"] in statuses:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def events_of(url: str, run: str, after: str | None = None, *, deltas: bool = False) -> list[dict[str, Any]]:
    headers = {} if after is None else {"last-event-id": after}
    text = httpx.get(f"{url}/v1/runs/{run}/events", headers=headers, params={"deltas": deltas}, timeout=60).text
    return [json.loads(block.split("data: ")[1]) for block in text.split("\n\n") if "data: " in block]


def test_a_question_is_called_for_executed_and_answered(url: str, tally: Path) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="trammel-tiny", messages=PARIS, tool_choice="required", max_tokens=40,  # type: ignore[arg-type]
            extra_body={"trammel": {"run_tools": True, "tools": ["get_weather"], "max_steps": 6}},
        )  # fmt: skip
    run = answer.model_dump()["trammel"]
    assert run["steps"][0]["tool"] == "get_weather"
    assert json.loads(run["steps"][0]["result"])["data"] == "clear"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.choices[0].message.tool_calls is None
    assert run["status"] in ("completed", "incomplete")
    assert answer.usage
    assert answer.usage.total_tokens > 0
    assert "get_weather" in tally.read_text()
    if run["status"] == "completed":
        assert answer.choices[0].message.content == run["answer"]
    else:
        assert run["cap"]


def test_a_stream_tells_the_steps_and_ends_with_the_run(url: str) -> None:
    text = ask(url, ["get_weather"], stream=True, stream_options={"include_usage": True}).text
    *blocks, last = [block.removeprefix("data: ") for block in text.split("\n\n") if block]
    assert last == "[DONE]"
    chunks = [json.loads(block) for block in blocks]
    kinds = [chunk["trammel"]["kind"] for chunk in chunks if "kind" in chunk.get("trammel", {})]
    steps = [kind for kind in kinds if kind != "delta"]
    assert steps[:5] == ["started", "spoke", "judged", "begun", "returned"]
    told = [chunk["trammel"] for chunk in chunks if chunk.get("trammel", {}).get("kind") == "delta"]
    assert kinds.index("delta") < kinds.index("spoke"), "a call is told while it is written"
    assert told[0]["name"] == "get_weather"
    first = chunks[-2]["trammel"]["steps"][0]
    mine = [delta.get("arguments", "") for delta in told if delta["call_id"] == first["call_id"]]
    assert "".join(mine) == first["arguments"]
    assert len(mine) > 2
    assert kinds[-1] == "ended"
    assert chunks[-2]["choices"][0]["finish_reason"]
    assert chunks[-2]["trammel"]["object"] == "run"
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_a_run_in_the_background_is_shown_listed_and_streamed_from_any_event(url: str) -> None:
    response = ask(url, ["get_weather"], "runs")
    assert response.status_code == 201
    run = response.json()["id"]
    events = events_of(url, run)
    assert [event["id"] for event in events] == list(range(len(events)))
    assert events[-1]["kind"] == "ended"
    assert events_of(url, run, "2") == events[3:]
    assert get(url, run)["status"] == events[-1]["status"]
    listed = httpx.get(f"{url}/v1/runs", params={"limit": 1}).json()
    assert listed["data"][0]["id"] == run
    assert listed["has_more"]
    further = httpx.get(f"{url}/v1/runs", params={"after": run}).json()
    assert run not in [one["id"] for one in further["data"]]


def test_who_listens_to_a_run_in_the_background_hears_each_turn_as_it_is_spoken(url: str) -> None:
    run = ask(url, [], "runs", tools=[LOOK], trammel={"max_steps": 2}).json()["id"]
    told: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{url}/v1/runs/{run}/events", timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if told[-1]["kind"] == "judged":
                    until(url, run, "waiting_for_client")
                    results = {"results": [{"call_id": told[-1]["call"], "content": "blue"}]}
                    assert httpx.post(f"{url}/v1/runs/{run}/results", json=results).status_code == 200
    kinds = [event["kind"] for event in told]
    begin = kinds.index("received")
    end = kinds.index("spoke", begin)
    spoke, heard = told[end], [event for event in told[begin:end] if event["kind"] == "delta"]
    assert len(heard) > 1
    assert "".join(delta.get("content", "") for delta in heard) == spoke["content"]
    for call in spoke["calls"]:
        assert "".join(d.get("arguments", "") for d in heard if d.get("call_id") == call["id"]) == call["arguments"]
    assert not [event for event in events_of(url, run, deltas=True) if event["kind"] == "delta"], "they are not stored"


def test_a_destructive_call_waits_and_runs_once_it_is_approved(url: str, tally: Path) -> None:
    answer = ask(url, ["delete_note"], messages=[{"role": "user", "content": "Delete Paris"}]).json()
    run = answer["trammel"]
    assert run["status"] == "waiting_for_approval"
    (approval,) = run["approvals"]
    assert approval["reasons"] == ["it is destructive"]
    assert "delete_note" not in tally.read_text()
    place = f"{url}/v1/runs/{run['id']}/approvals/{approval['id']}"
    wrong = httpx.post(place, json={"approve": True, "hash": "0" * 64})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "run_conflict")
    assert httpx.post(place, json={"approve": True, "hash": approval["hash"]}).status_code == 200
    assert httpx.post(place, json={"approve": True}).status_code == 409
    ended = until(url, run["id"], "completed", "incomplete", "waiting_for_approval")
    assert ended["steps"][0]["outcome"] == "ok"
    assert tally.read_text().count("delete_note") == 1


def test_a_denied_call_is_not_made(url: str, tally: Path) -> None:
    before = tally.read_text().count("delete_note")
    run = ask(url, ["delete_note"], trammel={"max_steps": 1}).json()["trammel"]
    place = f"{url}/v1/runs/{run['id']}/approvals/{run['approvals'][0]['id']}"
    assert httpx.post(place, json={"approve": False}).status_code == 200
    ended = until(url, run["id"], "completed", "incomplete")
    assert (ended["cap"], ended["steps"][0]["outcome"]) == ("steps", None)
    assert "not approved" in ended["steps"][0]["result"]
    assert tally.read_text().count("delete_note") == before


def test_what_a_run_forbids_is_not_decoded(url: str) -> None:
    tools = ["get_weather", "add_note", "delete_note"]
    run = ask(url, tools, trammel={"forbid": ["delete_note"], "read_only": True, "max_steps": 2}).json()["trammel"]
    assert {step["tool"] for step in run["steps"]} == {"get_weather"}


def test_the_clients_own_tools_are_handed_over_and_the_run_goes_on(url: str) -> None:
    named = {"type": "function", "function": {"name": "look"}}
    body = {
        "model": "trammel-tiny", "messages": PARIS, "tools": [LOOK], "tool_choice": named, "max_tokens": 40,
        "parallel_tool_calls": False, "trammel": {"run_tools": True, "tools": ["get_weather"], "max_steps": 2},
    }  # fmt: skip
    first = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = first["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "look"
    assert first["trammel"]["status"] == "waiting_for_client"
    told = [*PARIS, first["choices"][0]["message"], {"role": "tool", "tool_call_id": call["id"], "content": "blue"}]
    body |= {"messages": told, "trammel": {"run": first["trammel"]["id"]}}
    second = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
    assert second["trammel"]["id"] == first["trammel"]["id"]
    assert second["trammel"]["steps"][0]["result"] == "blue"
    assert second["trammel"]["status"] != "running"


def test_a_question_is_answered_by_the_next_message_and_not_by_an_old_one(url: str) -> None:
    asks = {"type": "function", "function": {"name": "ask_user"}}
    options = {"ask_user": True, "max_steps": 2}
    first = ask(url, ["get_weather"], tool_choice=asks, max_tokens=100, trammel=options).json()
    run = first["trammel"]
    assert (run["status"], first["choices"][0]["finish_reason"]) == ("waiting_for_user", "stop")
    assert first["choices"][0]["message"]["content"] == run["question"]["question"]
    body = {"model": "another", "messages": PARIS, "trammel": {"run": run["id"]}}
    early = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert (early.status_code, early.json()["error"]["param"]) == (400, "messages")
    body["messages"] = [*PARIS, first["choices"][0]["message"], {"role": "user", "content": "In celsius."}]
    second = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
    assert second["trammel"]["steps"][0]["result"] == "In celsius."
    assert second["model"] == "trammel-tiny", "a run goes on with the model it began with"


def test_results_too_long_for_the_model_are_shortened_and_the_run_goes_on(url: str) -> None:
    book = ask(url, ["read_book"]).json()["trammel"]
    assert book["status"] in ("completed", "incomplete")
    assert "bytes left out" in book["steps"][0]["result"]
    assert book["usage"]["steps"] > 1
    run = ask(url, [], "runs", tools=[LOOK], trammel={"max_steps": 2}).json()["id"]
    (call,) = until(url, run, "waiting_for_client")["client_calls"]
    results = {"results": [{"call_id": call["id"], "content": "blue " * 50_000}]}
    httpx.post(f"{url}/v1/runs/{run}/results", json=results)
    ended = until(url, run, "completed", "incomplete", "failed", "waiting_for_client")
    assert ended["error"] is None
    assert ended["usage"]["bytes"] == 250_000


def test_a_run_that_waits_can_be_cancelled_and_then_refuses(url: str) -> None:
    run = ask(url, ["delete_note"]).json()["trammel"]
    assert httpx.post(f"{url}/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"
    assert httpx.post(f"{url}/v1/runs/{run['id']}/cancel").status_code == 409
    place = f"{url}/v1/runs/{run['id']}/approvals/{run['approvals'][0]['id']}"
    assert httpx.post(place, json={"approve": True}).status_code == 409


def test_a_run_that_has_ended_can_be_forgotten(url: str) -> None:
    run = ask(url, ["delete_note"]).json()["trammel"]["id"]
    place = f"{url}/v1/runs/{run}"
    assert httpx.delete(place).status_code == 409
    httpx.post(f"{place}/cancel")
    assert httpx.delete(place).json() == {"id": run, "object": "run", "deleted": True}
    assert httpx.get(place).status_code == 404


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"trammel": {"tools": ["nope"]}}, "trammel.tools"),
        ({"trammel": {"forbid": ["nope"]}}, "trammel.forbid"),
        ({"trammel": {"approve": ["nope"]}}, "trammel.approve"),
        ({"trammel": {"forbids": ["get_weather"]}}, "trammel.forbids"),
        ({"n": 2}, "n"),
        ({"trammel": {"max_steps": 0}}, "trammel.max_steps"),
        ({"trammel": {"max_steps": 101}}, "trammel.max_steps"),
        ({"trammel": {"max_seconds": 1e9}}, "trammel.max_seconds"),
        ({"tool_choice": {"type": "function", "function": {"name": "delete_note"}}}, "tool_choice"),
        ({"tools": [LOOK | {"function": {"name": "get_weather"}}]}, "tools[0].function.name"),
    ],
)
def test_what_can_not_be_run_is_refused_before_it_starts(url: str, fields: dict[str, Any], param: str) -> None:
    response = ask(url, ["get_weather"], **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_what_runs_did_is_counted(url: str) -> None:
    ask(url, ["get_weather"])
    assert ask(url, ["delete_note"]).json()["trammel"]["status"] == "waiting_for_approval"
    runs = httpx.get(f"{url}/v1/runs", params={"limit": 100}).json()["data"]
    waiting = sum(len(get(url, run["id"])["approvals"]) for run in runs)
    assert waiting >= 1
    page = httpx.get(f"{url}/metrics").text
    assert 'trammel_tool_calls_total{outcome="ok",tool="get_weather",version="' in page
    assert 'trammel_runs_total{cap="' in page
    assert f"\ntrammel_approvals_waiting {waiting}.0\n" in page


def test_a_run_that_is_not_there_is_404(url: str) -> None:
    for path in ("run_x", "run_x/events"):
        assert httpx.get(f"{url}/v1/runs/{path}").status_code == 404
    assert httpx.post(f"{url}/v1/runs/run_x/cancel").json()["error"]["code"] == "run_not_found"


def test_a_killed_server_goes_on_with_its_runs(
    tmp_path: Path, tally: Path, start_server: Callable[..., ServerProcess]
) -> None:
    tally.write_text("")
    kept = tmp_path / "prefixes"
    flags = ("--tools", TOOLS, "--runs", f"sqlite:///{tmp_path}/runs.db", "--prefix-store", str(kept))
    first = start_server(*flags)
    ask(first.url, ["delete_note"])
    writing = ask(first.url, ["slow_write"], "runs").json()["id"]
    waiting = ask(first.url, ["delete_note"]).json()["trammel"]
    for _ in range(200):
        if "slow_write" in tally.read_text() and list(kept.glob("*/*.kv")):
            break
        time.sleep(0.05)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = start_server(*flags)
    ended = until(second.url, writing, "completed", "incomplete")
    assert ended["steps"][0]["outcome"] == "unknown"
    assert tally.read_text().count("slow_write") == 1
    again = get(second.url, waiting["id"])
    assert again["approvals"] == waiting["approvals"]
    place = f"{second.url}/v1/runs/{waiting['id']}/approvals/{waiting['approvals'][0]['id']}"
    assert httpx.post(place, json={"approve": True}).status_code == 200
    if until(second.url, waiting["id"], "completed", "incomplete", "waiting_for_approval")["cap"] is None:
        httpx.post(f"{second.url}/v1/runs/{waiting['id']}/cancel")  # so that its events have an end
    assert tally.read_text().count("delete_note") == 1
    _, turn, *_ = [event for event in events_of(second.url, waiting["id"]) if event["kind"] == "spoke"]
    assert turn["cached_tokens"] > 32, "the tools' KV came back from the disk"

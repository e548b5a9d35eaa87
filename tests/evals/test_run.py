"""Runs against a real server: what is asked, in what order it comes back, and what a break leaves."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.case import Case, GoldCall, Task
from evals.endpoint import Client, Endpoint
from evals.journal import Journal
from evals.record import Record
from evals.run import Column, Episode, Runner, Settings
from evals.worlds import WORLDS
from tests.evals.servers import answering, scripted

TOOLS = [tool.as_json() for tool in WORLDS["home"].tools]
CASES = [
    Case(
        f"{celsius}", "s", "g", [{"role": "user", "content": f"Heat to {celsius} degrees"}], TOOLS, "call",
        (GoldCall("set_thermostat", {"celsius": celsius}),), "required",
    )
    for celsius in range(15, 23)
]  # fmt: skip
SHORT = Settings(max_tokens=80, parallel=3)


async def run(
    url: str, journal: Path, cases: list[Case], settings: Settings = SHORT,
    tick: Callable[[], object] = lambda: None, grammars: Any = ("on",), name: str = "ours",
) -> list[Episode]:  # fmt: skip
    client = Client(Endpoint(name, url), retries=0)
    try:
        with Journal(journal) as answers:
            columns = [Column(client, "trammel-tiny", grammar) for grammar in grammars]
            return await Runner(columns, answers, settings).run(cases, tick)
    finally:
        await client.close()


def scores(episodes: list[Episode]) -> list[Any]:
    return [(record.key, record.scores) for record in map(Record.of, episodes)]


def heat_or_talk(body: Any) -> dict[str, Any]:
    """Right where the number of degrees is even."""
    (celsius,) = re.findall(r"\d+", body["messages"][0]["content"])
    if int(celsius) % 2:
        return {"content": "No."}
    return {"content": None, "tool_calls": [call("set_thermostat", f'{{"celsius": {celsius}}}')]}


async def test_a_run_broken_off_and_resumed_gives_the_figures_of_an_unbroken_one(tmp_path: Path) -> None:
    left = iter(range(2))

    def break_off() -> None:
        if next(left, None) is None:
            raise InterruptedError

    with answering(heat_or_talk) as url:
        whole = await run(url, tmp_path / "whole.jsonl", CASES)
        with pytest.raises(ExceptionGroup):
            await run(url, tmp_path / "broken.jsonl", CASES, tick=break_off)
        kept = (tmp_path / "broken.jsonl").read_text()
        assert 3 <= len(kept.splitlines()) < len(CASES)
        resumed = await run(url, tmp_path / "broken.jsonl", CASES)
    assert scores(resumed) == scores(whole)
    after = (tmp_path / "broken.jsonl").read_text()
    assert after.startswith(kept)
    assert len(after.splitlines()) == len(CASES)


async def test_what_is_known_is_not_asked_again(server_url: str, tmp_path: Path) -> None:
    first = await run(f"{server_url}/v1", tmp_path / "a.jsonl", CASES[:2])
    before = (tmp_path / "a.jsonl").read_text()
    second = await run(f"{server_url}/v1", tmp_path / "a.jsonl", CASES[:2])
    assert (tmp_path / "a.jsonl").read_text() == before
    assert [Record.of(episode) for episode in first] == [Record.of(episode) for episode in second]


async def test_episodes_come_case_by_case_column_by_column_seed_by_seed(server_url: str, tmp_path: Path) -> None:
    settings = Settings(max_tokens=8, seeds=2)
    ticks: list[int] = []
    episodes = await run(
        f"{server_url}/v1", tmp_path / "a.jsonl", CASES[:2], settings, lambda: ticks.append(1), ("on", "off")
    )
    found = [(episode.case.id, episode.column.grammar, episode.seed) for episode in episodes]
    assert found == [(case, grammar, seed) for case in ("15", "16") for grammar in ("on", "off") for seed in (0, 1)]
    assert len(ticks) == 8


def answer(**message: Any) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}})


def call(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": name, "arguments": text}}


TASK = Case(
    "t", "s", "g", [{"role": "user", "content": "Heat to 21 and unlock the garden door"}], TOOLS, "call",
    task=Task("home", final={"thermostat": {"celsius": 21}, "doors": {"front": True, "garage": False, "garden": False}},
              says=("21",)),
)  # fmt: skip


async def test_a_task_goes_on_until_nothing_is_called_and_passes_by_its_end(tmp_path: Path) -> None:
    script = (
        answer(tool_calls=[call("set_thermostat", '{"celsius": "hot"}')]),
        answer(tool_calls=[call("set_thermostat", '{"celsius": 21}'), call("lock_door", "{oops")]),
        answer(tool_calls=[call("lock_door", '{"door": "garden", "locked": false}')]),
        answer(content="It is 21 degrees."),
    )
    with scripted(*script) as (url, _):
        (episode,) = await run(url, tmp_path / "a.jsonl", [TASK])
    record = Record.of(episode)
    assert record.scores["pass"] == (1, 1)
    assert record.scores["syntax errors"] == (2, 4)
    assert (len(record.latencies), record.prompt_tokens, record.calls) == (4, 20, 4)
    sent = episode.steps[-1].messages
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "assistant", "tool", "tool",
                                                     "assistant", "tool"]  # fmt: skip
    assert "do not fit" in sent[2]["content"]
    assert sent[4] == {"role": "tool", "tool_call_id": "set_thermostat", "content": '{"celsius": 21}'}


@pytest.mark.parametrize(
    "script",
    [
        (answer(content="It is 21 degrees."),),
        (answer(tool_calls=[call("set_thermostat", '{"celsius": 21}')]), answer(content="It is 21 degrees.")),
        (answer(tool_calls=[call("home_status", "{}")]),) * 8,
    ],
)
async def test_a_task_fails_that_talks_stops_short_or_never_ends(tmp_path: Path, script: Any) -> None:
    with scripted(*script) as (url, _):
        (episode,) = await run(url, tmp_path / "a.jsonl", [TASK])
    assert len(episode.steps) == len(script)
    assert Record.of(episode).scores["pass"] == (0, 1)


async def test_who_does_not_answer_has_failed_in_every_outcome_and_in_nothing_else(tmp_path: Path) -> None:
    with scripted((400, "too long"), (400, "too long")) as (url, _):
        task, case = await run(url, tmp_path / "a.jsonl", [TASK, CASES[0]], Settings(parallel=1))
    assert Record.of(task).error == "400: too long"
    assert Record.of(task).scores == {"choice": (0, 1), "called when due": (0, 1), "pass": (0, 1)}
    assert set(Record.of(case).scores) == {
        "choice", "called when due", "exact match", "fuzzy match", "functional match",
    }  # fmt: skip
    assert (tmp_path / "a.jsonl").read_text() == ""


async def test_a_call_that_does_the_same_to_the_world_matches_by_function(tmp_path: Path) -> None:
    case = Case(
        "t", "s", "g", [{"role": "user", "content": "Light in the hall"}], TOOLS, "call",
        (GoldCall("set_light", {"room": "hall", "on": True}),), task=Task("home"),
    )  # fmt: skip
    with scripted(answer(tool_calls=[call("set_light", '{"room":"hall","on":true,"brightness":100}')])) as (url, _):
        (episode,) = await run(url, tmp_path / "a.jsonl", [case])
    judged = Record.of(episode).scores
    assert judged["exact match"] == (0, 1)
    assert judged["functional match"] == (1, 1)
    assert "pass" not in judged


async def test_a_record_is_read_back_as_it_was_written(server_url: str, tmp_path: Path) -> None:
    (episode,) = await run(f"{server_url}/v1", tmp_path / "a.jsonl", CASES[:1])
    record = Record.of(episode)
    assert Record.read(json.loads(json.dumps(dataclasses.asdict(record)))) == record


async def test_a_text_is_judged_by_a_real_model_in_bits_per_byte(server_url: str, tmp_path: Path) -> None:
    usual, odd = "What will the weather be like in the city?", "Zq weather the xv be vvity likk in?! Whahe ctwt"
    cases = [Case(text, "chat", "talk", [], text=text) for text in (usual, odd)]
    episodes = await run(f"{server_url}/v1", tmp_path / "j", cases, grammars=("on", "off"))
    pairs = [Record.of(episode).scores["bits per byte"] for episode in episodes]
    assert [whole for _, whole in pairs] == [len(usual), len(usual), len(odd), len(odd)]
    (likely, again), (unlikely, _) = [[bits for bits, _ in pairs[at : at + 2]] for at in (0, 2)]
    assert 0 < likely == again < unlikely


async def test_an_endpoint_that_judges_no_texts_says_so(tmp_path: Path) -> None:
    with scripted((200, '{"choices": [{"text": "x"}]}')) as (url, _):
        (episode,) = await run(url, tmp_path / "j", [Case("1", "chat", "talk", [], text="Hello")])
    assert "no logprobs" in episode.error
    assert Record.of(episode).scores == {}

"""Self-play keeps what succeeds and nothing else, whatever the model does; a broken run asks for nothing twice."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.evals.servers import answering
from training.cli import app
from training.data.validation import validate_file
from training.generate.endpoint import Endpoint, EndpointError
from training.generate.generator import GenerateError, GenerateSettings, generate
from training.generate.selfplay import Played, SelfPlaySettings, self_play
from training.tools import Tool, ToolParameter, load_tools

Json = dict[str, Any]
TASKS = GenerateSettings(load_tools("get_weather,find_contact,convert_currency"), 14, seed=3, renamed=0)


def play(url: str, output: Path, tasks: GenerateSettings = TASKS, attempts: int = 1) -> Played:
    *_, played = self_play(SelfPlaySettings(tasks, Endpoint(url, retries=0), "m", attempts), output)
    return played


def lines_of(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def knowing(lines: Iterable[Json], asked: list[Json] | None = None) -> Callable[[Json], Json]:
    """A model that does what the examples do, without their mistakes."""
    scripts: dict[str, list[Json]] = {}
    for line in lines:
        failed = {m["tool_call_id"] for m in line["messages"] if m["role"] == "tool" and "error" in m["content"]}
        script = [message for message in line["messages"] if message["role"] == "assistant"]
        scripts[_first(line["messages"])] = [
            m for m in script if m.get("weight") != 0 or m["tool_calls"][0]["id"] not in failed
        ]

    def answer(body: Json) -> Json:
        if asked is not None:
            asked.append(body)
        done = sum(message["role"] == "assistant" for message in body["messages"])
        return scripts[_first(body["messages"])][done]

    return answer


def _first(messages: list[Json]) -> str:
    return next(str(message["content"]) for message in messages if message["role"] == "user")


def test_a_model_that_does_all_right_is_kept_whole(tmp_path: Path) -> None:
    with answering(knowing(generate(TASKS))) as url:
        played = play(url, tmp_path / "out.jsonl")
    assert (played.kept.total(), played.dropped.total()) == (14, 0)
    assert set(played.kept) == set(TASKS.shares)
    assert not validate_file(tmp_path / "out.jsonl").errors
    assert {line["source"] for line in lines_of(tmp_path / "out.jsonl")} == {"selfplay/m"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"content": "I see."}, "other calls than due"),
        ({"content": ""}, "other calls than due"),
        ({"tool_calls": [{"id": "a", "function": {"name": "find_contact", "arguments": '{"name":"Nobody"}'}}]},
         "other calls than due"),
        ({"tool_calls": [{"id": "a", "function": {"name": "find_contact", "arguments": '{"age":3}'}}]}, "no end"),
        ({"tool_calls": [{"id": "a", "function": {"name": "fly", "arguments": "{}"}}]}, "no end"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_is_dropped_with_the_reason(answer: Json, reason: str, tmp_path: Path) -> None:
    tasks = replace(TASKS, count=3, shares={"single_call": 1})
    with answering(lambda body: answer) as url:
        played = play(url, tmp_path / "out.jsonl", tasks)
    assert (played.kept.total(), dict(played.dropped)) == (0, {reason: 3})
    assert lines_of(tmp_path / "out.jsonl") == []


def test_what_the_result_was_must_be_told_and_what_is_missing_asked(tmp_path: Path) -> None:
    tasks = replace(TASKS, count=8, shares={"single_call": 1, "clarification": 1})
    right = knowing(generate(tasks))

    def vague(body: Json) -> Json:
        message = right(body)
        return message if message.get("tool_calls") else {"content": "Very well."}

    with answering(vague) as url:
        played = play(url, tmp_path / "out.jsonl", tasks)
    assert dict(played.dropped) == {"a result not told": 4, "no question": 4}


@pytest.mark.parametrize(
    ("arguments", "weights"), [('{"who":"Nobody"}', [0, None]), ("{}", [None]), ("{", [None]), ("[1]", [None])]
)
def test_a_refused_call_that_is_put_right_is_not_learnt(arguments: str, weights: list[Any], tmp_path: Path) -> None:
    def phone(who: str) -> Json:
        return {"phone": len(who)} if who != "Nobody" else {"error": f"no contact {who}"}

    tool = Tool("phone", "Find a number.", [ToolParameter("who")], simulate=phone)
    tasks = GenerateSettings([tool], 3, shares={"single_call": 1}, renamed=0)
    right = knowing(generate(tasks))

    def hasty(body: Json) -> Json:
        answers = [message for message in body["messages"] if message["role"] == "assistant"]
        if not answers:
            return {"tool_calls": [{"id": "x", "function": {"name": "phone", "arguments": arguments}}]}
        return right({"messages": [m for m in body["messages"] if m is not answers[0]]})

    with answering(hasty) as url:
        played = play(url, tmp_path / "out.jsonl", tasks)
    assert dict(played.kept) == {"single_call": 3}
    for line in lines_of(tmp_path / "out.jsonl"):
        assert [m.get("weight") for m in line["messages"] if m.get("tool_calls")] == weights
    assert not validate_file(tmp_path / "out.jsonl").errors


def test_more_attempts_sample_and_the_first_that_succeeds_is_kept(tmp_path: Path) -> None:
    tasks = replace(TASKS, count=3, shares={"single_call": 1})
    right, asked = knowing(generate(tasks)), []

    def moody(body: Json) -> Json:
        asked.append((body["temperature"], body["seed"]))
        return right(body) if body["temperature"] else {"content": "Hm."}

    with answering(moody) as url:
        assert play(url, tmp_path / "out.jsonl", tasks, attempts=3).kept.total() == 3
    assert asked[:3] == [(0.0, 0), (0.8, 1), (0.8, 1)]


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    asked: list[Json] = []
    with answering(knowing(generate(TASKS), asked)) as url:
        play(url, whole)
        before = len(asked)
        journal = whole.with_suffix(".selfplay.jsonl").read_bytes()
        broken.write_bytes(whole.read_bytes()[:-100])
        broken.with_suffix(".selfplay.jsonl").write_bytes(b"".join(journal.splitlines(keepends=True)[:5]) + b'{"task"')
        asked.clear()
        played = play(url, broken)
    assert broken.read_bytes() == whole.read_bytes()
    assert played.found == 5
    assert 0 < len(asked) < before


def test_a_file_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with answering(knowing([*generate(TASKS), *generate(replace(TASKS, seed=4))])) as url:
        play(url, output)
        with pytest.raises(GenerateError, match="other settings"):
            play(url, output, replace(TASKS, seed=4))
    stray = tmp_path / "stray.jsonl"
    stray.write_text("{}\n")
    with pytest.raises(GenerateError, match="journal"):
        play("http://127.0.0.1:9/v1", stray)


def test_a_call_that_nobody_can_simulate_ends_the_attempt(tmp_path: Path) -> None:
    bare = Tool("dig", "Dig a hole.", [ToolParameter("depth", "integer")])
    tasks = GenerateSettings([bare], 2, shares={"single_call": 1}, renamed=0)
    call = {"id": "a", "function": {"name": "dig", "arguments": '{"depth":123456}'}}
    with answering(lambda body: {"tool_calls": [call]}) as url:
        assert dict(play(url, tmp_path / "out.jsonl", tasks).dropped) == {"a call with no simulation": 2}


def test_an_endpoint_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="does not answer"):
        play("http://127.0.0.1:9/v1", tmp_path / "out.jsonl")


def test_the_command_counts_what_came_of_it(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    example = Path(__file__).parents[3] / "examples" / "scenarios.yaml"
    with answering(lambda body: {"content": "No."}) as url:
        command = ["data", "self-play", "--endpoint", url, "--scenarios", str(example), "--output", str(output)]
        result = CliRunner().invoke(app, [*command, "--num-tasks", "4", "--attempts", "1"])
    assert result.exit_code == 0, result.output
    assert "0 of 4 tasks succeeded" in result.output

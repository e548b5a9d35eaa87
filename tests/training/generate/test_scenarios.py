"""Scenario files: what they say is played, with values drawn alike everywhere; what is wrong in them is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training.cli import app
from training.data.checks import Checks
from training.data.record import Record
from training.generate.generator import GenerateError, GenerateSettings, generate, write_generated
from training.generate.scenario_file import ScenarioError, read_scenarios
from training.tools import load_tools

EXAMPLE = Path(__file__).parents[3] / "examples" / "scenarios.yaml"
HELLO = {"id": "hello", "turns": [{"user": "Where is {person}?"}, {"assistant": "{person} is away."}]}


def settings_of(path: Path, count: int = 12, **changes: Any) -> GenerateSettings:
    file = read_scenarios(path)
    return GenerateSettings(load_tools(file.tools or "find_contact"), count, scenarios=file, **changes)


def written_file(folder: Path, *scenarios: Any, **more: Any) -> Path:
    path = folder / "scenarios.json"
    path.write_text(json.dumps({"tools": "find_contact", "scenarios": scenarios, **more}))
    return path


def calls_of(line: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    calls = [call["function"] for message in line["messages"] for call in message.get("tool_calls", ())]
    return [(call["name"], json.loads(call["arguments"])) for call in calls]


def test_the_shipped_file_makes_valid_examples_of_each_scenario() -> None:
    lines = list(generate(settings_of(EXAMPLE, 40, renamed=0.5)))
    assert len({json.dumps(line["messages"]) for line in lines}) == 40
    assert {line["source"] for line in lines} == {f"scenario/{s.id}" for s in read_scenarios(EXAMPLE).scenarios}
    assert {line["category"] for line in lines} == {"chain", "clarification", "single_call", "parallel"}
    for line in lines:
        assert not [fault for fault in Checks().check(Record.model_validate(line), 0) if fault.is_error]


def test_a_value_is_the_same_in_words_calls_results_and_answers() -> None:
    for line in generate(settings_of(EXAMPLE, renamed=0)):
        if line["source"] == "scenario/mail-a-contact":
            (_, found), (_, sent) = calls_of(line)
            result = json.loads(next(m["content"] for m in line["messages"] if m["role"] == "tool"))
            assert found["name"] in next(m["content"] for m in line["messages"] if m["role"] == "user")
            assert sent["to"] == result["email"]
            assert sent["to"] in line["messages"][-1]["content"]


def test_a_place_alone_keeps_its_type(tmp_path: Path) -> None:
    turns = [
        {"user": "Find {person}"},
        {"calls": [{"find_contact": {"name": "{person}"}}], "results": [{"age": "{age}", "text": "{age} years"}]},
        {"assistant": "{age}"},
    ]
    path = written_file(tmp_path, {"id": "a", "turns": turns}, values={"person": ["Ada"], "age": {"from": 7, "to": 7}})
    (line,) = generate(settings_of(path, 1, distractors=0, renamed=0))
    result = next(message["content"] for message in line["messages"] if message["role"] == "tool")
    assert json.loads(result) == {"age": 7, "text": "7 years"}
    assert line["messages"][-1]["content"] == "7"


def test_wrong_calls_are_shown_and_not_learnt(tmp_path: Path) -> None:
    call = {"calls": [{"find_contact": {"name": "{person}"}}]}
    failed = {**call, "results": [{"error": "try again"}], "learn": False}
    turns = [{"user": "Find {person}"}, failed, call, {"assistant": "Here."}]
    path = written_file(tmp_path, {"id": "retry", "turns": turns}, values={"person": "first_name"})
    (line,) = generate(settings_of(path, 1))
    weights = [message.get("weight") for message in line["messages"] if message.get("tool_calls")]
    assert (weights, line["category"]) == ([0, None], "error_recovery")


def test_a_scenario_that_has_nothing_new_leaves_the_rest_to_the_others(tmp_path: Path) -> None:
    fixed = {"id": "fixed", "system": "Hi.", "turns": [{"user": "Hello"}, {"assistant": "Hello!"}]}
    path = written_file(tmp_path, fixed, HELLO, values={"person": "phrase"})
    output = tmp_path / "out.jsonl"
    *_, stats = write_generated(settings_of(path, 10, distractors=0, renamed=0), output)
    assert (stats.count, stats.exhausted) == (10, ["fixed"])
    sources = [json.loads(line)["source"] for line in output.read_text().splitlines()]
    assert sources.count("scenario/fixed") == 1


def test_a_broken_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    list(write_generated(settings_of(EXAMPLE), whole))
    broken.write_bytes(whole.read_bytes()[:3000])
    *_, stats = write_generated(settings_of(EXAMPLE), broken)
    assert broken.read_bytes() == whole.read_bytes()
    assert 0 < stats.found < stats.count == 12


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        ([{"user": "Find {nobody}"}, {"assistant": "No."}], "'s': {nobody} is neither one of the values"),
        ([{"user": "Hi"}, {"calls": [{"fly": {}}]}, {"assistant": "No."}], "'s': there is no tool 'fly'"),
        ([{"user": "Hi"}, {"calls": [{"find_contact": {"age": 3}}]}, {"assistant": "No."}], "has no parameter 'age'"),
        ([{"user": "Hi"}, {"calls": [{"find_contact": {}}]}, {"assistant": "No."}], "'s': .*'name' is a required"),
        (
            [{"user": "Hi"}, {"calls": [{"find_contact": {"name": "A"}}], "results": [{}], "as": "r"},
             {"assistant": "{r.email}"}],
            "the result has no 'email'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_played_is_named_before_anything_is_written(
    turns: list[Any], complaint: str, tmp_path: Path
) -> None:
    path = written_file(tmp_path, HELLO, {"id": "s", "turns": turns}, values={"person": "first_name"})
    output = tmp_path / "out.jsonl"
    with pytest.raises(GenerateError, match=complaint):
        list(write_generated(settings_of(path), output))
    assert not output.exists()


@pytest.mark.parametrize(
    ("turn", "complaint"),
    [
        ({"user": "Hi", "assistant": "Hi"}, "exactly one of"),
        ({"user": "Hi", "results": [1]}, "belong to calls"),
        ({"calls": [{"a": {}, "b": {}}]}, "one name with its arguments"),
        ({"calls": [{"a": {}}], "results": []}, "as many results as calls"),
        ({"says": "Hi"}, "scenarios.0.turns.1.says"),
    ],
)
def test_files_of_another_form_are_refused_with_the_place(turn: Any, complaint: str, tmp_path: Path) -> None:
    path = written_file(tmp_path, {"id": "s", "turns": [{"user": "Hi"}, turn]})
    with pytest.raises(ScenarioError, match=complaint):
        read_scenarios(path)


def test_ids_are_unique_and_empty_ranges_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="two scenarios have the id 'hello'"):
        read_scenarios(written_file(tmp_path, HELLO, HELLO))
    with pytest.raises(ScenarioError, match="from must not be larger"):
        read_scenarios(written_file(tmp_path, HELLO, values={"person": {"from": 2, "to": 1}}))


def test_the_command_plays_a_file(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = ["data", "generate", "--scenarios", str(EXAMPLE), "--num-examples", "8", "--output", str(output)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "8 examples" in result.output
    assert len(output.read_text().splitlines()) == 8


def test_the_command_wants_tools(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"scenarios": [HELLO], "values": {"person": ["Ada"]}}))
    result = CliRunner().invoke(app, ["data", "generate", "--scenarios", str(path), "--output", str(tmp_path / "o")])
    assert result.exit_code == 2
    assert "--tools" in result.output

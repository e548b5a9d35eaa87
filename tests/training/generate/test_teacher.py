"""A teacher's words are taken only where they say what must be said; what it said once is not asked again."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.evals.servers import answering, scripted
from training.cli import app
from training.data.record import Record
from training.data.validation import validate_file
from training.generate.generator import GenerateSettings, generate, write_generated
from training.generate.teacher import Mode, Teacher, TeacherError
from training.tools import load_tools

TOOLS = load_tools("get_weather,send_email")
SETTINGS = GenerateSettings(TOOLS, 12, shares={"single_call": 3, "error_recovery": 1, "clarification": 1, "no_tool": 1})


def teacher(url: str, folder: Path, mode: Mode = "paraphrase", **more: Any) -> Teacher:
    return Teacher(url, "m", folder / "journal.jsonl", mode, **{"retries": 1, **more})


def values_of(prompt: str) -> list[str]:
    return re.findall(r"`([^`]+)`", prompt)


def good(body: Any) -> dict[str, Any]:
    """All values, in the form asked for."""
    prompt = body["messages"][0]["content"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["message"]
    return {"content": json.dumps({"message": "My wish has to do with " + " and ".join(values_of(prompt))})}


def forgetful(body: Any) -> dict[str, Any]:
    return {"content": json.dumps({"message": "I would like something to be done for me"})}


def inventive(body: Any) -> dict[str, Any]:
    return {"content": json.dumps({"message": f"{json.loads(good(body)['content'])['message']} at 12:34"})}


def first_words(line: dict[str, Any]) -> str:
    return next(str(message["content"]) for message in line["messages"] if message["role"] == "user")


@pytest.mark.parametrize("mode", ["paraphrase", "write"])
def test_words_that_keep_the_values_are_taken(mode: Mode, tmp_path: Path) -> None:
    with answering(good) as url:
        asked = teacher(url, tmp_path, mode)
        lines = list(generate(SETTINGS, rewrite=asked.rewrite))
    calling = [line for line in lines if line["category"] in ("single_call", "error_recovery")]
    assert asked.rewritten == len(calling) > 4
    assert all(first_words(line).startswith("My wish") for line in calling)
    others = [line for line in lines if line not in calling]
    assert not any(first_words(line).startswith("My wish") for line in others)


@pytest.mark.parametrize("answer", [forgetful, inventive])
def test_words_that_lose_or_invent_something_are_not_taken(answer: Any, tmp_path: Path) -> None:
    with answering(answer) as url:
        asked = teacher(url, tmp_path, attempts=2)
        lines = list(generate(SETTINGS, rewrite=asked.rewrite))
    assert (asked.rewritten, asked.kept) == (0, asked.asked // 2)
    assert lines == list(generate(SETTINGS))


def test_a_broken_run_asks_for_nothing_twice(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with answering(good) as url:
        whole = teacher(url, tmp_path)
        list(write_generated(SETTINGS, output, rewrite=whole.rewrite))
    before = output.read_bytes()
    output.write_bytes(before[: len(before) // 2])
    with (tmp_path / "journal.jsonl").open("a") as journal:
        journal.write('{"key": "half wri')
    again = teacher("http://127.0.0.1:9/v1", tmp_path)
    list(write_generated(SETTINGS, output, rewrite=again.rewrite))
    assert (again.asked, again.rewritten) == (0, whole.rewritten)
    assert output.read_bytes() == before


REQUEST = next(Record.model_validate(line) for line in generate(SETTINGS))


def test_passing_failures_are_waited_out_and_others_told(tmp_path: Path) -> None:
    text = json.dumps({"choices": [{"message": good({"messages": [{"content": "`x`"}], **FORM})}]})
    with scripted((503, "later"), (200, text)) as (url, _):
        assert teacher(url, tmp_path, attempts=1).rewrite(REQUEST) == REQUEST
    with scripted((401, "no key")) as (url, _), pytest.raises(TeacherError, match="no key"):
        teacher(url, tmp_path / "none").rewrite(REQUEST)
    with pytest.raises(TeacherError, match="does not answer"):
        teacher("http://127.0.0.1:9/v1", tmp_path / "none", retries=0).rewrite(REQUEST)


FORM = {"response_format": {"json_schema": {"schema": {"required": ["message"]}}}}


def test_an_endpoint_that_knows_no_schemas_is_asked_without(tmp_path: Path) -> None:
    values = json.loads(next(m.tool_calls[0].function.arguments for m in REQUEST.messages if m.tool_calls)).values()
    text = "Well, " + ", ".join(map(str, values))
    told = json.dumps({"choices": [{"message": {"content": f'"{text}"'}}]})
    with scripted((400, "response_format is unknown"), (200, told)) as (url, _):
        rewritten = teacher(url, tmp_path).rewrite(REQUEST)
    assert text in [message.text for message in rewritten.messages]


def test_our_own_server_can_be_the_teacher(server_url: str, tmp_path: Path) -> None:
    """The small model may not find words that will do; what comes out is valid all the same, and the form is held."""
    output = tmp_path / "train.jsonl"
    arguments = [
        "data",
        "generate",
        "--tools",
        "get_weather,send_email",
        "--num-examples",
        "2",
        "--output",
        str(output),
    ]
    made = CliRunner().invoke(app, [*arguments, "--teacher", server_url, "--categories", "single_call"])
    assert made.exit_code == 0, made.output
    assert re.search(r"the teacher said (\d) in other words; (\d) kept their own", made.output)
    assert validate_file(output).errors == []
    entries = [json.loads(line) for line in (tmp_path / "train.teacher.jsonl").read_text().splitlines()]
    assert entries
    assert all(len(entry["text"]) <= 400 and '"message"' not in entry["text"] for entry in entries)


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    arguments = ["data", "generate", "--tools", "search", "--output", f"{tmp_path}/a.jsonl", "--teacher", "http://x"]
    assert CliRunner().invoke(app, [*arguments, "--teacher-mode", "shout"]).exit_code == 2

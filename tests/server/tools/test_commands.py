"""Commands of this machine and code of the model as tools."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.tools.commands import BoundPassedError, code_tool, command_tool
from server.tools.definition import CallContext, ToolDefinition, ToolError
from server.tools.sandbox import Bounds, Job, NoSandboxError, find_sandbox
from server.tools.sandbox.docker import Docker

CONTEXT = CallContext("run", "run:call")
WORDS = {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}}


@pytest.fixture(scope="module", autouse=True)
def needs_a_sandbox() -> None:
    try:
        asyncio.run(find_sandbox())
    except NoSandboxError as error:
        pytest.skip(f"{error}: tools that are commands are NOT tried")


def call(tool: ToolDefinition, **arguments: Any) -> Any:
    return asyncio.run(tool.execute(arguments, CONTEXT))


def test_an_argument_is_one_word_whatever_it_holds() -> None:
    tool = command_tool("say", ["printf", "%s|", "{text}", "n={count}"], WORDS)
    assert call(tool, text="$(id); rm -rf / 'x' \"y\"\n", count=3) == "$(id); rm -rf / 'x' \"y\"\n|n=3|"


def test_a_word_goes_with_the_argument_that_was_left_out() -> None:
    tool = command_tool("say", ["printf", "%s|", "{text}", "n={count}", "end"], WORDS)
    assert call(tool, text="a") == "a|end|"
    assert call(tool, text="", count=0) == "|n=0|end|"


@pytest.mark.parametrize("text", ["-rf", "--output=/x", "a\0b"])
def test_an_argument_can_not_become_an_option(text: str) -> None:
    with pytest.raises(ToolError):
        call(command_tool("list", ["ls", "{text}"], WORDS), text=text)


def test_a_command_reads_its_arguments_as_json_and_may_answer_in_json() -> None:
    assert call(command_tool("echo", ["cat"], WORDS), text="é", count=2) == {"text": "é", "count": 2}


def test_a_failing_command_tells_its_exit_code_and_its_words() -> None:
    answer = call(command_tool("fail", ["sh", "-c", "echo some; echo why >&2; exit 4"], WORDS))
    assert answer == {"exit_code": 4, "output": "some\n", "error": "why\n"}


def test_a_bound_that_is_passed_is_named() -> None:
    tool = command_tool("wait", ["sleep", "60"], WORDS, bounds=Bounds(seconds=0.3))
    with pytest.raises(BoundPassedError, match="time"):
        call(tool)


def test_code_of_the_model_runs_and_its_output_comes_back() -> None:
    tool = code_tool()
    assert call(tool, code="print(sum(range(10)))") == 45
    assert "ZeroDivisionError" in call(tool, code="1/0")["error"]
    assert tool.effect == "read"
    assert tool.trust == "untrusted"


def test_a_command_that_names_an_unknown_argument_is_no_tool() -> None:
    with pytest.raises(ValueError, match="names user"):
        command_tool("find", ["id", "{user}"], WORDS)


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.tools.sandbox.bubblewrap.PROGRAMS", "/nowhere")
    monkeypatch.setattr("server.tools.sandbox.landlock._SIGNALS_SCOPED", 10**6)
    with pytest.raises(NoSandboxError, match="Install bubblewrap"):
        call(command_tool("say", ["echo"], WORDS))


def test_the_words_of_docker_hold_every_bound() -> None:
    """No Docker runs where the tests run: only the command line is looked at."""
    bounds = Bounds(memory=1000, processes=7, disk=2000)
    line = " ".join(Docker("python:3").launch(Job(("python", "-c", "1"), bounds=bounds, environment={"A": "b"}), "one"))
    for part in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--memory 1000",
        "--pids-limit 7",
        "size=2000",
        "--pull never",
        "--name one",
        "--ulimit cpu=11",
        "--env A=b python:3 python -c 1",
    ):
        assert part in line


def test_a_container_is_removed_whose_job_outlives_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script in the place of Docker's client writes down what it was asked."""
    client, told = tmp_path / "docker", tmp_path / "told"
    client.write_text(f'#!/bin/sh\necho "$@" >> {told}\n[ "$1" = rm ] || exec sleep 60\n')
    client.chmod(0o755)
    for module in ("docker", "process"):
        monkeypatch.setattr(f"server.tools.sandbox.{module}.PROGRAMS", f"{tmp_path}:/usr/bin:/bin")
    outcome = asyncio.run(Docker("python:3").run(Job(("true",), bounds=Bounds(seconds=0.2))))
    assert outcome.ended == "time"
    begun, removed = told.read_text().splitlines()
    assert removed == f"rm --force {begun.split('--name ')[1].split()[0]}"

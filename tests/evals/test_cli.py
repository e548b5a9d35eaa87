"""`trammel eval` as a user meets it, against a real server with the model that ships."""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from evals.cli import app
from evals.folder import RunFolder
from tests.conftest import free_port
from tests.evals.servers import answering, listing

ROOT = Path(__file__).parents[2]
SAMPLE = str(Path(__file__).parent / "sample.jsonl")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def test_the_console_script_finds_the_command() -> None:
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["trammel.commands"]
    assert commands["evals"] == "evals.cli:app"
    console_script = typer.Typer()
    console_script.add_typer(app)  # as server.cli does with every entry point
    assert "bfcl" in CliRunner().invoke(console_script, ["eval", "suites"]).output


@pytest.mark.timeout(180)
def test_a_run_its_resumption_and_a_comparison(server_url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    result = invoke(SAMPLE, "--endpoint", f"ours={server_url}", "--grammar", "both", "--output", str(first))
    assert result.exit_code == 0, result.output
    assert "ours, no grammar" in result.output
    figures = json.loads((first / "summary.json").read_text())["suites"]["sample"]
    on, off = figures["columns"]
    assert (on["cases"], on["errors"], off["cases"]) == (15, 0, 15)
    assert on["shares"]["syntax errors"]["value"] == on["shares"]["invented names"]["value"] == 0
    assert on["shares"]["invented keys"]["value"] == 0
    assert "<svg" in (first / "report.html").read_text()

    before = (first / "answers.jsonl").read_bytes(), (first / "results.jsonl").read_bytes()
    again = invoke(SAMPLE, "--endpoint", f"ours={server_url}", "--grammar", "both", "--output", str(first))
    assert again.exit_code == 0
    assert ((first / "answers.jsonl").read_bytes(), (first / "results.jsonl").read_bytes()) == before

    limited = invoke(
        "run", SAMPLE, "--endpoint", f"ours={server_url}", "--limit", "4", "--choice", "required",
        "--output", str(second), "--max-tokens", "120",
    )  # fmt: skip
    assert limited.exit_code == 0, limited.output
    assert len((second / "results.jsonl").read_text().splitlines()) == 4
    compared = invoke("compare", str(second), str(first), "--show", "2")
    assert compared.exit_code == 0, compared.output
    assert "first: ours, no grammar against second: ours, 4 cases" in compared.output


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_stopped_by_the_user_or_killed_goes_on_where_it_was(tmp_path: Path, end: signal.Signals) -> None:
    answered, is_over = itertools.count(1), threading.Event()

    def talk(body: Any) -> dict[str, Any]:
        if next(answered) > 3:
            is_over.wait(2)  # so that the end comes in the middle
        return {"content": f"{len(body['messages'])}?"}

    with answering(talk) as url:
        asked = [SAMPLE, "--endpoint", f"them={url}", "--parallel", "1", "--output"]
        # who runs these tests in the background of a shell lets their children ignore SIGINT
        start = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        start += "runpy.run_module('evals', run_name='__main__')"
        command = [sys.executable, "-c", start, "eval", *asked, str(tmp_path / "broken")]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        answers = tmp_path / "broken" / "answers.jsonl"
        while not answers.exists() or answers.read_text().count("\n") < 2:
            time.sleep(0.01)
        process.send_signal(end)
        _, told = process.communicate(timeout=20)
        is_over.set()
        if end == signal.SIGINT:
            assert process.returncode == 2
            assert told == "trammel: broken off; the same command goes on from here\n"
        kept = answers.read_text()
        assert 2 <= kept.count("\n") < 15
        assert invoke(*asked, str(tmp_path / "broken")).exit_code == 0
        assert invoke(*asked, str(tmp_path / "whole")).exit_code == 0
    assert answers.read_text().startswith(kept)
    broken, whole = (RunFolder(tmp_path / name).records() for name in ("broken", "whole"))
    assert [(record.key, record.scores) for record in broken] == [(record.key, record.scores) for record in whole]


def test_what_gets_no_answer_is_said(server_url: str, tmp_path: Path) -> None:
    endpoint = f"ours={server_url}#no-such-model"
    result = invoke(SAMPLE, "--endpoint", endpoint, "--limit", "2", "--output", str(tmp_path))
    assert result.exit_code == 0
    assert "2 cases got no answer and count as failed" in result.stderr
    assert "does not exist" in result.stderr


def test_a_suite_without_its_data_is_left_out_loudly(server_url: str, tmp_path: Path) -> None:
    asked = ["--endpoint", f"ours={server_url}", "--limit", "1", "--output", str(tmp_path / "run")]
    result = invoke("bfcl", SAMPLE, *asked, "--data", str(tmp_path))
    assert result.exit_code == 0
    assert "NOT RUN: suite bfcl: none of bfcl, bfcl-half is in" in result.stderr
    assert "sample" in result.stdout
    alone = invoke("bfcl", *asked, "--data", str(tmp_path))
    assert alone.exit_code == 2
    assert "there are no cases" in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing", "--endpoint", "a=http://h"], "there is no suite 'nothing'"),
        (["none.jsonl", "--endpoint", "a=http://h"], "No such file"),
        ([SAMPLE, "--endpoint", "h"], "NAME=URL"),
        ([SAMPLE, "--endpoint", "a=http://h", "--endpoint", "a=http://g"], "names of their own"),
        ([SAMPLE, "--endpoint", f"a=http://127.0.0.1:{free_port()}"], "lists no models"),
        (["compare", "nowhere"], "nowhere holds no finished run"),
    ],
)
def test_wrong_inputs_are_one_line_with_the_cause(arguments: list[str], told: str, tmp_path: Path) -> None:
    output = [] if arguments[0] == "compare" else ["--output", str(tmp_path)]
    result = invoke(*arguments, *output)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_one_column_has_nothing_to_be_compared_with(server_url: str, tmp_path: Path) -> None:
    invoke(SAMPLE, "--endpoint", f"ours={server_url}", "--limit", "1", "--output", str(tmp_path))
    result = invoke("compare", str(tmp_path))
    assert result.exit_code == 2
    assert "but one column" in result.stderr


def test_another_server_has_no_column_without_a_grammar(tmp_path: Path) -> None:
    with listing("llama") as url:
        result = invoke(
            SAMPLE, "--endpoint", f"them={url}", "--grammar", "off", "--limit", "1", "--output", str(tmp_path)
        )
    assert result.exit_code == 2
    assert "them is not Trammel" in result.stderr

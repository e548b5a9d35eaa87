"""The command line: what it prints, and what it says of wrong input."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import __version__
from server.cli import app
from server.settings import Settings

MODEL = Path(__file__).parents[2] / "models" / "trammel-tiny.gguf"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def trammel(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=text)


def test_the_version_is_printed() -> None:
    assert trammel("--version").stdout == f"trammel {__version__}\n"


def test_a_grammar_is_printed_with_its_report_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    result = trammel("grammar", str(path), "--closed")
    assert result.exit_code == 0
    assert result.stdout.startswith("root ::= ")
    assert "narrowed" in result.stderr
    assert "required" in result.stderr


def test_a_schema_may_come_from_standard_input() -> None:
    assert trammel("grammar", "-", "--lark", text=json.dumps(SCHEMA)).stdout.startswith("%llguidance")


@pytest.mark.parametrize(
    ("text", "word"),
    [("{oops", "not JSON"), ('{"$ref": "#/nowhere"}', "nowhere"), ('{"type": "string", "not": {}}', "trammel:")],
)
def test_a_schema_that_cannot_be_compiled_is_one_line_on_standard_error(text: str, word: str) -> None:
    result = trammel("grammar", "-", text=text)
    assert result.exit_code == 2
    assert word in result.stderr
    assert "Traceback" not in result.output


def test_grammar_and_report_come_as_json_for_programs() -> None:
    value = json.loads(trammel("grammar", "-", "--json", text=json.dumps(SCHEMA)).stdout)
    assert value["gbnf"].startswith("root ::= ")
    assert {"keyword": "required", "pointer": "", "note": ""} in value["report"]["enforced"]


@pytest.mark.parametrize(
    ("text", "status", "word"), [('{"a":1}', 0, "admitted"), ('{"a":"x"}', 1, "stopped after '{\"a\":'")]
)
def test_an_instance_is_checked_and_the_place_named_where_it_stops(
    tmp_path: Path, text: str, status: int, word: str
) -> None:
    path = tmp_path / "instance.json"
    path.write_text(text)
    result = trammel("grammar", "-", "--check", str(path), text=json.dumps(SCHEMA))
    assert (result.exit_code, word in result.stdout) == (status, True)


def test_a_missing_schema_file_is_named() -> None:
    result = trammel("grammar", "nowhere.json")
    assert (result.exit_code, "nowhere.json can't be read" in result.stderr) == (2, True)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trammel.toml").write_text('port = 1\nparallel = 2\nmodel_name = "from-file"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAMMEL_PARALLEL", "3")
    monkeypatch.setenv("TRAMMEL_PORT", "4")
    settings = Settings(port=5)
    assert (settings.port, settings.parallel, settings.model_name) == (5, 3, "from-file")


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trammel.toml").write_text("paralel = 2\n")
    monkeypatch.chdir(tmp_path)
    result = trammel("serve")
    assert result.exit_code == 2
    assert "paralel" in result.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--kv-type", "q9"), "kv-type"),
        (("--kv-type", "q8_0", "--flash-attention", "off"), "needs flash attention"),
        (("--context-length", "63"), "context-length"),
        (("--context-length", "all"), "context-length"),
        (("--split-mode", "diagonal"), "split-mode"),
    ],
)
def test_settings_that_llama_cpp_cannot_follow_are_refused(flags: tuple[str, ...], words: str) -> None:
    result = trammel("serve", *flags)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_the_context_comes_from_the_setting_or_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAMMEL_CONTEXT_LENGTH", "512")
    assert Settings().context_length == 512
    assert Settings(context_length="model").context_length == "model"


def test_a_models_dialect_is_printed() -> None:
    result = trammel("dialect", str(MODEL))
    assert result.exit_code == 0
    assert '<tool_call>{"name":"get_weather","arguments":{"city":"Oslo","days":2}}</tool_call>' in result.stdout
    assert "root ::= " in result.stdout


def test_the_dialects_of_a_folder_are_printed_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "plain.jinja").write_text("{{ messages[0].content }}")
    (tmp_path / "other.jinja").write_text("{{ messages[0].content }}{{ bos_token }}")
    lines = trammel("dialect", str(tmp_path)).stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [["other", "generic", "hermes"], ["plain", "generic", "hermes"]]
    assert json.loads(trammel("dialect", str(tmp_path), "--json").stdout)["plain.jinja"]["origin"] == "generic"


@pytest.mark.parametrize("content", [None, "{% for %}"])
def test_a_template_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "broken.jinja"
    if content is not None:
        path.write_text(content)
    result = trammel("dialect", str(path))
    assert result.exit_code == 2
    assert "broken.jinja" in result.stderr

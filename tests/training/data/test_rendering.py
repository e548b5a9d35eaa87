"""What is trained is what is served: every template that ships is one whose calls our server reads."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.chat.choosing import dialect_of
from server.chat.messages import ToolCall
from server.chat.template import TemplateError
from server.settings import DEFAULT_MODEL
from training.cli import app
from training.data.record import Record
from training.data.rendering import find_template, render_file, template_names
from training.pretrain.dataset import read_template, render

CALLS = (ToolCall("a", '{"x": "\\"quoted\\" é\\n"}', "1"), ToolCall("b", "{}", "2"))
LINE = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Go"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in CALLS
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "[1]"},
        {"role": "tool", "tool_call_id": "2", "content": "[2]"},
        {"role": "assistant", "content": "Gone."},
    ],
    "tools": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "ab"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps(LINE) + "\n\n" + json.dumps(LINE) + "\n")
    return path


@pytest.mark.parametrize("name", template_names())
def test_the_server_reads_the_calls_of_every_template_that_ships(name: str, file: Path) -> None:
    template = find_template(name)
    dialect = dialect_of(template)
    assert dialect.origin == "derived"
    first, second = render_file(file, template)
    assert first == second
    assert dialect.write(CALLS) in first
    for said in ("Be brief.", "Go", "Gone.", "[1]", "[2]"):
        assert said in first


def test_our_own_rendering_is_the_default_models(file: Path) -> None:
    (text, _) = render_file(file, find_template("trammel"))
    assert text == render(Record.model_validate(LINE).conversation(), read_template())
    assert list(render_file(file, find_template(str(DEFAULT_MODEL)))) == [text, text]


def test_a_folders_template_is_taken_with_its_tokens(tmp_path: Path, file: Path) -> None:
    source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    settings = {"chat_template": source, "bos_token": "<s>", "eos_token": {"content": "</s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (text, _) = render_file(file, find_template(str(tmp_path)))
    assert text.startswith("<s>[system] Be brief.</s>[user] Go</s>")
    (tmp_path / "chat_template.jinja").write_text("other")
    assert find_template(str(tmp_path)).source == "other"


def test_what_cannot_be_rendered_is_named(tmp_path: Path, file: Path) -> None:
    with pytest.raises(TemplateError, match="no template is named 'chatmm'"):
        find_template("chatmm")
    with pytest.raises(TemplateError, match="has no chat template"):
        find_template(str(tmp_path))
    refusing = tmp_path / "no.jinja"
    refusing.write_text("{{ raise_exception('not this') }}")
    with pytest.raises(TemplateError, match=r"lines\.jsonl, line 1: .*not this"):
        list(render_file(file, find_template(str(refusing))))
    file.write_text('{"messages": 3}\n')
    with pytest.raises(ValueError, match="line 1"):
        list(render_file(file, find_template("chatml")))


def test_the_command_prints_one_or_writes_all(file: Path, tmp_path: Path) -> None:
    command = ["data", "render", str(file), "--template", "blocks"]
    printed = CliRunner().invoke(app, [*command, "--line", "2"])
    assert "name: a\nparameters: " in printed.output
    output = tmp_path / "texts.jsonl"
    CliRunner().invoke(app, [*command, "--output", str(output)])
    texts = [json.loads(line)["text"] for line in output.read_text().splitlines()]
    assert texts == list(render_file(file, find_template("blocks")))
    assert CliRunner().invoke(app, [*command, "--line", "9"]).exit_code == 2

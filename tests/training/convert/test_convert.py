"""Other people's formats: what goes out comes back, and real examples of each form are read."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.training.convert import published
from tests.training.data.lines import call, calls, line, result, says, user, write_lines
from tests.training.sample import write_corpus
from training.cli import app
from training.convert.builder import ConvertError
from training.convert.formats import READERS, WRITERS, FormatName, convert
from training.convert.loose_schema import json_schema
from training.corpus.archives import DataMissingError, data_folder, find_corpus
from training.data.record import Json, Record
from training.data.validation import validate_file
from training.generate.generator import GenerateSettings, generate
from training.tools.examples import EXAMPLE_TOOLS

LINE_FORMATS: tuple[FormatName, ...] = ("flat", "sharegpt", "glaive", "toolbench")
FOLDER_FORMATS: tuple[FormatName, ...] = ("sgd", "star", "taskmaster4")


def told(record: Record) -> list[Any]:
    """What is said and called, without ids and weights."""
    return [
        (m.role, m.text, [(c.function.name, json.loads(c.function.arguments)) for c in m.tool_calls or ()])
        for m in record.messages
        if m.role != "system"
    ]


def read(tmp_path: Path, name: FormatName, *lines: Any) -> list[Any]:
    return list(READERS[name](write_lines(tmp_path / f"{name}.jsonl", *lines)))


def assert_is_the_weather(record: Any) -> None:
    assert isinstance(record, Record), record
    assert told(record) == [
        ("user", "What is the weather in Oslo?", []),
        ("assistant", "", [("get_weather", {"city": "Oslo"})]),
        ("tool", '{"sky":"clear"}', []),
        ("assistant", "It is sunny.", []),
    ]
    assert record.tools is not None
    assert record.tools[0].function.parameters["properties"]["city"]["type"] == "string"
    assert record.tools[0].function.parameters["required"] == ["city"]


def generated() -> list[Record]:
    lines = generate(GenerateSettings(EXAMPLE_TOOLS, 60, seed=1))
    return [Record.model_validate(line) for line in lines]


@pytest.mark.parametrize("name", [*LINE_FORMATS, *FOLDER_FORMATS])
def test_what_can_be_written_comes_back_the_same(name: FormatName, tmp_path: Path) -> None:
    records = generated()
    outcome = list(WRITERS[name](records, tmp_path / "out"))
    kept = [record for record, error in zip(records, outcome, strict=True) if error is None]
    back = list(READERS[name](tmp_path / "out"))
    assert len(kept) > 25
    assert len(back) == len(kept)
    for one, two in zip(kept, back, strict=True):
        assert isinstance(two, Record), two
        ours, theirs = told(one), told(two)
        if name == "sgd":  # which makes texts of all values, and lists of results
            ours, theirs = _texts(ours), _texts(theirs)
        assert theirs == ours


def _texts(turns: list[Any]) -> list[Any]:
    said = [(role, text, made) for role, text, made in turns if role != "tool"]
    return [(role, text, [(n, {k: str(v) for k, v in a.items()}) for n, a in made]) for role, text, made in said]


@pytest.mark.parametrize("name", [*LINE_FORMATS, *FOLDER_FORMATS])
def test_tools_come_back_with_their_parameters(name: FormatName, tmp_path: Path) -> None:
    record = Record.model_validate(line())
    assert list(WRITERS[name]([record], tmp_path / "out")) == [None]
    (back,) = READERS[name](tmp_path / "out")
    assert isinstance(back, Record)
    assert back.tools is not None
    tool = next(tool.function for tool in back.tools if tool.function.name == "get_weather")
    assert tool.parameters["required"] == ["city"]
    assert tool.parameters["properties"]["city"]["type"] == "string"


@pytest.mark.parametrize("name", ["glaive", "toolbench", "sgd", "star", "taskmaster4"])
def test_what_a_format_has_no_place_for_is_refused(name: FormatName, tmp_path: Path) -> None:
    record = Record.model_validate(line(user(), calls(call("a"), call("b")), result("a"), result("b"), says()))
    (error,) = WRITERS[name]([record], tmp_path / "out")
    assert isinstance(error, ConvertError)
    assert "no place" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flat", published.FLAT),
        ("flat", published.FUNCTIONS_OF_2023),
        ("sharegpt", published.LLAMA_FACTORY),
        ("sharegpt", published.HERMES),
        ("glaive", published.GLAIVE),
        ("toolbench", published.TOOLBENCH),
    ],
)
def test_the_forms_of_published_sets_are_read(name: FormatName, value: Json, tmp_path: Path) -> None:
    (record,) = read(tmp_path, name, value)
    assert_is_the_weather(record)


def test_a_query_with_its_calls_is_a_line_too(tmp_path: Path) -> None:
    answers = json.dumps([{"name": "get_weather", "arguments": {"city": "Oslo"}}] * 2)
    (record,) = read(
        tmp_path, "flat", {"query": "Twice?", "answers": answers, "tools": json.dumps([published.FLAT_TOOL])}
    )
    made = [("get_weather", {"city": "Oslo"})] * 2
    assert told(record) == [("user", "Twice?", []), ("assistant", "", made)]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("flat", {"tools": []}, "neither messages"),
        ("flat", {"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ("flat", {"messages": [{"role": "tool", "content": "x"}]}, "without a call"),
        ("sharegpt", {"conversations": [{"from": "function_call", "value": "{oops"}]}, "not JSON"),
        ("sharegpt", {}, "no conversations"),
        ("glaive", {"chat": "USER: x\n\n\nASSISTANT: <functioncall> {oops}"}, "can't be read"),
        ("toolbench", {"conversations": [{"from": "assistant", "value": "Action: f\nAction Input: oops"}]}, "not JSON"),
        ("openai", {"messages": []}, "messages"),
        ("flat", 5, "no JSON object"),
        ("flat", "{oops", "not of the format"),
    ],
)
def test_what_cant_be_read_is_told(name: FormatName, value: Any, reason: str, tmp_path: Path) -> None:
    (error,) = read(tmp_path, name, value)
    assert isinstance(error, ConvertError)
    assert reason in str(error)


def test_invalid_records_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", line(), line(user(), calls(call(arguments='{"days":1}'))))
    *_, stats = convert(path, tmp_path / "out.jsonl", "openai", "flat")
    assert (stats.written, dict(stats.skipped)) == (1, {"invalid: invalid-arguments": 1})
    *_, stats = convert(path, tmp_path / "out.jsonl", "openai", "flat", invalid=True)
    assert stats.written == 2


@pytest.mark.parametrize(
    ("loose", "schema"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "dict"}, {"type": "object", "properties": {}}),
        (
            {"a": {"type": "int", "required": True}, "b": {"type": "str, optional"}},
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]},
        ),
        (
            {"type": "dict", "properties": {"a": {"type": "list", "items": {"type": "float"}}}, "required": ["a", "z"]},
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"type": "number"}}},
                "required": ["a"],
            },
        ),
    ],
)
def test_loose_schemas_become_json_schema(loose: Json, schema: Json) -> None:
    assert json_schema(loose) == schema


def test_the_command_converts_and_takes_our_own_fields_out(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", line(id="1", category="single_call"))
    run = CliRunner().invoke(app, ["data", "convert", str(source), f"{tmp_path}/b.jsonl", "--plain"])
    assert run.exit_code == 0
    assert set(json.loads((tmp_path / "b.jsonl").read_text())) == {"messages", "tools"}
    for wrong in (["--to", "nothing"], ["--to", "flat", "--plain"]):
        assert CliRunner().invoke(app, ["data", "convert", str(source), f"{tmp_path}/c", *wrong]).exit_code == 2
    assert CliRunner().invoke(app, ["data", "convert", str(source), str(source)]).exit_code == 2


def test_a_corpus_folder_becomes_valid_lines(tmp_path: Path) -> None:
    split = write_corpus(tmp_path / "data", 12) / "sgd" / "dev"
    *_, stats = convert(split, tmp_path / "sgd.jsonl", "sgd", "openai")
    assert stats.written == 12
    assert not validate_file(tmp_path / "sgd.jsonl").errors


STAR_EVENTS = [
    {"Agent": "User", "Action": "utter", "Text": "Is the Ritz free?"},
    {"Agent": "Wizard", "Action": "query", "APIName": "book", "Constraints": [
        {"Account": "007"}, {"Nights": "2"}, {"Name": 'api.is_equal_to("Ritz")'}, {"Pets": "True"}, {"Day": "null"}]},
    {"Agent": "KnowledgeBase", "Action": "return_item", "Item": {"free": True}},
    {"Agent": "Wizard", "Action": "pick_suggestion", "Text": "It is."},
    {"Agent": "User", "Action": "complete"},
]  # fmt: skip


def star_corpus(folder: Path, events: list[Json]) -> Path:
    (folder / "dialogues").mkdir(parents=True)
    (folder / "apis" / "apis").mkdir(parents=True)
    kinds = {
        "Name": "Categorical",
        "Nights": "Integer",
        "Pets": "Boolean",
        "Day": "ShortString",
        "Account": "ShortString",
    }
    inputs = [{"Name": name, "Type": kind, "ReadableName": name} for name, kind in kinds.items()]
    inputs[0]["Categories"] = ["Ritz", "Hilton"]  # type: ignore[assignment]
    (folder / "apis" / "apis" / "book.json").write_text(json.dumps({"input": inputs, "required": ["Name"]}))
    dialogue = {"CompletionLevel": "Complete", "Scenario": {"WizardCapabilities": []}, "Events": events}
    (folder / "dialogues" / "1.json").write_text(json.dumps(dialogue))
    return folder


def test_stars_queries_become_calls_of_the_right_types(tmp_path: Path) -> None:
    (record,) = READERS["star"](star_corpus(tmp_path / "star", STAR_EVENTS))
    assert isinstance(record, Record)
    assert told(record) == [
        ("user", "Is the Ritz free?", []),
        ("assistant", "", [("book", {"Name": "Ritz", "Nights": 2, "Pets": True, "Account": "007"})]),
        ("tool", '{"free":true}', []),
        ("assistant", "It is.", []),
    ]


def test_stars_queries_by_ranges_leave_a_dialogue_out(tmp_path: Path) -> None:
    query = {**STAR_EVENTS[1], "Constraints": [{"Nights": "api.is_at_least(2)"}]}
    (error,) = READERS["star"](star_corpus(tmp_path / "star", [STAR_EVENTS[0], query]))
    assert str(error) == "a query by api.is_at_least"


@pytest.mark.parametrize(("name", "corpus", "least"), [("star", "star", 400), ("taskmaster4", "taskmaster4", 590)])
def test_the_public_corpora_convert(name: FormatName, corpus: str, least: int) -> None:
    try:
        folder = find_corpus(corpus, data_folder())
    except DataMissingError as error:
        pytest.skip(f"PUBLIC DATA ABSENT: {error}")
    records = [record for record in islice(READERS[name](folder), 600) if isinstance(record, Record)]
    assert len(records) > least


TWO_SCHEMAS = [
    Record.model_validate(line(user(), calls(call(arguments='{"city":"Oslo"}')), result(), says())),
    Record.model_validate({
        **line(user(), calls(call(arguments='{"town":"Oslo"}')), result(), says()),
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {
            "type": "object", "properties": {"town": {"type": "string"}},
        }}}],
    }),
]  # fmt: skip


@pytest.mark.parametrize("name", ["star", "sgd"])
def test_a_tool_has_one_schema_where_the_form_keeps_tools_apart(name: FormatName, tmp_path: Path) -> None:
    outcome = list(WRITERS[name](TWO_SCHEMAS, tmp_path / "out"))
    assert outcome[0] is None
    assert "another schema" in str(outcome[1])
    (back,) = READERS[name](tmp_path / "out")
    assert isinstance(back, Record)
    assert told(back)[1][2] == [("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize("name", ["star", "sgd"])
def test_lists_and_objects_have_no_place_there(name: FormatName, tmp_path: Path) -> None:
    nested = Record.model_validate(line(user(), calls(call(arguments='{"city":["Oslo"]}')), result(), says()))
    (outcome,) = WRITERS[name]([nested], tmp_path / "out")
    assert "lists or objects" in str(outcome)


def test_what_is_invalid_and_cannot_be_told_is_counted(tmp_path: Path) -> None:
    stray = line(user(), calls(call("c1")), result("c2"), says())
    source, output = write_lines(tmp_path / "a.jsonl", stray), tmp_path / "b.jsonl"
    run = CliRunner().invoke(app, ["data", "convert", str(source), str(output), "--to", "flat", "--keep-invalid"])
    assert run.exit_code == 0, run.output
    assert "can't be told in this format" in run.output


def test_a_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    source, output = write_lines(tmp_path / "a.jsonl", line(user(), says())), tmp_path / "b.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    run = CliRunner().invoke(app, ["data", "convert", str(source), str(output)])
    assert "1 conversations, 0 skipped" in run.output

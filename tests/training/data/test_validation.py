"""Judging fine-tuning files: each thing that can be wrong has its code and its line."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from server.chat.messages import Message, Tool, ToolCall
from training.cli import app
from training.conversation import Conversation
from training.data.argument_faults import argument_faults
from training.data.arguments import ArgumentsError, read_arguments
from training.data.category import category_of
from training.data.record import Record
from training.data.validation import InvalidDataError, require_valid, validate_file

from .lines import WEATHER, call, calls, line, result, says, user, write_lines


def codes_of(tmp_path: Path, *lines: Any) -> list[tuple[int, str]]:
    verdict = validate_file(write_lines(tmp_path / "data.jsonl", *lines))
    return [(fault.line, fault.code) for fault in verdict.faults if fault.code != "few-records"]


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}


def test_a_right_line_has_no_faults(tmp_path: Path) -> None:
    assert codes_of(tmp_path, line()) == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("{oops", "not-json"),
        ("[]", "not-an-object"),
        ({"tools": []}, "missing-field"),
        (line({"role": "robot", "content": "x"}), "wrong-form"),
        (line(user(), calls(call(arguments={"city": "Oslo"}))), "arguments-not-text"),  # type: ignore[arg-type]
        (line(user(), calls(call(arguments="{city: Oslo}"))), "arguments-not-json"),
        (line(user(), calls(call(arguments='{"city":"Oslo","days":NaN}'))), "arguments-not-json"),
        (line(user(), calls(call(arguments='{"city":"Oslo","city":"Rome"}'))), "arguments-not-json"),
        (line(user(), calls(call(arguments='"{\\"city\\":\\"Oslo\\"}"'))), "arguments-encoded-twice"),
        (line(user(), calls(call(arguments='["Oslo"]'))), "arguments-not-an-object"),
        (line(user(), calls(call(arguments='{"days":2}'))), "invalid-arguments"),
        (line(user(), calls(call(arguments='{"city":"Oslo","days":0}'))), "invalid-arguments"),
        (line(user(), calls(call(arguments='{"city":"Oslo","sky":1}'))), "unknown-parameter"),
        (line(user(), calls(call(name="weather"))), "unknown-tool"),
        (line(user(), says(), user()), "not-last"),
        (line(user(), user()), "no-assistant"),
        (line(says(), user(), says()), "first-speaker"),
        (line(user(), says(), {"role": "system", "content": "x"}, user(), says()), "late-system"),
        (line(user(), user(), says()), "two-in-a-row"),
        (line(user(), says(), says()), "two-in-a-row"),
        (line(user(), says("")), "empty-answer"),
        (line(user(""), says()), "empty-message"),
        (line(user(), calls(call()), result("c2"), says()), "unmatched-id"),
        (line(user(), calls(call()), {"role": "tool", "content": "x"}, says()), "no-id"),
        (line(user(), result(), says()), "unmatched-id"),
        (line(user(), calls(call()), says()), "unanswered-call"),
        (line(user(), calls(call(), call())), "duplicate-id"),
        (line(user(), calls(call()), result(), calls(call())), "reused-id"),
        (line(user(), calls(call("a"), call("b")), parallel_tool_calls=False), "parallel-calls"),
        (line({**user(), "tool_calls": [call()]}, says()), "misplaced-calls"),
        (line(user(), says(weight=0)), "no-weight"),
        (line(user(), says(weight=2)), "wrong-form"),
        (line({**user(), "weight": 1}, says()), "misplaced-weight"),
        (line(user(), says(), tools=[WEATHER, WEATHER]), "duplicate-tool"),
        (line(user(), says(), tools=[tool(type="array")]), "not-an-object"),
        (line(user(), says(), tools=[tool(type="objekt")]), "invalid-schema"),
        (line(user(), says(), tools=[tool(type="object", properties=None, required=None)]), "invalid-schema"),
        (line(user(), says(), tools=[tool(type="object", properties={"city": {}}, required=None)]), "invalid-schema"),
        (line(user(), says(), tools=[{"type": "function", "function": {"name": "get weather"}}]), "wrong-form"),
        (line(mood="good"), "unknown-field"),
        (line(user(), {**says(), "function_call": {"name": "x"}}), "old-functions"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(wrong: Any, code: str, tmp_path: Path) -> None:
    assert (2, code) in codes_of(tmp_path, line(), wrong)
    assert all(number == 2 for number, _ in codes_of(tmp_path, line(), wrong))


def test_a_repeated_line_names_the_first(tmp_path: Path) -> None:
    assert codes_of(tmp_path, line(id="1"), line(user("Hi"), says()), line(id="2")) == [(3, "repeated")]


def test_an_empty_file_is_invalid(tmp_path: Path) -> None:
    assert codes_of(tmp_path) == [(0, "empty-file")]


def test_a_schema_that_no_grammar_can_hold_is_a_warning(tmp_path: Path) -> None:
    hard = tool(type="object", properties={"city": {"type": "array", "uniqueItems": True}})
    verdict = validate_file(write_lines(tmp_path / "a.jsonl", line(user(), says(), tools=[hard])))
    assert [fault.code for fault in verdict.warnings] == ["no-grammar", "few-records"]
    assert not verdict.errors


def test_bytes_that_are_no_utf8_are_told(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"messages": "\xff"}\n')
    assert [fault.code for fault in validate_file(path).errors] == ["not-json", "empty-file"]


@pytest.mark.parametrize(
    ("messages", "category"),
    [
        ((user(), calls(call()), result(), says()), "single_call"),
        ((user(), calls(call("a"), call("b"))), "parallel"),
        ((user(), calls(call("a")), result("a"), calls(call("b"))), "chain"),
        ((user(), calls(call("a")), result("a", '{"error": "no"}'), calls(call("b"))), "error_recovery"),
        ((user(), says("Where?"), user("Oslo"), calls(call())), "clarification"),
        ((user(), says()), "no_tool"),
        ((user(), calls(call(), weight=0), result(), says()), "answer"),
    ],
)
def test_the_category_is_read_off_the_form(messages: Any, category: str) -> None:
    assert category_of(Record.model_validate(line(*messages))) == category
    assert category_of(Record.model_validate(line(*messages, category="mine"))) == "mine"


def test_coverage_counts_tools_parameters_and_values(tmp_path: Path) -> None:
    lines = [line(user(city), calls(call(arguments=json.dumps({"city": city})))) for city in ("Oslo", "Rome", "Oslo.")]
    coverage = validate_file(write_lines(tmp_path / "a.jsonl", *lines)).coverage
    assert coverage.as_json()["tools"]["get_weather"] == {
        "offered": 3,
        "called": 3,
        "parameters": {
            "city": {"required": True, "used": 3, "values": 3},
            "days": {"required": False, "used": 0, "values": 0},
        },
    }
    assert coverage.gaps() == ["get_weather: days never given"]


def test_training_refuses_invalid_data(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", line(), line(user(), calls(call(name="weather"))))
    with pytest.raises(InvalidDataError, match="line 2: error unknown-tool"):
        require_valid(path)


def test_a_record_reads_as_a_conversation() -> None:
    value = line(
        user(), calls(call()), result(), says([{"type": "text", "text": "Sun"}, {"type": "text", "text": "!"}])
    )  # type: ignore[arg-type]
    function = WEATHER["function"]
    assert Record.model_validate(value).conversation() == Conversation(
        (
            Message("user", "What is the weather in Oslo?"),
            Message("assistant", None, (ToolCall("get_weather", '{"city":"Oslo"}', "c1"),)),
            Message("tool", '{"sky":"clear"}', tool_call_id="c1"),
            Message("assistant", "Sun!"),
        ),
        (Tool("get_weather", function["parameters"], function["description"]),),
    )


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_an_object_or_refused(text: str) -> None:
    with contextlib.suppress(ArgumentsError):
        assert read_arguments(text) == json.loads(text)


ANY = st.none() | st.integers(-2, 2) | st.text(max_size=3)


@given(st.dictionaries(st.sampled_from(["city", "days", "x"]), ANY))
def test_quick_and_guarded_judgement_agree(arguments: Any) -> None:
    schema = WEATHER["function"]["parameters"]
    guarded = {**schema, "$comment": "sends the same schema the guarded way"}
    assert argument_faults(schema, arguments) == argument_faults(guarded, arguments)


def test_a_schema_that_leads_elsewhere_is_not_followed() -> None:
    (fault,) = argument_faults({"properties": {"a": {"$ref": "https://example.org/schema"}}}, {"a": 1})
    assert "not checked to the end" in fault


def trammel(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


def test_the_exit_code_is_for_ci(tmp_path: Path) -> None:
    good, bad = write_lines(tmp_path / "good.jsonl", line()), write_lines(tmp_path / "bad.jsonl", "{")
    assert trammel("validate", str(good)).exit_code == 0
    assert trammel("validate", str(good), "--strict").exit_code == 1, "few-records is a warning"
    assert trammel("validate", str(bad)).exit_code == 1
    assert trammel("validate", str(tmp_path / "none")).exit_code == 2


def test_the_verdict_is_told_as_text_and_as_json(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "bad.jsonl", line(), line(user(), calls(call(arguments="{}"))))
    text = trammel("validate", str(path)).stdout
    assert "line 2: error invalid-arguments messages[1].tool_calls[0].function.arguments: get_weather:" in text
    assert "INVALID; 2 records, 1 errors" in text
    verdict = json.loads(trammel("validate", str(path), "--json").stdout)
    assert (verdict["valid"], verdict["errors"], verdict["categories"]) == (False, 1, {"single_call": 2})
    assert verdict["faults"][0]["line"] == 2


def test_preference_lines_are_judged_as_such(tmp_path: Path) -> None:
    given = {"messages": [user()], "tools": [WEATHER]}
    pair = {"input": given, "preferred_output": [calls(call())], "non_preferred_output": [says("No idea.")]}
    good = write_lines(tmp_path / "good.jsonl", pair)
    assert trammel("validate", str(good)).exit_code == 0, trammel("validate", str(good)).output
    wrong = {**pair, "preferred_output": [calls(call(arguments="{}"))]}
    told = trammel("validate", str(write_lines(tmp_path / "bad.jsonl", wrong)))
    assert told.exit_code == 1
    assert "preferred_output: messages[1]" in told.output


def test_tools_that_can_judge_nothing_are_refused(tmp_path: Path) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([WEATHER]))
    refused = trammel("validate", str(write_lines(tmp_path / "good.jsonl", line())), "--tools", str(tools))
    assert refused.exit_code == 2
    assert "Python types" in refused.output

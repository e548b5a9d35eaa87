"""The template generator: its examples are valid, say what they call with, and are the same for the same seed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.training.openapi_sample import OPENAPI
from training.cli import app
from training.data.category import CATEGORIES
from training.data.checks import Checks
from training.data.record import Record
from training.data.validation import validate_file
from training.generate import generator
from training.generate.generator import GenerateError, GenerateSettings, generate, write_generated
from training.generate.plan import DEFAULT_SHARES, Plan, parse_shares
from training.generate.slots import DrawError, draw_slots, make_slot, said
from training.tools import Tool, ToolParameter, load_tools, tool_from_function
from training.tools.examples import EXAMPLE_TOOLS

TOOLS = load_tools("search,calculate,send_email")
OTHERS = [tool for tool in EXAMPLE_TOOLS if tool not in TOOLS]


def made(count: int = 60, tools: Any = TOOLS, **changes: Any) -> list[dict[str, Any]]:
    return list(generate(GenerateSettings(tools, count, **{"others": OTHERS, **changes})))


def free_values(line: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Every text and number in a learnt call, with all that was said before it."""
    found: list[tuple[str, list[str]]] = []
    before: list[str] = []
    for message in line["messages"]:
        for call in message.get("tool_calls", ()) if message.get("weight") != 0 else ():
            values = json.loads(call["function"]["arguments"]).values()
            found += [(str(value), list(before)) for value in values if not isinstance(value, bool | list | dict)]
        before.append(message.get("content") or "")
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_example_is_valid_and_says_what_it_calls_with(seed: int) -> None:
    for number, line in enumerate(made(seed=seed)):
        faults = list(Checks().check(Record.model_validate(line), number))
        assert [str(fault) for fault in faults] == []
        for value, before in free_values(line):
            assert any(value in text for text in before), (value, line["messages"])


def test_the_shares_hold_at_every_length() -> None:
    for count in (1, 7, 20, 50, 200):
        plan = Plan(DEFAULT_SHARES, ["a", "b", "c"])
        steps = [plan.next() for _ in range(count)]
        for category, share in DEFAULT_SHARES.items():
            assert abs(sum(c == category for c, _ in steps) - share * count) < 1
    tools = Counter(steps)
    for category in DEFAULT_SHARES:
        counts = [tools[category, tool] for tool in ("a", "b", "c")]
        assert max(counts) - min(counts) <= 1


def test_all_categories_are_there_and_told_by_their_form() -> None:
    lines = made(80)
    assert {line["category"] for line in lines} == set(CATEGORIES) - {"chat"}
    for line in lines:
        calling = [message for message in line["messages"] if message.get("tool_calls")]
        first = next(message for message in line["messages"] if message["role"] == "assistant")
        match line["category"]:
            case "no_tool":
                assert not calling
            case "clarification":
                assert first["expects"] == "ask"
                assert "?" in first["content"]
            case "parallel":
                assert len(calling[0]["tool_calls"]) > 1
            case "chain":
                assert len(calling) == 2
            case "answer":
                assert [message["weight"] for message in calling] == [0]
            case "error_recovery":
                result = next(message for message in line["messages"] if message["role"] == "tool")
                assert "error" in result["content"]


def test_what_clarification_asks_for_was_not_said_before() -> None:
    for line in made(30, shares={"clarification": 1.0}):
        users = [message["content"] for message in line["messages"] if message["role"] == "user"]
        call = next(message for message in line["messages"] if message.get("tool_calls"))["tool_calls"][0]
        values = [str(value) for value in json.loads(call["function"]["arguments"]).values()]
        assert any(value not in users[0] for value in values)


def test_a_wrong_call_is_not_learnt() -> None:
    lines = made(60, [tool for tool in EXAMPLE_TOOLS if tool.name == "get_weather"], shares={"error_recovery": 1.0})
    unlearnt = [m for line in lines for m in line["messages"] if m.get("tool_calls") and m.get("weight") == 0]
    assert unlearnt
    assert len({line["messages"][-1]["content"] for line in lines}) > 20


def test_a_tool_that_might_do_it_is_never_a_distractor() -> None:
    for line in made(40, shares={"no_tool": 1.0}, seed=3):
        names = {tool["function"]["name"].lower() for tool in line["tools"]}
        wish = next(message["content"] for message in line["messages"] if message["role"] == "user")
        if "emind me" in wish:
            assert "set_reminder" not in names


def test_the_same_seed_makes_the_same_and_no_example_twice() -> None:
    one = made(120, seed=5)
    assert one == made(120, seed=5)
    assert one[:50] == made(50, seed=5)
    assert one != made(120, seed=6)
    assert len({json.dumps([line["messages"], line["tools"]]) for line in one}) == 120


def test_renamed_tools_are_renamed_everywhere() -> None:
    names = {tool.name for tool in EXAMPLE_TOOLS}
    lines = made(40, renamed=1.0)
    assert sum(tool["function"]["name"] not in names for line in lines for tool in line["tools"]) > 80
    assert all(tool["function"]["name"] in names for line in made(40, renamed=0.0) for tool in line["tools"])


def book(where: list[str], nights: int, breakfast: bool = False, note: str | None = None) -> None:
    """Book rooms.

    Args:
        where: Cities
    """


@pytest.mark.parametrize(
    "tools",
    [
        [tool_from_function(book)],
        [Tool("ping", "See whether a host answers.", [ToolParameter("host", examples=["example.org", "10.0.0.7"])])],
        load_tools("search,calculate"),
    ],
)
def test_any_tool_can_be_made_examples_for(tools: list[Tool]) -> None:
    for number, line in enumerate(made(40, tools)):
        assert not [fault for fault in Checks().check(Record.model_validate(line), number) if fault.is_error]


def test_operations_of_an_api_can_be_made_examples_for(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(json.dumps(OPENAPI))
    lines = made(30, load_tools(f"{tmp_path}/api.json"))
    assert {"get_pets_id", "update_pet"} <= {tool["function"]["name"] for line in lines for tool in line["tools"]}


SIMPLE = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])}, optional={"minimum": st.integers(-50, 50)}
) | st.fixed_dictionaries(
    {"type": st.just("string")}, optional={"format": st.sampled_from(["date", "time", "date-time", "email", "uuid"])}
)


@settings(max_examples=60)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), SIMPLE, min_size=1, max_size=4), st.randoms())
def test_drawn_arguments_satisfy_their_schema(properties: Any, rng: Any) -> None:
    tool = Tool("f", schema={"properties": properties, "required": list(properties)})
    slots = draw_slots(tool, properties, rng)
    assert set(slots) == set(properties)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_any_value_can_be_said(value: Any) -> None:
    assert isinstance(said(value), str)
    assert make_slot("some_name", value).value is value


def test_what_cant_be_drawn_is_told() -> None:
    tool = Tool("f", schema={"properties": {"a": {"type": "string", "pattern": "^[0-9]{8}$"}}, "required": ["a"]})
    with pytest.raises(GenerateError, match="examples"):
        made(5, [tool])
    with pytest.raises(DrawError, match="does not match"):
        draw_slots(tool, ["a"], __import__("random").Random(0))


def test_more_examples_than_there_are_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_ATTEMPTS", 1)
    ping = Tool("ping", "Ping.", simulate=lambda: {"ok": True})
    with pytest.raises(GenerateError, match="no more different ones"):
        made(300, [ping], shares={"single_call": 1.0}, others=(), distractors=0, renamed=0.0)


def write(output: Path, count: int = 30, **changes: Any) -> Any:
    *_, stats = write_generated(GenerateSettings(TOOLS, count, others=OTHERS), output, **changes)
    return stats


def test_a_broken_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    write(whole)
    broken.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])
    stats = write(broken)
    assert 0 < stats.found < stats.count == 30
    assert broken.read_bytes() == whole.read_bytes()
    assert write(broken).found == 30
    write(broken, 40)
    assert broken.read_bytes().startswith(whole.read_bytes())


def test_a_file_made_otherwise_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path)
    before = path.read_bytes()
    with pytest.raises(GenerateError, match="other settings"):
        list(write_generated(GenerateSettings(TOOLS, 30, seed=1), path))
    with pytest.raises(GenerateError, match="already"):
        write(path, 10)
    assert path.read_bytes() == before
    list(write_generated(GenerateSettings(TOOLS, 10, seed=1), path, fresh=True))
    assert len(path.read_text().splitlines()) == 10


@pytest.mark.parametrize("content", [b'{"mine": 1}', b'{"mine": 1}\n{"mine": 2}', b'{"mine": 1}\n', b"\xff\xfe"])
def test_somebodys_own_file_is_not_touched_whatever_it_ends_with(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    with pytest.raises(GenerateError, match="other settings"):
        write(path)
    assert path.read_bytes() == content


def test_shares_are_read() -> None:
    assert parse_shares("chain=3, parallel") == {"chain": 3.0, "parallel": 1.0}
    for wrong in ("chains", "chain=0", "chain=x", ""):
        with pytest.raises(ValueError):
            parse_shares(wrong)


def test_the_command_makes_a_valid_file_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    arguments = ["data", "generate", "--tools", "search,calculate,send_email", "--output", str(path)]
    result = CliRunner().invoke(app, [*arguments, "--num-examples", "20"])
    assert result.exit_code == 0, result.output
    assert "20 examples" in result.stdout
    verdict = validate_file(path)
    assert (verdict.errors, verdict.warnings, verdict.coverage.records) == ([], [], 20)
    again = CliRunner().invoke(app, [*arguments, "--num-examples", "25", "--plain"])
    assert again.exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--num-examples", "25", "--plain", "--fresh"]).exit_code == 0
    assert set(json.loads(path.read_text().splitlines()[0])) == {"messages", "tools"}
    assert CliRunner().invoke(app, ["data", "generate", "--tools", "nothing"]).exit_code == 2

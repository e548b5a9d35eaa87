"""Fine-tuning lines as cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.case import GoldCall
from evals.suites.lines import SuiteError, read_lines

TOOLS = [{"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}]
CALL = {
    "id": "1",
    "type": "function",
    "function": {"name": "book", "arguments": '{"city":"Rome"}'},
    "variants": {"city": ["Rome", "Roma"]},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "Where to?", "expects": "ask", "weight": 1},
    {"role": "user", "content": "Rome"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "x"},
    {"role": "assistant", "content": "done"},
]


def write(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_every_assistant_turn_is_a_case_with_its_history(tmp_path: Path) -> None:
    ask, call, talk = read_lines(write(tmp_path, {"messages": MESSAGES, "tools": TOOLS, "seen": True}))
    assert [(case.expects, len(case.messages)) for case in (ask, call, talk)] == [("ask", 1), ("call", 3), ("talk", 5)]
    assert call.gold == (GoldCall("book", {"city": "Rome"}, {"city": ["Rome", "Roma"]}),)
    assert (call.suite, call.group, call.id) == ("gold", "seen", "1/3")
    assert call.tools == TOOLS


def test_nothing_the_evaluator_knows_is_sent(tmp_path: Path) -> None:
    *_, talk = read_lines(write(tmp_path, {"messages": MESSAGES, "tools": TOOLS}))
    assert talk.messages[1] == {"role": "assistant", "content": "Where to?"}
    assert set(talk.messages[3]["tool_calls"][0]) == {"id", "type", "function"}


def test_without_tools_no_choice_is_expected(tmp_path: Path) -> None:
    (case,) = read_lines(write(tmp_path, {"messages": [MESSAGES[0], {"role": "assistant", "content": "b"}]}))
    assert (case.expects, case.group) == ("any", "all")


def test_groups_and_names_can_be_given_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    line = {"messages": [MESSAGES[0], {"role": "assistant", "content": "b"}], "group": "g", "id": "x"}
    (case,) = read_lines(write(tmp_path, "\n", line), suite="mine")
    assert (case.suite, case.group, case.id) == ("mine", "g", "x/1")


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, "all"),
        ({"seen": False}, "unseen"),
        ({"category": "parallel"}, "parallel"),
        ({"seen": True, "category": "parallel"}, "seen/parallel"),
        ({"group": "g", "seen": True}, "g"),
    ],
)
def test_groups_are_what_a_line_says_of_itself(tmp_path: Path, fields: dict[str, Any], group: str) -> None:
    (case,) = read_lines(write(tmp_path, {"messages": [MESSAGES[0], MESSAGES[5]], "tools": None, **fields}))
    assert case.group == group


def test_turns_that_are_not_learnt_are_not_asked_for(tmp_path: Path) -> None:
    messages = [MESSAGES[0], {**MESSAGES[1], "weight": 0}, *MESSAGES[2:]]
    cases = list(read_lines(write(tmp_path, {"messages": messages, "tools": TOOLS})))
    assert [len(case.messages) for case in cases] == [3, 5]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{oops\n", "line 2: "),
        ({"messages": []}, "line 2: messages"),
        ({"messages": [{"role": "king"}]}, "line 2: messages.0.role"),
        ({"messages": [{"role": "user"}], "tools": [{}]}, "line 2: tools.0.function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
            "line 2: messages.0.tool_calls.0.function.arguments",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: Any, told: str) -> None:
    path = write(tmp_path, {"messages": MESSAGES}, line)
    with pytest.raises(SuiteError, match=told):
        list(read_lines(path))

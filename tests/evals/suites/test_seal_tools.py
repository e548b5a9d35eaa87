"""Seal-Tools' questions as cases: a few of ours, and the published ones where they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.conformance import conforms
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data
from evals.suites.seal_tools import read_folder


def api(name: str, **types: str) -> dict[str, Any]:
    parameters = {key: {"type": kind, "description": "d"} for key, kind in types.items()}
    return {"api_name": name, "api_description": "d", "parameters": parameters, "required": list(types)[:1]}


def question(number: int, **arguments: Any) -> dict[str, Any]:
    return {"id": f"dev-{number}", "query": "q", "calling": [{"api": "get Air", "parameters": arguments}]}


def write(folder: Path, questions: list[dict[str, Any]]) -> None:
    tools = [api("get Air", place="str", hours="int"), *(api(f"other{number}", x="float") for number in range(20))]
    (folder / "tool.jsonl").write_text("".join(json.dumps(tool) + "\n" for tool in tools))
    (folder / "dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in questions))


def test_a_question_has_ten_tools_the_right_one_among_them(tmp_path: Path) -> None:
    both = {"id": "two", "query": "q", "calling": [
        {"api": "get Air", "parameters": {"place": "a"}}, {"api": "other3", "parameters": {"x": 1.5}},
    ]}  # fmt: skip
    write(tmp_path, [question(1, place="Rome", hours=2), both])
    one, several = read_folder(tmp_path)
    names = [tool["function"]["name"] for tool in one.tools]
    assert len(set(names)) == 10
    assert "get_Air" in names
    assert one.gold[0].arguments == {"place": "Rome", "hours": 2}
    assert (one.group, several.group) == ("one call", "several calls")
    assert [case.tools for case in read_folder(tmp_path)] == [one.tools, several.tools]


def test_calls_that_need_results_or_break_their_types_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, [question(1, place="API_call_0"), question(2, place="a", hours="2"), question(3, wrong="a")])
    assert list(read_folder(tmp_path)) == []


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"holds no tool\.jsonl"):
        list(read_folder(tmp_path))
    write(tmp_path, [])
    (tmp_path / "dev.jsonl").write_text("{oops\n")
    with pytest.raises(SuiteError, match="line 1"):
        list(read_folder(tmp_path))


def test_the_published_questions_are_read_and_their_calls_fit() -> None:
    try:
        folder = find_data(("seal-tools",), None)
    except SuiteError as error:
        pytest.skip(f"NOT RUN: {error}")
    cases = list(read_folder(folder))
    assert len(cases) > 550
    for case in cases:
        for call in case.gold:
            assert conforms(call.arguments, case.schema_of(call.name) or False)

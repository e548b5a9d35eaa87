"""Our own scenarios and tasks: they can be solved, and by what the conversation and the tools give."""

from collections import Counter
from pathlib import Path

import pytest

from evals.case import Case
from evals.conformance import conforms
from evals.endpoint import Answer, Client, Endpoint
from evals.judging import Step
from evals.provenance import trace_values
from evals.record import Record
from evals.run import Column, Episode
from evals.suites.catalog import find_suite
from evals.suites.lines import SuiteError
from evals.suites.scenarios import read_file, read_scenarios, read_tasks
from evals.worlds import WORLDS

SCENARIOS, TASKS = read_scenarios(), read_tasks()
CALLED = [case for case in SCENARIOS if case.gold]
COMPUTED = {"dates", "numbers", "flags"}
"""Categories whose values are said in other words than they are given in."""


def test_there_are_enough_of_every_kind() -> None:
    assert sum(case.id.startswith("office/") for case in SCENARIOS) >= 20
    assert sum(not case.id.startswith("office/") for case in SCENARIOS) >= 80
    assert len(TASKS) >= 20
    categories = Counter(case.group for case in SCENARIOS)
    assert min(categories.values()) >= 2
    assert {"single", "ask", "talk", "parallel", "multi-turn", "from-result", "recovery"} <= set(categories)


def test_no_two_have_the_same_name() -> None:
    for suite in (SCENARIOS, TASKS):
        names = Counter(case.id for case in suite)
        assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("case", CALLED, ids=lambda case: case.id)
def test_gold_calls_are_valid_and_the_world_takes_them(case: Case) -> None:
    assert case.task
    world = WORLDS[case.task.world].enter(case.task.state)
    for call in case.gold:
        assert conforms(call.arguments, case.schema_of(call.name) or False)
        assert "error" not in world.call(call.name, call.arguments)


@pytest.mark.parametrize("case", [case for case in CALLED if case.group not in COMPUTED], ids=lambda case: case.id)
def test_no_value_of_a_gold_call_is_invented(case: Case) -> None:
    for call in case.gold:
        assert "invented" not in trace_values(call.arguments, case.schema_of(call.name) or {}, case.messages)


def test_what_is_asked_for_is_required_by_some_tool() -> None:
    """A scenario that expects a question has a tool that can't be called without an answer to it."""
    for case in SCENARIOS:
        if case.expects == "ask":
            assert any(tool["function"]["parameters"]["required"] for tool in case.tools)


def test_a_result_in_the_history_is_the_worlds_own() -> None:
    case = next(case for case in SCENARIOS if case.id == "shop/placed")
    assert '"id":"A4"' in case.messages[-1]["content"]
    assert case.task
    assert len(case.task.state["orders"]) == 4


@pytest.mark.parametrize("case", TASKS, ids=lambda case: case.id)
def test_a_task_is_not_passed_by_doing_nothing_unless_it_only_asks(case: Case) -> None:
    assert case.task
    untouched = WORLDS[case.task.world].enter(case.task.state)
    column = Column(Client(Endpoint("a", "http://h/v1")), "m")
    silent = [Step(case.messages, Answer({"content": "Done."}))]
    assert Record.of(Episode(column, case, 0, silent, untouched)).scores["pass"] == (0, 1)
    solved = WORLDS[case.task.world].enter({**case.task.state, **(case.task.final or {})})
    told = [Step(case.messages, Answer({"content": " ".join(case.task.says)}))]
    assert Record.of(Episode(column, case, 0, told, solved)).scores["pass"] == (1, 1)


def test_scenarios_of_ones_own_are_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "world: home\nscenarios:\n"
        "  - {id: a, category: c, user: Heat to 21, calls: [set_thermostat: {celsius: {any: [21, 21.5]}}]}\n"
        "  - {id: b, user: Heat to 22, solution: [set_thermostat: {celsius: 22}]}\n"
    )
    single, task = find_suite(str(path), None)
    assert (single.suite, single.id, single.group) == ("mine", "home/a", "c")
    assert single.gold[0].variants == {"celsius": [21.5]}
    assert task.task
    assert task.task.final
    assert task.task.final["thermostat"] == {"celsius": 22}
    assert task.task.steps == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("world: [", "is not YAML"),
        ("world: mars\nscenarios: []", "no world 'mars'"),
        ("world: home\nscenarios: [{id: a, user: b}]", "exactly one of"),
        ("world: home\nscenarios: [{id: a, user: b, ask: true, talk: true}]", "exactly one of"),
        ("world: home\nscenarios: [{id: a, wrong: 1}]", "scenarios.0"),
        ("world: home\nscenarios: [{id: a, user: b, solution: [fly: {}]}]", "the solution fails at fly"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=told):
        read_file(path)

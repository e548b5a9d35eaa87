"""The figures of a replay, against cases counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from evals.replay import Outcome, Turn, judge, read_turns, replay, summarise

GOLD = {"function": {"name": "book", "arguments": '{"city":"Rome","people":2}'}, "variants": {"city": ["Rome", "Roma"]}}


def answer(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": name, "arguments": json.dumps(arguments)}}]}


def turn(gold: dict[str, Any] | None = GOLD) -> Turn:
    return Turn([{"role": "user", "content": "q"}], [], gold, is_seen=False)


@pytest.mark.parametrize(
    ("given", "right", "exact"),
    [
        (answer("book", city="Rome", people=2), 2, True),
        (answer("book", city="roma", people="2"), 2, True),
        (answer("book", city="Paris", people=2), 1, False),
        (answer("book", city="Rome"), 1, False),
        (answer("book", city="Rome", people=2, more=1), 2, False),
        (answer("cancel", city="Rome", people=2), 0, False),
    ],
)
def test_a_call_is_judged_by_name_arguments_and_whole(given: dict[str, Any], right: int, exact: bool) -> None:
    outcome = judge(turn(), given)
    assert (outcome.arguments, outcome.arguments_right, outcome.exact) == (2, right, exact)


@pytest.mark.parametrize("gold", [GOLD, None])
@pytest.mark.parametrize("given", [answer("book"), {"content": "hello"}])
def test_the_choice_is_judged_whatever_was_said(gold: dict[str, Any] | None, given: dict[str, Any]) -> None:
    outcome = judge(turn(gold), given)
    assert (outcome.should_call, outcome.called) == (gold is not None, "tool_calls" in given)


def test_shares_are_of_the_cases_they_speak_about() -> None:
    outcomes = [
        Outcome(True, True, False, name_right=True, arguments=2, arguments_right=1),
        Outcome(True, True, False, name_right=True, arguments=2, arguments_right=2, exact=True),
        Outcome(False, True, False),
        Outcome(False, False, False),
    ]
    assert summarise(outcomes) == {
        "choice call/talk": (0.75, 4),
        "tool name, where called": (1.0, 2),
        "arguments, where called": (0.75, 4),
        "whole call, where called": (0.5, 2),
        "whole call, where due": (1 / 3, 3),
        "errors": (0.0, 4),
    }


def test_every_assistant_turn_is_asked_for_with_its_history(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", **GOLD}]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "assistant", "content": "done"},
    ]
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps({"messages": messages, "seen": True}))
    first, second = read_turns(path)
    assert first.gold
    assert len(first.history) == 1
    assert second.gold is None
    assert "variants" not in second.history[1]["tool_calls"][0]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text('{"messages": []}\n{oops\n')
    with pytest.raises(ValueError, match="line 2"):
        list(read_turns(path))


def test_a_real_endpoint_is_asked_and_its_errors_are_counted(server_url: str) -> None:
    client = OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0)
    (outcome,) = replay(client, "trammel-tiny", [turn(None)], parallel=1)
    assert outcome.error == ""
    (outcome,) = replay(client, "no-such-model", [turn(None)], parallel=1)
    assert "does not exist" in outcome.error

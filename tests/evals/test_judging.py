"""Every metric on answers small enough to judge by hand."""

import json
from typing import Any

import pytest

from evals.case import Case, GoldCall
from evals.endpoint import Answer
from evals.judging import Step, judge, tool_scores

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "book", "parameters": PARAMETERS}}]
USER = {"role": "user", "content": "Book Rome for 2"}
GOLD = GoldCall("book", {"city": "Rome", "people": 2})


def case(**fields: Any) -> Case:
    return Case("1", "s", "g", [USER], **{"tools": TOOLS, **fields})


def call(arguments: Any, name: str = "book") -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": text}}


def step(*calls: dict[str, Any], content: str | None = None, reason: str = "stop") -> Step:
    return Step([USER], Answer({"content": content, "tool_calls": list(calls)}, reason))


@pytest.mark.parametrize(
    ("calls", "errors"),
    [
        ([call({"city": "Rome"})], (0, 1)),
        ([call('{"city": "Ro')], (1, 1)),
        ([call({"city": 3})], (1, 1)),
        ([call({})], (1, 1)),
        ([call({"anything": 1}, "unknown")], (0, 1)),
        ([call({"city": "Rome"}), call({"city": "Rome", "people": "two"})], (1, 2)),
    ],
)
def test_a_syntax_error_is_what_is_no_json_or_not_valid(calls: list[Any], errors: tuple[int, int]) -> None:
    assert judge(case(), [step(*calls)])["syntax errors"] == errors


@pytest.mark.parametrize("torn", ['<tool_call>{"name": "book", "argu', '{"name": "book", "parameters": {"city"'])
def test_a_call_that_stayed_text_is_a_syntax_error(torn: str) -> None:
    assert judge(case(), [step(content=torn)])["syntax errors"] == (1, 1)
    assert "syntax errors" not in judge(case(tools=[]), [step(content=torn)])


def test_plain_text_has_no_syntax_to_err_in() -> None:
    assert judge(case(), [step(content="Hello.")]) == {"cut off": (0, 1)}


def test_invented_names_and_keys() -> None:
    scores = judge(case(), [step(call({"city": "Rome", "town": "x"}), call({"a": 1}, "fly"))])
    assert scores["invented names"] == (1, 2)
    assert scores["invented keys"] == (1, 2)


@pytest.mark.parametrize("open_", [{"additionalProperties": True}, {"anyOf": [{"required": ["x"]}]}])
def test_an_open_schema_has_no_invented_keys(open_: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": "book", "parameters": {**PARAMETERS, **open_}}}]
    assert "invented keys" not in judge(case(tools=tools), [step(call({"x": 1}))])


def test_a_repeat_is_the_same_call_again_in_the_answer_or_in_the_history() -> None:
    rome, oslo = call({"city": "Rome"}), call({"city": "Oslo"})
    assert judge(case(), [step(rome, oslo, call({"city": "Rome", "people": 1}))])["repeated calls"] == (0, 3)
    assert judge(case(), [step(rome), step(oslo), step(rome)])["repeated calls"] == (1, 3)
    history = Case("1", "s", "g", [USER, {"role": "assistant", "tool_calls": [rome]}], TOOLS)
    assert judge(history, [step(rome)])["repeated calls"] == (1, 1)


def test_values_are_traced_over_all_calls() -> None:
    scores = judge(case(), [step(call({"city": "Rome", "people": 5}))])
    assert scores["values from user"] == (1, 2)
    assert scores["values from invented"] == (1, 2)


@pytest.mark.parametrize(
    ("expects", "answer", "scores"),
    [
        ("call", step(call({})), {"choice": 1, "called when due": 1, "asked needlessly": 0}),
        ("call", step(content="Which city?"), {"choice": 0, "called when due": 0, "asked needlessly": 1}),
        ("ask", step(content="Which city?"), {"choice": 1, "talked when due": 1, "asked when missing": 1}),
        ("ask", step(content="Fine."), {"choice": 1, "talked when due": 1, "asked when missing": 0}),
        ("ask", step(call({}), content="?"), {"choice": 0, "talked when due": 0, "asked when missing": 0}),
        ("talk", step(content="Hello"), {"choice": 1, "talked when due": 1}),
        ("talk", step(call({})), {"choice": 0, "talked when due": 0}),
        ("any", step(call({})), {}),
    ],
)
def test_the_choice_to_call_ask_or_talk(expects: Any, answer: Step, scores: dict[str, int]) -> None:
    all_choices = {"choice", "called when due", "talked when due", "asked needlessly", "asked when missing"}
    judged = judge(case(expects=expects), [answer])
    assert {name: score for name, score in judged.items() if name in all_choices} == {
        name: (value, 1) for name, value in scores.items()
    }


@pytest.mark.parametrize(
    ("arguments", "exact", "fuzzy", "functional", "right"),
    [
        ({"city": "rome", "people": 2}, 1, 1, 1, 2),
        ({"city": "Rome", "people": 3}, 0, 1, 1, 1),  # likeness 50/52
        ({"city": "Rome"}, 0, 0, 1, 1),  # {"city":"Rome"} in {"city":"Rome","people":2}: 30/41
        ({"people": 12345678901234567890}, 0, 0, 0, 0),
    ],
)
def test_matches_loosen_from_exact_to_functional(
    arguments: Any, exact: int, fuzzy: int, functional: int, right: int
) -> None:
    scores = judge(case(gold=(GOLD,)), [step(call(arguments))])
    assert [scores[f"{kind} match"][0] for kind in ("exact", "fuzzy", "functional")] == [exact, fuzzy, functional]
    assert scores["arguments"] == (right, 2)
    assert scores["tool names"] == (1, 1)


def test_where_nothing_was_called_arguments_are_not_spoken_of() -> None:
    scores = judge(case(gold=(GOLD,)), [step(content="Hello")])
    assert scores["exact match"] == (0, 1)
    assert "arguments" not in scores
    assert tool_scores(case(gold=(GOLD,)), [step(content="Hello")]) == {}


def test_of_two_calls_one_missing_is_half_the_arguments_and_no_match() -> None:
    gold = (GOLD, GoldCall("book", {"city": "Oslo", "people": 1}))
    scores = judge(case(gold=gold), [step(call({"city": "Oslo", "people": 1}))])
    assert scores["as many calls"] == (0, 1)
    assert scores["exact match"] == (0, 1)
    assert scores["tool names"] == (1, 2)
    assert scores["arguments"] == (2, 4)
    assert tool_scores(case(gold=gold), [step(call({"city": "Oslo", "people": 1}))]) == {
        "book": (2, 4), "book(city)": (1, 2), "book(people)": (1, 2),
    }  # fmt: skip


@pytest.mark.parametrize(("text", "share"), [('{"city": "Rome"}', 1), ('{"city": 3}', 0), ("Rome", 0), ("", 0)])
def test_an_answer_conforms_to_its_schema(text: str, share: int) -> None:
    scores = judge(case(schema=PARAMETERS), [step(content=text)])
    assert scores["schema conformance"] == scores["conformance where finished"] == (share, 1)


def test_an_answer_cut_off_does_not_conform_and_is_told_apart() -> None:
    scores = judge(case(schema=PARAMETERS), [step(content='{"city": "Ro', reason="length")])
    assert scores["schema conformance"] == (0, 1)
    assert "conformance where finished" not in scores


def test_a_schema_that_cannot_be_judged_by_gives_no_score() -> None:
    for content in ("1", "no JSON"):  # else only what is wrong would count
        assert "schema conformance" not in judge(case(schema={"type": "nothing"}), [step(content=content)])


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("The answer is 1,234.", 1),
        ("1234", 1),
        ("She has 18 and 1,234.50", 0),
        ("12345", 0),
        ("1234 or 7", 0),
        ("none", 0),
    ],
)
def test_a_number_is_the_last_one_that_is_said(text: str, share: int) -> None:
    assert judge(case(accepts=("1,234",)), [step(content=text)])["short answer"] == (share, 1)


@pytest.mark.parametrize(("text", "share"), [("It is Rome.", 1), ("ROME", 1), ("Romeo", 0), ("Paris", 0)])
def test_a_short_answer_is_held_as_whole_words(text: str, share: int) -> None:
    assert judge(case(accepts=("rome", "roma")), [step(content=text)])["short answer"] == (share, 1)


def test_answers_cut_off_are_counted() -> None:
    assert judge(case(), [step(call({"city": "Rome"})), step(content="a", reason="length")])["cut off"] == (1, 2)

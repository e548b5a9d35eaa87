"""Figures of a run, computed by hand."""

from pathlib import Path
from typing import Any

import pytest

from evals.comparison import compare
from evals.record import Record
from evals.summary import (
    LOWER_IS_BETTER,
    METRICS,
    NEITHER_IS_BETTER,
    Price,
    differences,
    read_prices,
    summarise,
    tool_shares,
)


def record(case: str, endpoint: str = "a", *, grammar: Any = "on", **fields: Any) -> Record:
    return Record(endpoint, grammar, "s", "g", case, 0, **fields)


def exact(endpoint: str, *hits: int) -> list[Record]:
    return [record(str(number), endpoint, scores={"exact match": (hit, 1)}) for number, hit in enumerate(hits)]


def test_a_column_is_an_endpoint_with_or_without_its_grammar() -> None:
    records = [record("1"), record("1", grammar="off"), record("2"), record("1", "b")]
    summaries = summarise(records)
    assert [(summary.column, summary.cases) for summary in summaries] == [("a", 2), ("a, no grammar", 1), ("b", 1)]


def test_the_figures_of_a_column() -> None:
    records = [
        record("1", scores={"syntax errors": (1, 4)}, latencies=[1.0, 3.0], prompt_tokens=600, completion_tokens=100,
               calls=4, tools={"f": (1, 2)}),
        record("2", scores={"syntax errors": (0, 1), "exact match": (1, 1)}, latencies=[2.0], prompt_tokens=400,
               calls=1, tools={"f": (2, 2), "e": (0, 1)}),
        record("3", error="down"),
    ]  # fmt: skip
    (summary,) = summarise(records, {"a": Price(prompt=10, completion=50)})
    assert summary.shares["syntax errors"].value == 1 / 5
    assert summary.shares["syntax errors"].count == 5
    assert set(summary.shares) == {"syntax errors", "exact match"}
    assert (summary.cases, summary.errors, summary.calls) == (3, 1, 5)
    assert (summary.latency_p50, summary.latency_p95) == (2.0, pytest.approx(2.9))
    assert (summary.prompt_tokens, summary.completion_tokens) == (1000, 100)
    assert summary.cost_per_1000_calls == pytest.approx((1000 * 10 + 100 * 50) / 1e6 / 5 * 1000)
    shares = tool_shares(records)
    assert {tool: share.value for tool, share in shares.items()} == {"e": 0, "f": 3 / 4}


def test_a_case_asked_with_several_seeds_is_one_piece_of_evidence() -> None:
    def asked(endpoint: str, hit: int) -> list[Record]:
        return [
            Record(endpoint, "on", "s", "g", str(case), seed, {"exact match": (hit, 1)}, {"f": (hit, 1)})
            for case in range(10)
            for seed in range(5)
        ]  # fmt: skip

    (summary,) = summarise(asked("a", 0))
    assert summary.shares["exact match"].count == 50
    assert summary.shares["exact match"].high == pytest.approx(0.2775, abs=1e-4)  # Wilson's for 10, not for 50
    assert tool_shares(asked("a", 0))["f"].high == pytest.approx(0.2775, abs=1e-4)
    (difference,) = differences(asked("a", 0), asked("b", 1))
    assert difference.cases == 10
    assert difference.p == pytest.approx(2 / 1024, abs=0.0015)


def test_turns_of_one_conversation_are_no_evidence_of_their_own() -> None:
    def talks(endpoint: str, part: int) -> list[Record]:
        return [
            record(f"{talk}/{turn}", endpoint, conversation=str(talk), scores={"exact match": (part, 1)})
            for talk in range(10)
            for turn in range(1, 2 + talk % 3)
        ]

    (summary,) = summarise(talks("a", 0))
    assert summary.shares["exact match"].count == 19
    assert summary.shares["exact match"].high == pytest.approx(0.2775, abs=1e-4)  # Wilson's for 10, not for 19
    (difference,) = differences(talks("a", 0), talks("b", 1))
    assert (difference.cases, difference.change) == (10, 1)
    assert difference.p == pytest.approx(2 / 1024, abs=0.0015)


def test_without_calls_or_prices_nothing_is_paid() -> None:
    assert summarise([record("1")])[0].cost_per_1000_calls == 0
    assert summarise([record("1", calls=2, prompt_tokens=9)])[0].cost_per_1000_calls == 0


def test_prices_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("[hosted]\nprompt = 0.5\ncompletion = 2\n")
    assert read_prices(path) == {"hosted": Price(prompt=0.5, completion=2)}
    for wrong in ("[hosted]\nprompts = 1", "[hosted]\nprompt = -1", "hosted"):
        path.write_text(wrong)
        with pytest.raises(ValueError):
            read_prices(path)


def test_a_difference_is_over_the_cases_both_speak_of() -> None:
    first, second = exact("a", *[0] * 12, 1), exact("b", *[1] * 12, 1)
    second.append(record("99", "b", scores={"exact match": (0, 1)}))
    (difference,) = differences(first, second)
    assert (difference.first, difference.second, difference.cases) == ("a", "b", 13)
    assert difference.change == pytest.approx(12 / 13)
    assert difference.p < 0.01
    assert difference.verdict == "better"
    (back,) = differences(second, first)
    assert back.verdict == "worse"


def test_less_is_better_where_it_is_about_errors_and_chance_is_no_verdict() -> None:
    first = [record(str(n), scores={"syntax errors": (1, 1), "values from user": (1, 1)}) for n in range(12)]
    second = [record(str(n), "b", scores={"syntax errors": (0, 1), "values from user": (0, 1)}) for n in range(12)]
    verdicts = {difference.metric: difference.verdict for difference in differences(first, second)}
    assert verdicts == {"syntax errors": "better", "values from user": ""}
    assert differences(exact("a", 0, 1), exact("b", 1, 1))[0].verdict == ""


def test_every_metric_named_apart_is_one() -> None:
    assert set(METRICS) >= LOWER_IS_BETTER | NEITHER_IS_BETTER
    assert len(set(METRICS)) == len(METRICS)


def test_what_got_better_and_worse_case_by_case() -> None:
    comparison = compare(exact("a", 0, 1, 1, 0), exact("b", 1, 0, 1, 1)[:3])
    assert comparison.cases == 3
    assert [(change.first.case, change.verdict, change.metric) for change in comparison.changes] == [
        ("0", "better", "exact match"), ("1", "worse", "exact match"),
    ]  # fmt: skip
    assert (comparison.count("better"), comparison.count("worse")) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second", "metric"),
    [
        ({"pass": (0, 1), "exact match": (1, 1)}, {"pass": (1, 1), "exact match": (0, 1)}, "pass"),
        ({"pass": (1, 1), "exact match": (1, 1)}, {"pass": (1, 1), "exact match": (0, 1)}, None),
        ({"exact match": (0, 1), "choice": (0, 1)}, {"exact match": (0, 1), "choice": (1, 1)}, None),
        ({"exact match": (0, 1), "choice": (1, 1)}, {"exact match": (1, 1), "choice": (1, 1)}, "exact match"),
        ({"choice": (0, 1)}, {"choice": (1, 1)}, "choice"),
        ({"pass": (0, 1)}, {}, None),
    ],
)  # fmt: skip
def test_a_case_is_as_good_as_its_deciding_metric(first: Any, second: Any, metric: str | None) -> None:
    changes = compare([record("1", scores=first)], [record("1", "b", scores=second)]).changes
    assert [change.metric for change in changes] == ([metric] if metric else [])

"""Answers on disk."""

from pathlib import Path

import pytest

from evals.endpoint import Answer, Endpoint
from evals.journal import Journal, JournalError

A, B = Endpoint("a", "http://h/v1"), Endpoint("b", "http://h/v1")
BODY = {"model": "m", "messages": []}
ANSWER = Answer({"content": "é\n"}, "stop", 0.25, 3, 4)


def test_an_answer_is_found_again_in_another_process(tmp_path: Path) -> None:
    with Journal(tmp_path / "run" / "answers.jsonl") as journal:
        journal.keep(A, BODY, ANSWER)
        assert journal.find(A, BODY) == ANSWER
    with Journal(tmp_path / "run" / "answers.jsonl") as journal:
        assert journal.find(A, dict(reversed(BODY.items()))) == ANSWER
        assert journal.find(B, BODY) is None
        assert journal.find(A, {**BODY, "seed": 1}) is None


def test_errors_are_not_kept(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.jsonl") as journal:
        journal.keep(A, BODY, Answer({}, error="down"))
        assert journal.find(A, BODY) is None
    assert (tmp_path / "answers.jsonl").read_text() == ""


def test_a_line_cut_short_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path) as journal:
        for seed in range(3):
            journal.keep(A, {"seed": seed}, ANSWER)
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(path) as journal:
        assert len(journal) == 2
        journal.keep(A, {"seed": 2}, ANSWER)
    with Journal(path) as journal:
        assert [journal.find(A, {"seed": seed}) for seed in range(3)] == [ANSWER] * 3


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"my": "data"}\n')
    with pytest.raises(JournalError, match="line 1"):
        Journal(path)
    assert path.read_text() == '{"my": "data"}\n'

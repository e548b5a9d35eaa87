"""Short questions as cases: ours, and the public ones where they are."""

import json
from pathlib import Path

import pytest

from evals.suites.chat import read_chat, read_folder
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data
from training.corpus import general

TRIVIA = """
#Q What is the capital
of Peru?
^ Lima
A Quito
B Lima

#Q Which of the following is a river?
^ Rhine
A Rhine

#Q Why?
^ Because it has always been like that
A No

#Q Broken
"""


def test_questions_that_stand_alone_are_asked_openly(tmp_path: Path) -> None:
    (tmp_path / "trivia" / "categories").mkdir(parents=True)
    (tmp_path / "trivia" / "categories" / "world").write_text(TRIVIA)
    (case,) = read_folder(tmp_path)
    assert case.messages == [{"role": "user", "content": "What is the capital of Peru? Answer in a few words."}]
    assert (case.accepts, case.group, case.tools) == (("Lima",), "trivia/world/seen", [])


def test_arithmetic_is_judged_by_its_result(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    line = {"question": "3 and 4?", "answer": "3+4 = <<3+4=7>>7\n#### 7"}
    (tmp_path / "gsm8k" / "train.jsonl").write_text(json.dumps(line) + "\n")
    (case,) = read_folder(tmp_path)
    assert (case.accepts, case.group) == (("7",), "arithmetic/unseen")


def test_talk_is_judged_whole(tmp_path: Path) -> None:
    (tmp_path / "persona" / "data").mkdir(parents=True)
    head = "user 1 personas,user 2 personas,Best Generated Conversation"
    rows = f'{head}\n"a","b","User 1: Hi!\nUser 2: Hello."\n"a","b",""\n'
    (tmp_path / "persona" / "data" / "x_test.csv").write_text(rows)
    (case,) = read_folder(tmp_path)
    assert (case.text, case.group, case.messages) == ("User 1: Hi! User 2: Hello.", "talk/unseen", [])


def test_an_empty_folder_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="holds neither"):
        read_folder(tmp_path)


def test_thousands_of_public_questions_are_read() -> None:
    try:
        find_data(("chat",), None)
    except SuiteError as error:
        pytest.skip(f"NOT RUN: {error}")
    cases = read_chat()
    assert sum(case.group.startswith("trivia") for case in cases) > 3000
    assert sum(case.group.startswith("arithmetic") for case in cases) > 7000
    assert 0.08 < sum(case.group.endswith("unseen") for case in cases) / len(cases) < 0.25


def test_what_training_keeps_back_is_what_is_asked_as_unseen(tmp_path: Path) -> None:
    questions = [f"What is {number} and {number}?" for number in range(300)]
    (tmp_path / "trivia" / "categories").mkdir(parents=True)
    (tmp_path / "trivia" / "categories" / "sums").write_text("".join(f"#Q {q}\n^ Some\n\n" for q in questions))
    data = tmp_path / "gsm8k" / "grade_school_math" / "data"
    data.mkdir(parents=True)
    sums = [{"question": q, "answer": "It is <<1+1=2>>2.\n#### 2"} for q in questions]
    (data / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in sums))
    trained = {c.messages[0].content for c in (*general.read_trivia(tmp_path), *general.read_calculations(tmp_path))}
    cases = read_folder(tmp_path)
    asked = {
        standing: {
            str(c.messages[0]["content"]).removesuffix(" Answer in a few words.")
            for c in cases
            if c.group.endswith(f"/{standing}")
        }
        for standing in ("seen", "unseen")
    }
    assert trained == asked["seen"]
    assert asked["seen"] | asked["unseen"] == set(questions)
    assert 15 < len(asked["unseen"]) < 50

"""Short questions as cases: ours, and the public ones where they are."""

import json
from pathlib import Path

import pytest

from evals.suites.chat import read_chat, read_folder
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

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
    assert (case.accepts, case.group, case.tools) == (("Lima",), "trivia/world", [])


def test_arithmetic_is_judged_by_its_result(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    line = {"question": "3 and 4?", "answer": "3+4 = <<3+4=7>>7\n#### 7"}
    (tmp_path / "gsm8k" / "train.jsonl").write_text(json.dumps(line) + "\n")
    (case,) = read_folder(tmp_path)
    assert (case.accepts, case.group) == (("7",), "arithmetic")


def test_talk_is_judged_whole(tmp_path: Path) -> None:
    (tmp_path / "persona" / "data").mkdir(parents=True)
    head = "user 1 personas,user 2 personas,Best Generated Conversation"
    rows = f'{head}\n"a","b","User 1: Hi!\nUser 2: Hello."\n"a","b",""\n'
    (tmp_path / "persona" / "data" / "x_test.csv").write_text(rows)
    (case,) = read_folder(tmp_path)
    assert (case.text, case.group, case.messages) == ("User 1: Hi! User 2: Hello.", "talk", [])


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
    assert sum(case.group == "arithmetic" for case in cases) > 7000

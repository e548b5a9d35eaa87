"""BFCL's files as cases: small ones of our own, and the published ones where they are."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals.suites.bfcl import read_bfcl, read_folder
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data


def write(folder: Path, category: str, answer: Any = None, name: str = "f.g") -> None:
    parameters = {"type": "dict", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    task = {
        "id": f"{category}_0",
        "question": [[{"role": "user", "content": "Do it"}]],
        "function": [{"name": name, "description": "d", "parameters": parameters}],
    }
    (folder / f"BFCL_v4_{category}.json").write_text(json.dumps(task) + "\n")
    if answer is not None:
        (folder / "possible_answer").mkdir(exist_ok=True)
        line = json.dumps({"id": f"{category}_0", "ground_truth": answer})
        (folder / "possible_answer" / f"BFCL_v4_{category}.json").write_text(line + "\n")


def test_categories_say_what_is_expected_and_by_which_language(tmp_path: Path) -> None:
    answer = [{"f.g": {"x": [1]}}]
    for category in ("simple_python", "simple_java", "simple_javascript", "parallel", "live_simple"):
        write(tmp_path, category, answer)
    for category in ("irrelevance", "live_irrelevance", "live_relevance"):
        write(tmp_path, category)
    cases = {case.group: case for case in read_folder(tmp_path)}
    assert {group: case.expects for group, case in cases.items()} == {
        "simple_python": "call", "simple_java": "call", "simple_javascript": "call", "parallel": "call",
        "irrelevance": "talk", "live_simple/other": "call", "live_irrelevance/other": "talk",
        "live_relevance/other": "call",
    }  # fmt: skip
    assert [cases[f"simple_{language}"].language for language in ("python", "java", "javascript")] == [
        "python", "java", "javascript",
    ]  # fmt: skip
    assert cases["parallel"].possible == tuple(answer)
    assert cases["irrelevance"].possible is cases["live_relevance/other"].possible is None
    assert cases["simple_python"].tools[0]["function"]["name"] == "f_g"


def test_functions_of_sgd_are_a_group_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "live_multiple", [{"Hotels_4_SearchHotel": {"x": [1]}}], "Hotels_4_SearchHotel")
    (case,) = read_folder(tmp_path)
    assert case.group == "live_multiple/sgd"


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no BFCL_v4"):
        list(read_folder(tmp_path))
    write(tmp_path, "parallel")
    with pytest.raises(SuiteError, match="no answer to parallel_0"):
        list(read_folder(tmp_path))
    (tmp_path / "BFCL_v4_parallel.json").write_text("{oops\n")
    with pytest.raises(SuiteError, match="line 1"):
        list(read_folder(tmp_path))
    with pytest.raises(SuiteError, match="none of bfcl, bfcl-half is in"):
        read_bfcl(tmp_path)


def test_every_published_task_is_read_and_its_tools_can_be_asked_with() -> None:
    try:
        folder = find_data(("bfcl", "bfcl-half"), None)
    except SuiteError as error:
        pytest.skip(f"NOT RUN: {error}")
    cases = list(read_folder(folder))
    assert len(cases) > 1500
    names = [tool["function"]["name"] for case in cases for tool in case.tools]
    assert [name for name in names if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name)] == []
    groups = Counter(case.group for case in cases)
    assert groups["live_multiple/sgd"] > groups["live_multiple/other"] > 0

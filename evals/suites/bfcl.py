"""The single-turn categories of the Berkeley Function Calling Leaderboard, v4.

Source: https://github.com/ShishirPatil/gorilla (Apache-2.0), `BFCL_v4_*.json` with `possible_answer/`; never part of
this repository, and not to be trained on. Tasks that offer functions of the Schema-Guided Dialogue corpus are a group
of their own (`…/sgd`), because that corpus is what small models, ours too, are trained on.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from evals.bfcl.tools import tool_of
from evals.case import Case, Expectation, Json, Language
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

_FOLDERS = ("bfcl", "bfcl-half")
_CATEGORIES: dict[str, Expectation] = {
    "simple_python": "call", "simple_java": "call", "simple_javascript": "call", "multiple": "call", "parallel": "call",
    "parallel_multiple": "call", "irrelevance": "talk", "live_simple": "call", "live_multiple": "call",
    "live_parallel": "call", "live_parallel_multiple": "call", "live_irrelevance": "talk", "live_relevance": "call",
}  # fmt: skip
_SGD = re.compile(r"[A-Z][A-Za-z]*_\d+_[A-Z][A-Za-z]+")
"""SGD's services are numbered: Flights_4_SearchOnewayFlight."""


def read_bfcl(data: Path | None = None) -> list[Case]:
    """The Berkeley leaderboard's single-turn categories, calls matched by its rules."""
    return list(read_folder(find_data(_FOLDERS, data)))


def read_folder(folder: Path) -> Iterator[Case]:
    """All categories that a folder has. Raises: SuiteError."""
    found = False
    for category, expects in _CATEGORIES.items():
        path = folder / f"BFCL_v4_{category}.json"
        if path.is_file():
            found = True
            yield from _cases(path, category, expects)
    if not found:
        raise SuiteError(f"{folder} holds no BFCL_v4_*.json")


def _cases(path: Path, category: str, expects: Expectation) -> Iterator[Case]:
    answers = path.parent / "possible_answer" / path.name
    possible = {line["id"]: line["ground_truth"] for line in _lines(answers)} if answers.is_file() else {}
    language: Language = "python"
    if category.endswith(("_java", "_javascript")):
        language = "java" if category.endswith("_java") else "javascript"
    is_matched = expects == "call" and category != "live_relevance"
    for line in _lines(path):
        if is_matched and line["id"] not in possible:
            raise SuiteError(f"{answers} has no answer to {line['id']}")
        yield Case(
            id=line["id"],
            suite="bfcl",
            group=_group(category, line["function"]),
            messages=line["question"][0],
            tools=[tool_of(function, language) for function in line["function"]],
            expects=expects,
            possible=tuple(possible[line["id"]]) if is_matched else None,
            functions=tuple(line["function"]),
            language=language,
        )


def _group(category: str, functions: list[Json]) -> str:
    if not category.startswith("live_"):
        return category
    is_sgd = any(_SGD.fullmatch(function["name"]) for function in functions)
    return f"{category}/{'sgd' if is_sgd else 'other'}"


def _lines(path: Path) -> Iterator[Json]:
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield json.loads(text)
        except ValueError as error:
            raise SuiteError(f"{path}, line {number}: {error}") from error

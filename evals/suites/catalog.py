"""Suites by name, or by the path of a file."""

import random
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

from evals.case import Case
from evals.suites.bfcl import read_bfcl
from evals.suites.chat import read_chat
from evals.suites.lines import SuiteError, read_lines
from evals.suites.public_data import DataMissingError
from evals.suites.scenarios import read_file, read_scenarios, read_tasks
from evals.suites.schemas import read_schemas
from evals.suites.seal_tools import read_seal_tools

SUITES: dict[str, Callable[[Path | None], list[Case]]] = {
    "scenarios": read_scenarios,
    "tasks": read_tasks,
    "bfcl": read_bfcl,
    "seal-tools": read_seal_tools,
    "schema": read_schemas,
    "chat": read_chat,
}
"""Name to its reader, which takes the folder of public data, or None where the environment says which."""


def find_suite(name: str, data: Path | None) -> list[Case]:
    """The cases of a suite by its name, or of a file. Raises: SuiteError, OSError."""
    if name in SUITES:
        return SUITES[name](data)
    path = Path(name)
    match path.suffix:
        case ".jsonl":
            return list(read_lines(path))
        case ".yaml" | ".yml":
            return read_file(path)
        case _:
            raise SuiteError(f"there is no suite {name!r}: it is one of {', '.join(SUITES)}, or a .jsonl or .yaml file")


def find_suites(names: list[str], data: Path | None, warn: Callable[[str], None]) -> list[list[Case]]:
    """The cases of each; those whose data are not here are left out loudly. Raises: SuiteError, OSError."""
    found = []
    for name in names:
        try:
            found.append(find_suite(name, data))
        except DataMissingError as error:
            warn(f"NOT RUN: suite {name}: {error}")
    return found


def draw(cases: list[Case], limit: int | None, seed: int) -> list[Case]:
    """At most `limit` of the cases, drawn at random, in their order; from each kind by turns, so none is missed."""
    if limit is None or limit >= len(cases):
        return cases
    kinds: dict[str, list[int]] = {}
    for index in random.Random(seed).sample(range(len(cases)), len(cases)):
        kinds.setdefault(cases[index].group.split("/")[0], []).append(index)
    turns = [index for turn in zip_longest(*kinds.values()) for index in turn if index is not None]
    return [cases[index] for index in sorted(turns[:limit])]

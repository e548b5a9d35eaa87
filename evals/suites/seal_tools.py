"""Single questions over thousands of made-up APIs, one call or several, chosen among ten tools.

Source: Seal-Tools (https://github.com/fairyshine/Seal-Tools, Apache-2.0), `tool.jsonl` and `dev.jsonl`. Left out are
questions whose calls need each other's results, and those whose right calls do not fit the tools' own types.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.case import Case, GoldCall, Json
from evals.conformance import conforms
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_OFFERED = 10
"""Tools in a case: the right ones, and others drawn at random, the same every time."""
_RESULT = re.compile(r"API_call_\d+")


def read_seal_tools(data: Path | None = None) -> list[Case]:
    """Questions over 4,076 made-up APIs, one call or several, ten tools in each (Seal-Tools)."""
    return list(read_folder(find_data(("seal-tools",), data)))


def read_folder(folder: Path) -> Iterator[Case]:
    """Raises: SuiteError."""
    files = {name: next(folder.rglob(name), None) for name in ("tool.jsonl", "dev.jsonl")}
    if not files["tool.jsonl"] or not files["dev.jsonl"]:
        raise SuiteError(f"{folder} holds no tool.jsonl and dev.jsonl")
    tools = {line["api_name"]: _tool(line) for line in _lines(files["tool.jsonl"])}
    for line in _lines(files["dev.jsonl"]):
        gold = tuple(GoldCall(_name(call["api"]), call["parameters"]) for call in line["calling"])
        offered = _offered([call["api"] for call in line["calling"]], tools, line["id"])
        case = Case(
            id=line["id"],
            suite="seal-tools",
            group="one call" if len(gold) == 1 else "several calls",
            messages=[{"role": "user", "content": line["query"]}],
            tools=offered,
            expects="call",
            gold=gold,
        )
        if all(_is_usable(call, case) for call in gold):
            yield case


def _is_usable(call: GoldCall, case: Case) -> bool:
    schema = case.schema_of(call.name)
    text = json.dumps(call.arguments)
    return schema is not None and not _RESULT.search(text) and bool(conforms(call.arguments, schema))


def _offered(right: list[str], tools: dict[str, Json], seed: str) -> list[Json]:
    """In an order that does not tell which are right."""
    names = set(right) & set(tools)
    rng = random.Random(seed)
    others = rng.sample(sorted(set(tools) - names), max(0, min(_OFFERED, len(tools)) - len(names)))
    chosen = [*sorted(names), *others]
    rng.shuffle(chosen)
    return [tools[name] for name in chosen]


def _tool(line: Json) -> Json:
    properties: dict[str, Any] = {
        name: {"type": _TYPES.get(parameter["type"], "string"), "description": parameter["description"]}
        for name, parameter in line["parameters"].items()
    }
    parameters = {
        "type": "object",
        "properties": properties,
        "required": line["required"],
        "additionalProperties": False,
    }
    function = {"name": _name(line["api_name"]), "description": line["api_description"], "parameters": parameters}
    return {"type": "function", "function": function}


def _name(name: str) -> str:
    """As requests may carry it."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)


def _lines(path: Path | None) -> Iterator[Json]:
    assert path
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield json.loads(text)
        except ValueError as error:
            raise SuiteError(f"{path}, line {number}: {error}") from error

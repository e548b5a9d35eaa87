"""Seal-Tools' 4,076 tools and 700 queries with the tools that answer them (https://github.com/fairyshine/Seal-Tools)."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.tools.definition import CallContext, ToolDefinition
from server.tools.retrieval.words import spaced

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody wants, and the names of the tools that are needed for it."""

    text: str
    tools: frozenset[str]


def read_tools(folder: Path) -> dict[str, ToolDefinition]:
    """By name."""
    lines = (folder / "Seal-Tools_Dataset" / "tool.jsonl").read_text(encoding="utf-8").splitlines()
    tools = (_tool(json.loads(line)) for line in lines)
    return {tool.name: tool for tool in tools}


def read_queries(folder: Path) -> list[Query]:
    lines = (folder / "Seal-Tools_Dataset" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    rows = (json.loads(line) for line in lines)
    return [Query(row["query"], frozenset(call["api"] for call in row["calling"])) for row in rows]


def draw(
    tools: Mapping[str, ToolDefinition], queries: list[Query], size: int, seed: int
) -> tuple[dict[str, ToolDefinition], list[Query]]:
    """`size` tools, four fifths of them those of queries drawn at random, with these queries."""
    source = random.Random(seed)
    names: set[str] = set()
    chosen = []
    for query in source.sample(queries, len(queries)):
        if len(names | query.tools) <= size * 4 // 5:
            names |= query.tools
            chosen.append(query)
    others = [name for name in sorted(tools) if name not in names]
    names |= set(source.sample(others, size - len(names)))
    return {name: tools[name] for name in sorted(names)}, chosen


def synthetic(tools: Mapping[str, ToolDefinition], size: int) -> dict[str, ToolDefinition]:
    """As many tools as wanted, each made of the words of two real ones."""
    source = random.Random(0)
    real = list(tools.values())
    made = {}
    for number in range(size):
        one, other = source.sample(real, 2)
        name = f"{one.name}_{number}"
        description = f"{one.description} {other.description}"
        made[name] = ToolDefinition(name, other.parameters, _nothing, description, keywords=one.keywords)
    return made


async def _nothing(arguments: dict[str, Any], context: CallContext) -> None:
    """They are found, never called."""


def _tool(row: dict[str, Any]) -> ToolDefinition:
    properties = {
        name: {"type": _TYPES.get(said.get("type", "str"), "string"), "description": said.get("description", "")}
        for name, said in row["parameters"].items()
    }
    schema = {"type": "object", "properties": properties, "required": row.get("required", [])}
    results = " ".join(f"{spaced(name)} {said.get('description', '')}" for name, said in row["responses"].items())
    return ToolDefinition(
        row["api_name"], schema, _nothing, row["api_description"], keywords=f"{row['field']} {results}"
    )

"""The data: MaskBench's schemas and instances, and JSON Schema's own test suite."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One schema with instances: (value, whether the schema admits it)."""

    name: str
    schema: Any
    instances: tuple[tuple[Any, bool], ...]


def maskbench(folder: Path, every: int) -> Iterator[Case]:
    """Every n-th schema, in the order of their names."""
    for path in sorted(folder.rglob("*.json"))[::every]:
        content = json.loads(path.read_text())
        instances = tuple((test["data"], bool(test["valid"])) for test in content["tests"])
        yield Case(path.stem, content["schema"], instances)


def suite(folder: Path, part: str = "") -> Iterator[Case]:
    """The groups of draft 2020-12's required tests, or of a part such as optional/format."""
    tests = next(p for p in (folder / "tests" / "draft2020-12", folder / "draft2020-12") if p.is_dir())
    for path in sorted((tests / part).glob("*.json")):
        for group in json.loads(path.read_text()):
            instances = tuple((test["data"], bool(test["valid"])) for test in group["tests"])
            yield Case(f"{path.stem}: {group['description']}", group["schema"], instances)

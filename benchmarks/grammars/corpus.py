"""The data: MaskBench's schemas and instances, and JSON Schema's own test suite, unpacked outside of the repository."""

import json
import os
import tarfile
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


def find(name: str, data: Path | None) -> Path:
    """The folder of a data set; its archive is unpacked into the user's cache. Raises: FileNotFoundError."""
    root = data or Path(os.environ.get("TRAMMEL_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    if (root / name).is_dir():
        return root / name
    archive = root / f"{name}.tar.xz"
    if not archive.is_file():
        raise FileNotFoundError(f"neither {root / name} nor {archive} is there; set TRAMMEL_DATA")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trammel" / "data"
    if not (cache / name).is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(cache, filter="data")
    return cache / name


def maskbench(folder: Path, every: int) -> Iterator[Case]:
    """Every n-th schema, in the order of their names."""
    for path in sorted(folder.rglob("*.json"))[::every]:
        content = json.loads(path.read_text())
        instances = tuple((test["data"], bool(test["valid"])) for test in content["tests"])
        yield Case(path.stem, content["schema"], instances)


def suite(folder: Path) -> Iterator[Case]:
    """The groups of draft 2020-12's required tests."""
    tests = next(p for p in (folder / "tests" / "draft2020-12", folder / "draft2020-12") if p.is_dir())
    for path in sorted(tests.glob("*.json")):
        for group in json.loads(path.read_text()):
            instances = tuple((test["data"], bool(test["valid"])) for test in group["tests"])
            yield Case(f"{path.stem}: {group['description']}", group["schema"], instances)

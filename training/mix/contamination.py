"""What a training file has in common with an evaluation file: names, schemas, calls, runs of words.

A record of the evaluation counts as contaminated when half or more of what user or assistant say in one message stands
in the training file, in runs of eight words.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data.record import Json, Record, written
from training.data.validation import read_lines
from training.mix.words import fingerprint, ngrams, normalised

NGRAM = 8
"""Words in a run."""
_SHORTEST = 4
"""Texts of fewer words say "thank you" and the like, and tell nothing."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A text of the evaluation that the training file has, wholly or in part."""

    line: int
    """In the evaluation."""
    other: int
    """The first line of the training file with a run of it."""
    share: float
    """Of its runs."""
    text: str


@dataclass(slots=True)
class Contamination:
    """All that is common."""

    records: int = 0
    """Of the evaluation."""
    contaminated: set[int] = field(default_factory=set)
    """Their lines."""
    overlaps: list[Overlap] = field(default_factory=list)
    """Texts with half of their runs or more in the training file, the worst first."""
    tools: int = 0
    """Different names in the evaluation."""
    names: list[str] = field(default_factory=list)
    """Those that the training file has too."""
    schemas: list[str] = field(default_factory=list)
    """Names whose parameters have the same names, types and choices as some tool of the training file's."""
    calls: int = 0
    same_calls: int = 0
    """Calls of the evaluation that stand in the training file, arguments and all."""

    @property
    def share(self) -> float:
        return len(self.contaminated) / max(1, self.records)

    def as_json(self) -> dict[str, Any]:
        overlaps = [{"line": o.line, "other": o.other, "share": o.share, "text": o.text} for o in self.overlaps]
        return {
            "records": self.records, "contaminated": sorted(self.contaminated), "share": self.share,
            "tools": self.tools, "names": self.names, "schemas": self.schemas,
            "calls": self.calls, "same_calls": self.same_calls, "overlaps": overlaps,
        }  # fmt: skip


@dataclass(slots=True)
class _Index:
    """Of the training file."""

    runs: dict[int, int] = field(default_factory=dict)
    """To the first line that has it."""
    names: set[str] = field(default_factory=set)
    schemas: set[int] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)


def find_contamination(train: Path, evaluation: Path, size: int = NGRAM) -> Contamination:
    """Raises: InvalidDataError, OSError."""
    index = _Index()
    for number, line in read_lines(train):
        record = Record.model_validate(line)
        for text in _texts(record):
            for run in ngrams(normalised(text), size):
                index.runs.setdefault(run, number)
        for tool in record.tools or ():
            index.names.add(tool.function.name)
            index.schemas.add(_shape(tool.function.parameters))
        index.calls.update(_calls(record))
    found = Contamination()
    schemas: dict[str, int] = {}
    for number, line in read_lines(evaluation):
        record = Record.model_validate(line)
        found.records += 1
        for tool in record.tools or ():
            schemas[tool.function.name] = _shape(tool.function.parameters)
        calls = list(_calls(record))
        found.calls += len(calls)
        found.same_calls += sum(call in index.calls for call in calls)
        for overlap in _overlaps(record, number, index, size):
            found.overlaps.append(overlap)
            found.contaminated.add(number)
    found.tools = len(schemas)
    found.names = sorted(set(schemas) & index.names)
    found.schemas = sorted(name for name, shape in schemas.items() if shape in index.schemas)
    found.overlaps.sort(key=lambda overlap: -overlap.share)
    return found


def contamination_text(found: Contamination, most: int = 10) -> str:
    """As people read it."""
    lines = [
        f"line {o.line} and training line {o.other}: {o.share:.0%} of {o.text[:90]!r}" for o in found.overlaps[:most]
    ]
    if len(found.overlaps) > most:
        lines.append(f"… and {len(found.overlaps) - most} texts more (--json has all)")
    return "\n".join([
        *lines,
        f"records with a text that was trained on: {len(found.contaminated)} of {found.records} ({found.share:.1%})",
        f"names of tools in common: {len(found.names)} of {found.tools} {_few(found.names)}",
        f"schemas in common: {len(found.schemas)} of {found.tools} {_few(found.schemas)}",
        f"calls in common: {found.same_calls} of {found.calls}",
    ])  # fmt: skip


def _overlaps(record: Record, number: int, index: _Index, size: int) -> Iterator[Overlap]:
    for text in _texts(record):
        runs = list(ngrams(normalised(text), size))
        lines = [index.runs[run] for run in runs if run in index.runs]
        if runs and len(lines) * 2 >= len(runs):
            other, _ = Counter(lines).most_common(1)[0]
            yield Overlap(number, other, len(lines) / len(runs), text)


def _texts(record: Record) -> Iterator[str]:
    """What user and assistant say at some length; results and system texts repeat by nature."""
    for message in record.messages:
        if message.role in ("user", "assistant") and len(normalised(message.text)) >= _SHORTEST:
            yield message.text


def _calls(record: Record) -> Iterator[int]:
    for message in record.messages:
        for call in message.tool_calls or ():
            try:
                arguments = json.dumps(json.loads(call.function.arguments), sort_keys=True)
            except ValueError:
                arguments = call.function.arguments
            yield fingerprint(f"{call.function.name} {arguments}")


def _shape(parameters: Json) -> int:
    """The same for schemas that differ in order and words of description only."""
    return fingerprint(written({"shape": _without_words(parameters)}))


_WORDS = ("title", "description", "examples", "default", "required")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose keys are names, not keywords."""


def _without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key not in _WORDS}
        return {
            key: {name: _without_words(inner) for name, inner in sorted(kept[key].items())}
            if key in _BY_NAME and isinstance(kept[key], dict)
            else _without_words(kept[key])
            for key in sorted(kept)
        }
    return [_without_words(item) for item in schema] if isinstance(schema, list) else schema


def _few(names: list[str]) -> str:
    return f"({', '.join(names[:6])}{', …' if len(names) > 6 else ''})" if names else ""

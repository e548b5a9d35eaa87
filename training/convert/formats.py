"""All formats by name, and the conversion from one to another by way of records."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from training.convert.builder import ConvertError
from training.convert.flat import read_flat, write_flat
from training.convert.glaive import read_glaive, write_glaive
from training.convert.sgd import read_sgd, write_sgd
from training.convert.sharegpt import read_sharegpt, write_sharegpt
from training.convert.star import read_star, write_star
from training.convert.taskmaster import read_taskmaster, write_taskmaster
from training.convert.toolbench import read_toolbench, write_toolbench
from training.data.checks import Checks
from training.data.record import Json, Record, plain_json, written

FormatName = Literal["openai", "flat", "sharegpt", "glaive", "toolbench", "sgd", "star", "taskmaster4"]
ReadAll = Callable[[Path], Iterator[Record | ConvertError]]
WriteAll = Callable[[Iterable[Record], Path], Iterator[ConvertError | None]]


@dataclass(slots=True)
class Conversion:
    """What came of it."""

    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Reasons, the first of a conversation counts."""


def convert(
    source: Path, target: Path, read_as: FormatName, write_as: FormatName, *, plain: bool = False, invalid: bool = False
) -> Iterator[Conversion]:
    """Convert, and tell after each conversation how far it is.

    `plain` writes OpenAI's own fields only; `invalid` keeps records that `trammel data validate` would refuse.
    Raises: OSError.
    """
    stats = Conversion()
    records = _valid_records(READERS[read_as](source), stats, keep_invalid=invalid)
    writer = _lines_writer(lambda record: plain_json(_openai(record))) if plain else WRITERS[write_as]
    for error in writer(records, target):
        if error is None:
            stats.written += 1
        else:
            stats.skipped[str(error)] += 1
        yield stats


def _valid_records(
    found: Iterator[Record | ConvertError], stats: Conversion, *, keep_invalid: bool
) -> Iterator[Record]:
    checks = Checks(checks_grammars=False)
    for record in found:
        if isinstance(record, ConvertError):
            stats.skipped[str(record)] += 1
            continue
        fault = next((fault for fault in checks.check(record, 0) if fault.is_error), None)
        if fault is None or keep_invalid:
            yield record
        else:
            stats.skipped[f"invalid: {fault.code}"] += 1


def _lines_reader(read: Callable[[Json], Record]) -> ReadAll:
    """For JSONL, and for one JSON list."""

    def read_all(path: Path) -> Iterator[Record | ConvertError]:
        for text in _values(path):
            try:
                value = json.loads(text) if isinstance(text, str) else text
                if not isinstance(value, dict):
                    raise ConvertError("no JSON object")
                yield read(value)
            except ConvertError as error:
                yield error
            except ValidationError as error:
                fault = error.errors()[0]
                yield ConvertError(f"{'.'.join(str(p) for p in fault['loc'] if isinstance(p, str))}: {fault['msg']}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield ConvertError(f"not of the format: {type(error).__name__}: {str(error)[:80]}")

    return read_all


def _values(path: Path) -> Iterator[str | Json]:
    with path.open(encoding="utf-8-sig") as file:
        if file.read(1) == "[":
            with suppress(ValueError):  # a list over many lines; if it is none, its lines will tell
                yield from json.loads(path.read_text(encoding="utf-8-sig"))
                return
    with path.open(encoding="utf-8-sig") as file:
        yield from (line for line in file if line.strip())


def _lines_writer(write: Callable[[Record], Json]) -> WriteAll:
    def write_all(records: Iterable[Record], path: Path) -> Iterator[ConvertError | None]:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for record in records:
                try:
                    file.write(written(write(record)) + "\n")
                    yield None
                except ConvertError as error:
                    yield error
                except (KeyError, ValueError) as error:  # of what was invalid, and is written all the same
                    yield ConvertError(f"can't be told in this format: {type(error).__name__}: {str(error)[:80]}")

    return write_all


def _openai(record: Record) -> Json:
    line: Json = record.model_dump(exclude_none=True)
    return line


READERS: dict[FormatName, ReadAll] = {
    "openai": _lines_reader(Record.model_validate),
    "flat": _lines_reader(read_flat),
    "sharegpt": _lines_reader(read_sharegpt),
    "glaive": _lines_reader(read_glaive),
    "toolbench": _lines_reader(read_toolbench),
    "sgd": read_sgd,
    "star": read_star,
    "taskmaster4": read_taskmaster,
}
WRITERS: dict[FormatName, WriteAll] = {
    "openai": _lines_writer(_openai),
    "flat": _lines_writer(write_flat),
    "sharegpt": _lines_writer(write_sharegpt),
    "glaive": _lines_writer(write_glaive),
    "toolbench": _lines_writer(write_toolbench),
    "sgd": write_sgd,
    "star": write_star,
    "taskmaster4": write_taskmaster,
}

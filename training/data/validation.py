"""Judges a whole file of fine-tuning lines, line by line: however large it is, one line is in memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from training.data.checks import Checks
from training.data.coverage import Coverage
from training.data.fault import Fault
from training.data.record import Json, Record, plain_json, written

FEWEST = 10
"""OpenAI takes no file with fewer lines."""


class InvalidDataError(ValueError):
    """A file has faulty lines; the text names the first ones."""


@dataclass(slots=True)
class Verdict:
    """What was found in a file."""

    faults: list[Fault] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def errors(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.is_error]

    @property
    def warnings(self) -> list[Fault]:
        return [fault for fault in self.faults if not fault.is_error]

    def as_json(self) -> dict[str, Any]:
        return {
            "valid": not self.errors,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            **self.coverage.as_json(),
            "faults": [fault.as_json() for fault in self.faults],
        }


def validate_file(path: Path, checks: Checks | None = None) -> Verdict:
    """Raises: OSError."""
    checks = checks or Checks()
    verdict = Verdict()
    first_lines: dict[int, int] = {}
    for number, text in lines_of(path):
        faults, record = read_record(text, number)
        verdict.faults += faults
        if record is None:
            continue
        verdict.faults += checks.check(record, number)
        verdict.coverage.add(record)
        first = first_lines.setdefault(hash(written(plain_json(json.loads(text)))), number)
        if first != number:
            verdict.faults.append(Fault(number, "repeated", "", f"the same as line {first}", is_error=False))
    count = verdict.coverage.records
    if count == 0:
        verdict.faults.append(Fault(0, "empty-file", "", "there are no records"))
    elif count < FEWEST:
        verdict.faults.append(Fault(0, "few-records", "", f"{count} records; OpenAI wants {FEWEST}", is_error=False))
    return verdict


def read_record(text: str | bytes, number: int) -> tuple[list[Fault], Record | None]:
    """The record of a line, or None and why there is none."""
    try:
        raw = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        return [Fault(number, "not-json", "", str(error))], None
    if not isinstance(raw, dict):
        return [Fault(number, "not-an-object", "", "the line is no JSON object")], None
    try:
        return [], Record.model_validate(raw)
    except ValidationError as error:
        return [_form_fault(fault, number) for fault in error.errors(include_url=False)], None


def read_lines(path: Path) -> Iterator[tuple[int, Json]]:
    """The lines of a file that is taken to be valid, with their numbers. Raises: InvalidDataError, OSError."""
    for number, text in lines_of(path):
        faults, record = read_record(text, number)
        if record is None:
            raise InvalidDataError(f"{path}, {faults[0]}")
        yield number, json.loads(text)


def require_valid(path: Path, checks: Checks | None = None) -> Coverage:
    """For those who are about to train on a file. Raises: InvalidDataError, OSError."""
    verdict = validate_file(path, checks)
    refuse_errors(path, verdict)
    return verdict.coverage


def refuse_errors(path: Path, verdict: Verdict) -> None:
    """Raises: InvalidDataError, if the verdict on the file has errors."""
    if verdict.errors:
        shown = "\n".join(f"  {fault}" for fault in verdict.errors[:5])
        raise InvalidDataError(f"{path} has {len(verdict.errors)} errors, the first:\n{shown}")


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers, without a byte order mark. Raises: OSError."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _form_fault(error: Any, number: int) -> Fault:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if place.endswith("function.arguments") and not isinstance(error["input"], str):
        return Fault(number, "arguments-not-text", place, "arguments must be a JSON text, not the value itself")
    code = "missing-field" if error["type"] == "missing" else "wrong-form"
    return Fault(number, code, place, error["msg"])

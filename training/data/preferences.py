"""Judges OpenAI's preference lines: `input`, `preferred_output`, `non_preferred_output`.

https://platform.openai.com/docs/guides/direct-preference-optimization. A line is right if the conversation with either
answer is a right fine-tuning line; what is wrong with the answer that is not preferred is only told of, because wrong
calls are what such answers are for.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.data.checks import Checks
from training.data.fault import Fault
from training.data.validation import Verdict, lines_of, read_record, refuse_errors, validate_file

Json = dict[str, Any]
GOOD, BAD = "preferred_output", "non_preferred_output"


def validate_pairs(path: Path, checks: Checks | None = None) -> Verdict:
    """Of preference lines, or of ordinary ones, whose calls are spoilt to have pairs. Raises: OSError."""
    checks = checks or Checks()
    if not has_preferences(path):
        return validate_file(path, checks)
    verdict = Verdict()
    for number, text in lines_of(path):
        for place, line in _sides(text, number, verdict):
            faults, record = read_record(json.dumps(line), number)
            if record is not None:
                faults = [*faults, *checks.check(record, number)]
            form_only = place == BAD and record is not None
            verdict.faults += [
                replace(fault, place=f"{place}: {fault.place}", is_error=fault.is_error and not form_only)
                for fault in faults
            ]
            if record is not None and place == GOOD:
                verdict.coverage.add(record)
    return verdict


def require_valid_pairs(path: Path) -> None:
    """For those who are about to train on a file. Raises: InvalidDataError, OSError."""
    refuse_errors(path, validate_pairs(path))


def has_preferences(path: Path) -> bool:
    """Whether the first line is no ordinary one. Raises: OSError."""
    for _, text in lines_of(path):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return True  # it will be said what is wrong with it
        return not isinstance(line, dict) or "messages" not in line
    return False


def names_preferences(path: Path) -> bool:
    """Whether the first line has an answer that is preferred, or one that is not. Raises: OSError."""
    for _, text in lines_of(path):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(line, dict) and bool({GOOD, BAD} & line.keys())
    return False


def write_preferred(path: Path, output: Path) -> None:
    """The conversations with the answers that are preferred, as ordinary lines. `path`: valid. Raises: OSError."""
    with output.open("w", encoding="utf-8") as file:
        for _, text in lines_of(path):
            line = json.loads(text)
            file.write(json.dumps({**line["input"], "messages": [*line["input"]["messages"], *line[GOOD]]}) + "\n")


def _sides(text: bytes, number: int, verdict: Verdict) -> Iterator[tuple[str, Json]]:
    """Both conversations of a line, each with the answer's field; none if the line has not the form."""
    try:
        raw = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        verdict.faults.append(Fault(number, "not-json", "", str(error)))
        return
    given = raw.get("input") if isinstance(raw, dict) else None
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        verdict.faults.append(Fault(number, "missing-field", "input.messages", "it has no conversation"))
        return
    for place in (GOOD, BAD):
        answer = raw.get(place)
        if not isinstance(answer, list) or not answer:
            verdict.faults.append(Fault(number, "missing-field", place, "it has no messages"))
            return
    for place in (GOOD, BAD):
        yield place, {**given, "messages": [*given["messages"], *raw[place]]}

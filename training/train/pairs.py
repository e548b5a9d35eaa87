"""Pairs of a right and a wrong answer to the same prompt, for DPO (https://arxiv.org/abs/2305.18290).

Either OpenAI's preference lines (https://platform.openai.com/docs/guides/direct-preference-optimization), or ordinary
fine-tuning lines, whose right calls are spoilt.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.chat.messages import Message, Tool
from server.chat.template import TemplateError
from training.data.preferences import has_preferences, require_valid_pairs
from training.data.record import Json, Record
from training.data.validation import InvalidDataError, lines_of, read_lines, read_record, require_valid
from training.train.audit import MaskAudit
from training.train.corruption import Corruption
from training.train.dataset import RowSet
from training.train.rows import Renderer, Row

PREFERENCE = "preference"
_FIELDS = ("input", "preferred_output", "non_preferred_output")


@dataclass(frozen=True, slots=True)
class Pair:
    """In tokens; both answers end with what ends an answer."""

    prompt: tuple[int, ...]
    good: tuple[int, ...]
    bad: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A pair, not yet in tokens."""

    line: int
    kind: str
    before: tuple[Message, ...]
    tools: tuple[Tool, ...]
    good: Message
    bad: Message
    record: Record | None = None
    """The conversation with the good answer, of a preference line."""


def read_pairs(
    path: Path, renderer: Renderer, longest: int, seed: int, *, allow_invalid: bool = False
) -> tuple[RowSet, tuple[Pair, ...]]:
    """The right answers as rows, for audit and validation, and the pairs. Raises: InvalidDataError, OSError."""
    if has_preferences(path):
        choices = _stated(path, allow_invalid=allow_invalid)
    else:
        choices = _made(path, seed, allow_invalid=allow_invalid)
    rows, pairs, records, audit = list[Row](), list[Pair](), list[tuple[int, Record]](), MaskAudit()
    for choice in choices:
        try:
            prompt, good = renderer.exchange(choice.before, choice.good, choice.tools)
            other_prompt, bad = renderer.exchange(choice.before, choice.bad, choice.tools)
        except TemplateError as error:
            audit.refuse(choice.line, str(error))
            continue
        fits = prompt == other_prompt and len(prompt) + max(len(good), len(bad)) <= longest
        row = Row((*prompt, *good), ((len(prompt), len(prompt) + len(good)),), choice.kind, choice.line)
        audit.add(choice.line, [row] if fits else [], renderer.stop_tokens)
        if fits:
            rows.append(row)
            records += [(choice.line, choice.record)] if choice.record else []
            pairs.append(Pair(prompt, good, bad))
    return RowSet(tuple(records), tuple(rows), audit), tuple(pairs)


def _made(path: Path, seed: int, *, allow_invalid: bool) -> Iterator[_Choice]:
    """Every call that is learnt, against a spoilt one."""
    if not allow_invalid:
        require_valid(path)
    records = [(number, Record.model_validate(line)) for number, line in read_lines(path)]
    conversations = [(number, record, record.conversation()) for number, record in records]
    corruption = Corruption(call for _, _, talk in conversations for m in talk.messages for call in m.tool_calls)
    rng = random.Random(seed)
    for number, record, talk in conversations:
        for place, message in enumerate(talk.messages):
            if not message.tool_calls or record.messages[place].weight == 0:
                continue
            spoilt = corruption.corrupt(message, talk.tools, rng)
            if spoilt is not None:
                yield _Choice(number, spoilt[0], talk.messages[:place], talk.tools, message, spoilt[1])


def _stated(path: Path, *, allow_invalid: bool) -> Iterator[_Choice]:
    if not allow_invalid:
        require_valid_pairs(path)
    for number, line in _preference_lines(path):
        if missing := [name for name in _FIELDS if not line.get(name)]:
            raise InvalidDataError(f"{path}, line {number}: missing-field: {', '.join(missing)}")
        record = _record(line, _FIELDS[1], path, number)
        good, bad = record.conversation(), _record(line, _FIELDS[2], path, number).conversation()
        yield _Choice(number, PREFERENCE, good.messages[:-1], good.tools, good.messages[-1], bad.messages[-1], record)


def _record(line: Json, field: str, path: Path, number: int) -> Record:
    """What came before is context only."""
    given: Any = line["input"]
    before = [m if m.get("role") != "assistant" else {**m, "weight": 0} for m in given.get("messages", ())]
    value = {"messages": [*before, *line[field]], "tools": given.get("tools") or None}
    faults, record = read_record(json.dumps(value), number)
    if record is None or record.messages[-1].role != "assistant":
        reason = faults[0].message if faults else "it is no answer of the assistant"
        raise InvalidDataError(f"{path}, line {number}: {field}: {reason}")
    return record


def _preference_lines(path: Path) -> Iterator[tuple[int, Json]]:
    """JSON objects with their line numbers. Raises: InvalidDataError, OSError."""
    for number, text in lines_of(path):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidDataError(f"{path}, line {number}: not-json: {error}") from error
        if not isinstance(line, dict):
            raise InvalidDataError(f"{path}, line {number}: not-an-object")
        yield number, line

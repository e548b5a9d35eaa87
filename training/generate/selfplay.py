"""Self-play: the served model acts, a simulator of the tools answers, and only what succeeds is kept.

Tasks are examples of the template generator or of a file of scenarios, whose calls say what success is. A task is
tried at temperature 0 first, then a few times with sampling; the first attempt that succeeds is kept, in the model's
own words. Calls that the simulator refused before the right one came are kept with weight 0: recovering is learnt, not
the mistake; calls that no schema would allow are left out, since data with them are not valid.
Each task's outcome goes into a journal beside the output, so a run that was broken off asks for none twice.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.data.arguments import ArgumentsError
from training.data.category import is_failure
from training.data.checks import Checks
from training.data.record import Call, Function, Json, Record, RecordMessage, written
from training.generate.endpoint import Endpoint
from training.generate.generator import GenerateError, GenerateSettings, as_line, generate
from training.generate.task import CallKey, Simulator, Task, Turn, call_key, fault_of_turn, message_of, task_of
from training.mix.words import fingerprint
from training.tools.definition import Tool

_MOST_STEPS = 6
"""Answers of the model to one message of the user's."""


@dataclass(frozen=True, slots=True)
class SelfPlaySettings:
    """Who plays what."""

    tasks: GenerateSettings
    """Names stay as they are: the simulator must know them."""
    endpoint: Endpoint
    model: str
    attempts: int = 4
    temperature: float = 0.8
    max_tokens: int = 400


@dataclass(slots=True)
class Played:
    """What came of a run."""

    tasks: int = 0
    found: int = 0
    """Of these, what an earlier run had played."""
    kept: Counter[str] = field(default_factory=Counter)
    """By category."""
    dropped: Counter[str] = field(default_factory=Counter)
    """By why the last attempt failed."""


class _FailedError(Exception):
    """The attempt is no success; the text says why."""


def self_play(settings: SelfPlaySettings, output: Path) -> Iterator[Played]:
    """Play the tasks that `output` and its journal lack, and tell after each how far it is.

    Raises: GenerateError, if the files hold something else; EndpointError; OSError.
    """
    played = Played()
    journal = output.with_suffix(".selfplay.jsonl")
    known = _entries(journal)
    _keep_lines(output, sum(entry["outcome"] == "kept" for entry in known))
    played.found = len(known)
    tools = {tool.name: tool for tool in (*settings.tasks.tools, *settings.tasks.others)}
    with output.open("a", encoding="utf-8", newline="\n") as lines, journal.open("a", encoding="utf-8") as outcomes:
        for number, line in enumerate(generate(replace(settings.tasks, renamed=0))):
            task = task_of(Record.model_validate(line))
            identity = f"{fingerprint(f'{settings.model} {written(line)}'):016x}"
            if number < len(known):
                outcome = known[number]["outcome"]
                if known[number]["task"] != identity:
                    raise GenerateError(f"{journal}, line {number + 1} is of other settings; choose another --output")
            else:
                outcome, record = _play(settings, task, tools)
                if record is not None:
                    extra = {"id": f"selfplay/{settings.tasks.seed}/{number}", "source": f"selfplay/{settings.model}"}
                    lines.write(written({**as_line(record), **extra, "category": task.category}) + "\n")
                    lines.flush()
                outcomes.write(json.dumps({"task": identity, "outcome": outcome}) + "\n")
                outcomes.flush()
            played.tasks += 1
            counts, key = (played.kept, task.category) if outcome == "kept" else (played.dropped, outcome)
            counts[key] += 1
            yield played


def _play(settings: SelfPlaySettings, task: Task, tools: Mapping[str, Tool]) -> tuple[str, Record | None]:
    """The outcome, and the record of an attempt that succeeded."""
    outcome = ""
    for attempt in range(settings.attempts):
        try:
            record = _Attempt(settings, task, Simulator(task, tools), attempt).play()
        except _FailedError as failure:
            outcome = str(failure)
            continue
        return "kept", record
    return outcome, None


@dataclass(slots=True)
class _Attempt:
    """One conversation with the model."""

    settings: SelfPlaySettings
    task: Task
    simulator: Simulator
    number: int
    messages: list[RecordMessage] = field(default_factory=list)
    malformed: set[str] = field(default_factory=set)
    """Ids of calls that must not stand in the record."""
    calls: int = 0

    def play(self) -> Record:
        """Raises: _FailedError."""
        if self.task.system is not None:
            self.messages.append(message_of("system", self.task.system))
        for turn in self.task.turns:
            self._play_turn(turn)
        kept = [message for message in map(self._without_malformed, self.messages) if message is not None]
        record = self.task.record.model_copy(update={"messages": kept})
        faults = [fault for fault in Checks(checks_grammars=False).check(record, 0) if fault.is_error]
        if faults:
            raise _FailedError(faults[0].code)
        return record

    def _play_turn(self, turn: Turn) -> None:
        self.messages.append(message_of("user", turn.user))
        made: Counter[CallKey] = Counter()
        results: list[str] = []
        for _ in range(_MOST_STEPS):
            answer = self._ask()
            if not answer.tool_calls:
                self.messages.append(answer)
                fault = fault_of_turn(turn, made, answer.text, results)
                if fault is not None:
                    raise _FailedError(fault)
                return
            self._answer_calls(turn, answer, made, results)
        raise _FailedError("no end")

    def _answer_calls(self, turn: Turn, answer: RecordMessage, made: Counter[CallKey], results: list[str]) -> None:
        """A message with a refused call among its calls is not learnt. Raises: _FailedError."""
        refused = False
        given: list[RecordMessage] = []
        for call in answer.tool_calls or ():
            result = self.simulator.answer(call)
            if result is None:
                raise _FailedError("a call with no simulation")
            given.append(RecordMessage(role="tool", tool_call_id=call.id, content=result))
            key = _key(call)
            if is_failure(result) and (key is None or key not in turn.due):
                refused = True
                if not self.simulator.allows(call):
                    self.malformed.add(call.id)
            elif key is None or made[key] >= turn.due[key]:
                raise _FailedError("other calls than due")
            else:
                made[key] += 1
                results += [result] if not is_failure(result) else []
        self.messages += [answer.model_copy(update={"weight": 0}) if refused else answer, *given]

    def _without_malformed(self, message: RecordMessage) -> RecordMessage | None:
        if message.tool_call_id in self.malformed:
            return None
        if not message.tool_calls:
            return message
        calls = [call for call in message.tool_calls if call.id not in self.malformed]
        return message.model_copy(update={"tool_calls": calls}) if calls else None

    def _ask(self) -> RecordMessage:
        body: Json = {
            "model": self.settings.model,
            "messages": [message.model_dump(exclude_none=True, exclude={"weight"}) for message in self.messages],
            "tools": [tool.model_dump(exclude_none=True) for tool in self.task.record.tools or ()],
            "temperature": self.settings.temperature if self.number else 0.0,
            "seed": self.number,
            "max_tokens": self.settings.max_tokens,
        }
        message = self.settings.endpoint.complete({key: value for key, value in body.items() if value != []})
        calls = [self._call(call) for call in message.get("tool_calls") or ()]
        return RecordMessage(role="assistant", content=message.get("content") or None, tool_calls=calls or None)

    def _call(self, call: Any) -> Call:
        self.calls += 1
        function = Function(name=call["function"]["name"], arguments=call["function"]["arguments"])
        return Call(id=f"call_{self.calls}", function=function)


def _key(call: Call) -> CallKey | None:
    try:
        return call_key(call)
    except ArgumentsError:
        return None


def _entries(journal: Path) -> list[dict[str, str]]:
    """The journal's whole lines; one that was not written to its end is cut off."""
    if not journal.exists():
        return []
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    journal.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _keep_lines(output: Path, count: int) -> None:
    """Cut off what the journal does not know of. Raises: GenerateError, if there is less than it knows."""
    lines = output.read_bytes().splitlines(keepends=True) if output.exists() else []
    if len(lines) < count or (count == 0 and lines and not output.with_suffix(".selfplay.jsonl").exists()):
        raise GenerateError(f"{output} does not belong to its journal; choose another --output")
    output.write_bytes(b"".join(lines[:count]))

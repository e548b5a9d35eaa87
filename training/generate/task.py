"""A task for self-play: what the user says turn by turn, which calls are due after each, and what the tools answer."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.conversation import compact_json
from training.data.argument_faults import argument_faults
from training.data.arguments import ArgumentsError, read_arguments
from training.data.category import category_of, is_failure
from training.data.record import Call, Record, RecordMessage
from training.generate.slots import said
from training.generate.talk import scalars
from training.tools.definition import Tool

CallKey = tuple[str, str]
"""Name and canonical JSON of the arguments."""


@dataclass(slots=True)
class Turn:
    """What follows one message of the user's."""

    user: str
    due: Counter[CallKey] = field(default_factory=Counter)
    asks: bool = False
    """The last thing to be said is a question for what is missing."""


@dataclass(slots=True)
class Task:
    """One conversation to be played."""

    record: Record
    """How it should go."""
    system: str | None
    turns: list[Turn]
    results: dict[CallKey, list[str]]
    """What the calls that are due give, one after the other."""

    @property
    def category(self) -> str:
        return category_of(self.record)


def task_of(record: Record) -> Task:
    """The task behind an example. Calls that are shown as mistakes are not due."""
    task = Task(record, None, [], {})
    results = {m.tool_call_id: m.text for m in record.messages if m.role == "tool"}
    for message in record.messages:
        if message.role == "system":
            task.system = message.text
        elif message.role == "user":
            task.turns.append(Turn(message.text))
        elif message.role == "assistant" and task.turns:
            for call in message.tool_calls or ():
                result = results.get(call.id, "")
                if message.weight != 0 or not is_failure(result):
                    key = call_key(call)
                    task.turns[-1].due[key] += 1
                    task.results.setdefault(key, []).append(result)
            if not message.tool_calls:
                task.turns[-1].asks = (message.model_extra or {}).get("expects") == "ask"
    return task


def call_key(call: Call) -> CallKey:
    """Raises: ArgumentsError."""
    arguments = read_arguments(call.function.arguments)
    return call.function.name, json.dumps(arguments, sort_keys=True, ensure_ascii=False)


@dataclass(slots=True)
class Simulator:
    """Answers for the tools of one task: first what the task foresees, else what the tool simulates."""

    task: Task
    tools: Mapping[str, Tool]
    _given: Counter[CallKey] = field(default_factory=Counter)

    def answer(self, call: Call) -> str | None:
        """The result, an error as a tool would give it, or None where nobody knows what the call would give."""
        try:
            key = call_key(call)
        except ArgumentsError as error:
            return _error(str(error))
        foreseen = self.task.results.get(key)
        if foreseen:
            self._given[key] += 1
            return foreseen[min(self._given[key], len(foreseen)) - 1]
        fault = self._fault(call)
        if fault is not None:
            return _error(fault)
        return _simulated(self.tools[call.function.name], json.loads(call.function.arguments))

    def allows(self, call: Call) -> bool:
        """Whether the call is well formed: such as may stand in data, right or wrong."""
        return self._fault(call) is None

    def _fault(self, call: Call) -> str | None:
        if call.function.name not in {tool.function.name for tool in self.task.record.tools or ()}:
            return f"there is no tool {call.function.name}"
        try:
            arguments = read_arguments(call.function.arguments)
        except ArgumentsError as error:
            return str(error)
        tool = self.tools[call.function.name]
        faults = list(argument_faults(tool.arguments_schema(), arguments))
        faults += tool.judge(arguments) if tool.judge and not faults else []
        return faults[0] if faults else None


def fault_of_turn(turn: Turn, made: Counter[CallKey], text: str, results: Sequence[str]) -> str | None:
    """Why a turn that was played is not as it should be; None if it is.

    The calls must be those that are due; what is said then must be a question where one is due, and else, where there
    are results, have a value out of one of them.
    """
    if made != turn.due:
        return "other calls than due"
    if not text.strip():
        return "nothing said"
    if turn.asks:
        return None if text.rstrip().endswith("?") else "no question"
    told = [said(value) for result in results for value in _values(result)]
    if told and not any(value in text for value in told):
        return "a result not told"
    return None


def _simulated(tool: Tool, arguments: dict[str, Any]) -> str | None:
    if tool.simulate is None:
        return None
    try:
        return compact_json(tool.simulate(**arguments))
    except Exception as error:  # whatever the user's simulation raises is what the tool says
        return _error(f"{type(error).__name__}: {error}")


def _values(result: str) -> list[Any]:
    try:
        value = json.loads(result)
    except ValueError:
        return []
    return [fact for _, fact in scalars(value) if not isinstance(fact, bool)]


def _error(reason: str) -> str:
    return compact_json({"error": reason})


def message_of(role: str, text: str) -> RecordMessage:
    return RecordMessage.model_validate({"role": role, "content": text})

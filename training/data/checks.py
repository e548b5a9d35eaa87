"""What must hold in a record beyond its form: the order of roles, ids that match, weights, names, arguments.

Errors are what OpenAI refuses or what would teach a model something wrong; warnings are what may be meant.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grammars
from training.data.argument_faults import argument_faults
from training.data.arguments import ArgumentsError, members_of, read_arguments
from training.data.fault import Fault
from training.data.record import EXTRA_FIELDS, Call, Record, RecordMessage

JudgeArguments = Callable[[dict[str, Any]], list[str]]
"""What is wrong with the arguments of one tool, by a stricter judge than its schema, such as a pydantic model."""


class Found(NamedTuple):
    """A fault that does not know its line yet."""

    code: str
    place: str
    message: str
    is_error: bool = True


@dataclass(slots=True)
class Checks:
    """Judges records. Remembers which schemas it has seen, since most files repeat a few."""

    judges: Mapping[str, JudgeArguments] = field(default_factory=dict)
    checks_grammars: bool = True
    """Whether to say of tools that our server would refuse them under `strict`."""
    _schemas: dict[str, tuple[Found, ...]] = field(default_factory=dict)

    def check(self, record: Record, line: int) -> Iterator[Fault]:
        """Everything wrong with a record."""
        schemas = {tool.function.name: tool.function.parameters for tool in record.tools or ()}
        for found in self._check(record, schemas):
            yield Fault(line, *found)

    def _check(self, record: Record, schemas: Mapping[str, Any]) -> Iterator[Found]:
        yield from _unknown_fields(record)
        yield from self._check_tools(record)
        yield from _check_order(record)
        yield from _check_ids(record)
        yield from _check_weights(record)
        for i, message in enumerate(record.messages):
            yield from _check_content(message, f"messages[{i}]")
            for j, call in enumerate(message.tool_calls or ()):
                yield from self._check_call(call, f"messages[{i}].tool_calls[{j}]", schemas)
            if record.parallel_tool_calls is False and len(message.tool_calls or ()) > 1:
                yield Found("parallel-calls", f"messages[{i}]", "several calls, though parallel_tool_calls is false")

    def _check_tools(self, record: Record) -> Iterator[Found]:
        seen: set[str] = set()
        for i, tool in enumerate(record.tools or ()):
            name, parameters = tool.function.name, tool.function.parameters
            if name in seen:
                yield Found("duplicate-tool", f"tools[{i}]", f"there are two tools named {name!r}")
            seen.add(name)
            key = grammars.content_hash(parameters)
            if key not in self._schemas:
                self._schemas[key] = tuple(self._check_schema(parameters))
            for found in self._schemas[key]:
                yield found._replace(place=f"tools[{i}].function.parameters")

    def _check_schema(self, parameters: Any) -> Iterator[Found]:
        if parameters and parameters.get("type", "object") != "object":
            yield Found("not-an-object", "", f"parameters are of type {parameters['type']!r}, not object")
        try:
            grammars.compile(parameters or {"type": "object"}, closed=True)
        except grammars.InvalidSchema as error:
            yield Found("invalid-schema", "", str(error))
        except grammars.GrammarError as error:
            if self.checks_grammars:
                yield Found("no-grammar", "", f"a strict request with this schema is refused: {error}", is_error=False)

    def _check_call(self, call: Call, place: str, schemas: Mapping[str, Any]) -> Iterator[Found]:
        name = call.function.name
        try:
            arguments = read_arguments(call.function.arguments)
        except ArgumentsError as error:
            yield Found(error.code, f"{place}.function.arguments", str(error))
            return
        if name not in schemas:
            yield Found("unknown-tool", f"{place}.function.name", _no_such_tool(name, list(schemas)))
            return
        faults = list(argument_faults(schemas[name], arguments) if schemas[name] else ())
        faults += self.judges[name](arguments) if name in self.judges and not faults else []
        for fault in faults:
            yield Found("invalid-arguments", f"{place}.function.arguments", f"{name}: {fault}")
        for key in arguments:
            properties, _ = members_of(schemas[name])
            if key not in properties and not faults:
                message = f"{name} has no parameter {key!r}; our grammar would not let the model write it"
                yield Found("unknown-parameter", f"{place}.function.arguments", message, is_error=False)


def _no_such_tool(name: str, known: list[str]) -> str:
    if not known:
        return f"{name!r} is called, but the line has no tools"
    return f"no tool is named {name!r}; there are {', '.join(known[:8])}{', …' if len(known) > 8 else ''}"


def _unknown_fields(record: Record) -> Iterator[Found]:
    extra = set(record.model_extra or ())
    if extra & {"functions"}:
        yield Found("old-functions", "functions", "`functions` is OpenAI's form of 2023; use `tools`")
    unknown = [("", key) for key in extra - EXTRA_FIELDS["record"] - {"functions"}]
    for i, message in enumerate(record.messages):
        extra = set(message.model_extra or ())
        if "function_call" in extra:
            yield Found("old-functions", f"messages[{i}]", "`function_call` is OpenAI's form of 2023; use `tool_calls`")
        unknown += [(f"messages[{i}]", key) for key in extra - EXTRA_FIELDS["message"] - {"function_call"}]
    for place, key in sorted(unknown):
        yield Found("unknown-field", place, f"{key!r} means nothing here; OpenAI refuses it", is_error=False)


def _check_order(record: Record) -> Iterator[Found]:
    roles = [message.role for message in record.messages]
    if "assistant" not in roles:
        yield Found("no-assistant", "messages", "no assistant message: there is nothing to learn")
    elif roles[-1] != "assistant":
        yield Found(
            "not-last", f"messages[{len(roles) - 1}]", f"the last message is the {roles[-1]}'s, not the assistant's"
        )
    talk = [(i, role) for i, role in enumerate(roles) if role not in ("system", "developer")]
    if talk and talk[0][1] != "user":
        yield Found("first-speaker", f"messages[{talk[0][0]}]", "the user does not speak first", is_error=False)
    for i, role in enumerate(roles):
        if role in ("system", "developer") and talk and i > talk[0][0]:
            yield Found("late-system", f"messages[{i}]", f"a {role} message inside the conversation", is_error=False)
        if i and role == "user" == roles[i - 1]:
            yield Found("two-in-a-row", f"messages[{i}]", "two user messages in a row", is_error=False)
        if i and role == "assistant" == roles[i - 1] and not record.messages[i - 1].tool_calls:
            yield Found("two-in-a-row", f"messages[{i}]", "two assistant messages in a row", is_error=False)


def _check_ids(record: Record) -> Iterator[Found]:
    """Every result answers an open call, and no call stays open while others speak."""
    open_calls: dict[str, str] = {}
    seen: set[str] = set()
    for i, message in enumerate(record.messages):
        place = f"messages[{i}]"
        if message.role == "tool":
            if message.tool_call_id is None:
                yield Found("no-id", place, "a tool message needs tool_call_id")
            elif open_calls.pop(message.tool_call_id, None) is None:
                yield Found("unmatched-id", place, f"no open call has the id {message.tool_call_id!r}")
            continue
        if message.tool_call_id is not None:
            yield Found("misplaced-id", place, f"tool_call_id in a message of role {message.role}")
        for identity, name in open_calls.items():
            yield Found("unanswered-call", place, f"the call {identity!r} of {name} has no result before this message")
        open_calls = {}
        if message.tool_calls and message.role != "assistant":
            yield Found("misplaced-calls", place, f"tool_calls in a message of role {message.role}")
        for call in message.tool_calls or ():
            if call.id in open_calls:
                yield Found("duplicate-id", place, f"two calls of one message have the id {call.id!r}")
            elif call.id in seen:
                yield Found("reused-id", place, f"an earlier call had the id {call.id!r}", is_error=False)
            open_calls[call.id] = call.function.name
            seen.add(call.id)


def _check_weights(record: Record) -> Iterator[Found]:
    assistant = [message for message in record.messages if message.role == "assistant"]
    if assistant and all(message.weight == 0 for message in assistant):
        yield Found("no-weight", "messages", "every assistant message has weight 0: there is nothing to learn")
    for i, message in enumerate(record.messages):
        if message.weight is not None and message.role != "assistant":
            yield Found("misplaced-weight", f"messages[{i}]", f"weight in a message of role {message.role}")


def _check_content(message: RecordMessage, place: str) -> Iterator[Found]:
    said = bool(message.text.strip() or message.refusal)
    if message.role == "assistant" and not said and not message.tool_calls:
        yield Found("empty-answer", place, "an assistant message with neither text nor calls")
    elif message.role in ("user", "system", "developer") and not said:
        yield Found("empty-message", place, f"the {message.role}'s message is empty")
    elif message.role == "tool" and message.content is None:
        yield Found("empty-message", place, "the result has no content")

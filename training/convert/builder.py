"""Builds a record turn by turn from a format that has no ids, or not OpenAI's."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from training.conversation import compact_json
from training.data.record import Call, Function, Json, Record, RecordMessage, RecordTool, ToolFunction


class ConvertError(ValueError):
    """A conversation can't be told in the other format; the text says why."""


class OneSchemaEach:
    """The tools of a format that keeps them apart from the conversations: a name has one schema there."""

    def __init__(self, essence: Callable[[Json], object]) -> None:
        """`essence`: what two schemas must have in common to be one; words of description may differ."""
        self._essence = essence
        self.schemas: dict[str, Json] = {}

    def add(self, tools: dict[str, Json]) -> None:
        """Raises: ConvertError, if one of them has another schema elsewhere; none is added then."""
        for name, schema in tools.items():
            if self._essence(self.schemas.get(name, schema)) != self._essence(schema):
                raise ConvertError(f"the tool {name} has another schema in an earlier conversation")
        self.schemas = {**tools, **self.schemas}


def refuse_nested(arguments: Any, form: str) -> None:
    """Raises: ConvertError, for arguments that are no single values."""
    values = arguments.values() if isinstance(arguments, dict) else [arguments]
    if any(isinstance(value, (dict, list)) for value in values):
        raise ConvertError(f"arguments that are lists or objects, which {form} has no place for")


class RecordBuilder:
    """Results answer the calls in the order they were made, unless they name one."""

    def __init__(self) -> None:
        self.messages: list[RecordMessage] = []
        self._open: list[Call] = []
        self._made = 0

    def system(self, text: str) -> None:
        if text.strip():
            self.messages.append(RecordMessage(role="system", content=text))

    def user(self, text: str) -> None:
        """One after the other are one message."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user":
            last.content = f"{last.text}\n{text}"
        else:
            self.messages.append(RecordMessage(role="user", content=text))

    def says(self, text: str, weight: int | None = None) -> None:
        last = self.messages[-1] if self.messages else None
        if not text.strip():
            return
        if last is not None and last.role == "assistant" and not last.tool_calls:
            last.content = f"{last.text}\n{text}"
        else:
            self.messages.append(RecordMessage(role="assistant", content=text, weight=_weight(weight)))

    def calls(self, made: Sequence[tuple[str, Any]], text: str = "", weight: int | None = None) -> None:
        """Calls of one message. Arguments are an object, or the JSON text of one. What was just said goes with them."""
        if self._open:
            raise ConvertError(f"the call of {self._open[0].function.name} has no result")
        for name, arguments in made:
            self._made += 1
            function = Function(name=name, arguments=_arguments_text(name, arguments))
            self._open.append(Call(id=f"call_{self._made}", function=function))
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "assistant" and not last.tool_calls:
            self.messages.pop()
            text = f"{last.text}\n{text}".strip()
        message = RecordMessage(
            role="assistant", content=text or None, tool_calls=list(self._open), weight=_weight(weight)
        )
        self.messages.append(message)

    def result(self, value: Any, name: str | None = None) -> None:
        """`name`: of the tool, where the format says it."""
        if not self._open:
            raise ConvertError("a result without a call")
        index = next((i for i, call in enumerate(self._open) if call.function.name == name), 0)
        call = self._open.pop(index)
        text = value if isinstance(value, str) else compact_json(value)
        self.messages.append(RecordMessage(role="tool", tool_call_id=call.id, content=text))

    def results(self, value: str) -> None:
        """One text with the results of all open calls."""
        try:
            values = json.loads(value)
        except ValueError:
            values = None
        if len(self._open) > 1 and isinstance(values, list) and len(values) == len(self._open):
            for item in values:
                self.result(item)
        else:
            self.result(value)

    def record(self, tools: Sequence[Json], **more: Any) -> Record:
        """What stands after the last answer is left out.

        `tools`: name, description, parameters. Raises: ConvertError.
        """
        while self.messages and self.messages[-1].role != "assistant":
            self.messages.pop()
        if not self.messages:
            raise ConvertError("the assistant says nothing")
        functions = [ToolFunction.model_validate(tool) for tool in tools]
        wrapped = [RecordTool(type="function", function=function) for function in functions]
        return Record(messages=self.messages, tools=wrapped or None, **more)


def flat_tools(record: Record) -> list[Json]:
    """The tools without OpenAI's wrapping."""
    return [
        {
            "name": tool.function.name,
            "description": tool.function.description or "",
            "parameters": tool.function.parameters or {"type": "object", "properties": {}},
        }
        for tool in record.tools or ()
    ]


def names_by_id(record: Record) -> dict[str, str]:
    """The tool behind each call's id."""
    return {call.id: call.function.name for message in record.messages for call in message.tool_calls or ()}


def _arguments_text(name: str, arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            raise ConvertError(f"the arguments of {name} are not JSON: {error}") from error
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ConvertError(f"the arguments of {name} are no object")
    return compact_json(arguments)


def _weight(weight: int | None) -> Any:
    return weight if weight in (0, 1) else None

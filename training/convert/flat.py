"""The flat form of older tool-tuning scripts: calls are `{"name", "parameters"}`, tools bare, results without id.

A line is a conversation (`messages`), or a `query` with its `answers`, as in published sets of single calls. OpenAI's
own form of 2023 (`functions`, `function_call`) is read too.
"""

import json
from typing import Any

from training.convert.builder import ConvertError, RecordBuilder, flat_tools, names_by_id
from training.convert.loose_schema import json_schema
from training.data.record import Json, Record

_QUERY = ("query", "instruction", "prompt", "question", "input")
_ANSWERS = ("answers", "answer", "calls", "tool_calls", "output", "response")


def read_flat(line: Json) -> Record:
    """Raises: ConvertError."""
    builder = RecordBuilder()
    if "messages" in line:
        for message in line["messages"]:
            _read_message(builder, message)
    else:
        query = next((line[key] for key in _QUERY if isinstance(line.get(key), str) and line[key]), None)
        answers = next((line[key] for key in _ANSWERS if line.get(key)), None)
        if query is None or answers is None:
            raise ConvertError("neither messages, nor a query with answers")
        builder.system(str(line.get("system") or ""))
        builder.user(query)
        _read_answer(builder, answers)
    tools = _decoded(line.get("tools") or line.get("functions") or [])
    return builder.record([read_tool(tool) for tool in tools])


def write_flat(record: Record) -> Json:
    """The weights stay, ids go."""
    names = names_by_id(record)
    messages: list[Json] = []
    for message in record.messages:
        flat: Json = {"role": message.role, "content": message.text}
        if message.tool_calls:
            flat["tool_calls"] = [
                {"name": c.function.name, "parameters": json.loads(c.function.arguments)} for c in message.tool_calls
            ]
        if message.tool_call_id is not None:
            flat["name"] = names[message.tool_call_id]
        if message.weight is not None:
            flat["weight"] = message.weight
        messages.append(flat)
    return {"messages": messages, **({"tools": flat_tools(record)} if record.tools else {})}


def read_tool(value: Any) -> Json:
    """A tool, wrapped or not. Raises: ConvertError."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ConvertError("a tool without a name")
    parameters = function.get("parameters", function.get("arguments", function.get("inputSchema")))
    return {
        "name": function["name"],
        "description": function.get("description") or None,
        "parameters": json_schema(parameters),
    }


def read_call(value: Any) -> tuple[str, Any]:
    """A call, whatever its arguments are called. Raises: ConvertError."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ConvertError("a call without a name")
    return function["name"], next((function[k] for k in ("parameters", "arguments", "args") if k in function), {})


def _read_message(builder: RecordBuilder, message: Json) -> None:
    role, text = message.get("role"), message.get("content") or ""
    weight = message.get("weight")
    if role in ("system", "developer"):
        builder.system(text)
    elif role == "user":
        builder.user(text)
    elif role in ("tool", "function", "observation", "tool_response", "ipython"):
        builder.result(text, message.get("name"))
    elif role in ("assistant", "tool_call", "function_call"):
        calls = message.get("tool_calls") or message.get("tool_call") or message.get("function_call")
        if calls:
            calls = calls if isinstance(calls, list) else [calls]
            builder.calls([read_call(call) for call in calls], text, weight)
        else:
            _read_answer(builder, text, weight)
    else:
        raise ConvertError(f"the role {role!r} is unknown")


def _read_answer(builder: RecordBuilder, answer: Any, weight: int | None = None) -> None:
    """Calls, or the JSON text of calls, or text."""
    value = _decoded(answer)
    values = value if isinstance(value, list) else [value]
    if values and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in values):
        builder.calls([read_call(item) for item in values], weight=weight)
    else:
        builder.says(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False), weight)


def _decoded(value: Any) -> Any:
    """What a JSON text says; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value

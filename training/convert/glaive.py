"""Glaive's function-calling form: `system` with the functions in its text, `chat` with speakers as capitals.

Arguments stand in single quotes inside of JSON, as the published set has them.
"""

import json
import re

from training.convert.builder import ConvertError, RecordBuilder, flat_tools
from training.convert.flat import read_tool
from training.data.record import Json, Record, RecordMessage

_START = "SYSTEM: You are a helpful assistant with access to the following functions. Use them if required -\n"
_NO_TOOLS = "SYSTEM: You are a helpful assistant, with no access to external functions.\n"
_SPEAKER = re.compile(r"\s*(USER|ASSISTANT|FUNCTION RESPONSE):\s*")
_CALL = re.compile(r"<functioncall>\s*(\{.*\})", re.S)
_QUOTED = re.compile(r"\"arguments\"\s*:\s*'(.*)'\s*\}$", re.S)
_END = "<|endoftext|>"


def read_glaive(line: Json) -> Record:
    """Raises: ConvertError."""
    if not isinstance(line.get("chat"), str):
        raise ConvertError("no chat")
    builder = RecordBuilder()
    parts = _SPEAKER.split(line["chat"])
    for speaker, text in zip(parts[1::2], parts[2::2], strict=True):
        words = text.replace(_END, "").strip()
        call = _CALL.search(words)
        if speaker == "USER":
            builder.user(words)
        elif speaker == "FUNCTION RESPONSE":
            builder.result(words)
        elif call:
            builder.calls([_read_call(call[1])], words[: call.start()].strip())
        else:
            builder.says(words)
    return builder.record(_read_tools(str(line.get("system") or "")))


def write_glaive(record: Record) -> Json:
    """Weights, ids and system texts go. Raises: ConvertError."""
    tools = "\n".join(json.dumps(tool, ensure_ascii=False, indent=4) for tool in flat_tools(record))
    turns = [_turn(message) for message in record.messages if message.role not in ("system", "developer")]
    return {"system": _START + tools if tools else _NO_TOOLS, "chat": "\n\n\n".join(turns) + "\n"}


def _turn(message: RecordMessage) -> str:
    if message.role == "user":
        return f"USER: {message.text}"
    if message.role == "tool":
        return f"FUNCTION RESPONSE: {message.text}"
    if not message.tool_calls:
        return f"ASSISTANT: {message.text} {_END}"
    if len(message.tool_calls) > 1:
        raise ConvertError("several calls in one message, which Glaive's form has no place for")
    function = message.tool_calls[0].function
    said = f"{message.text} " if message.text else ""
    return (
        f'ASSISTANT: {said}<functioncall> {{"name": "{function.name}", "arguments": \'{function.arguments}\'}} {_END}'
    )


def _read_call(text: str) -> tuple[str, str]:
    quoted = _QUOTED.search(text)
    name = re.search(r'"name"\s*:\s*"([^"]+)"', text)
    if quoted and name:
        return name[1], quoted[1].replace("\\'", "'")
    try:
        value = json.loads(text)
        return value["name"], json.dumps(value.get("arguments", {}))
    except (ValueError, KeyError, TypeError) as error:
        raise ConvertError(f"the call can't be read: {text[:60]!r}") from error


def _read_tools(system: str) -> list[Json]:
    """The functions stand one after the other, from the first brace on."""
    decoder, tools, place = json.JSONDecoder(), [], system.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(system, place)
        except ValueError as error:
            raise ConvertError(f"the functions can't be read: {system[place : place + 60]!r}") from error
        tools.append(read_tool(value))
        place = system.find("{", end)
    return tools

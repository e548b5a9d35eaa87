"""ShareGPT's `conversations` of `from` and `value`.

With `function_call` and `observation`, as LLaMA-Factory trains, or with `<tool_call>` tags in the assistant's text and
`<tools>` in the system's, as Hermes' sets have it.
"""

import json
import re
from typing import Any

from training.convert.builder import ConvertError, RecordBuilder, flat_tools
from training.convert.flat import read_call, read_tool
from training.data.record import Json, Record, RecordMessage

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.S)
_RESULT = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.S)
_TOOLS = re.compile(r"<tools>\s*(.*?)\s*</tools>", re.S)


def read_sharegpt(line: Json) -> Record:
    """Raises: ConvertError."""
    if not isinstance(line.get("conversations"), list):
        raise ConvertError("no conversations")
    builder = RecordBuilder()
    tools = _json(line["tools"]) if line.get("tools") else []
    builder.system(str(line.get("system") or ""))
    for turn in line["conversations"]:
        speaker, value = turn.get("from", turn.get("role")), str(turn.get("value", turn.get("content")) or "")
        if speaker == "system":
            found = _TOOLS.search(value)
            tools = tools or (_json_sequence(found[1]) if found else [])
            builder.system("" if found else value)
        elif speaker in ("human", "user"):
            builder.user(value)
        elif speaker in ("gpt", "assistant", "function_call"):
            _read_answer(builder, value, is_call=speaker == "function_call")
        elif speaker in ("observation", "tool", "function"):
            _read_results(builder, value)
        else:
            raise ConvertError(f"the speaker {speaker!r} is unknown")
    return builder.record([read_tool(tool) for tool in (tools if isinstance(tools, list) else [tools])])


def write_sharegpt(record: Record) -> Json:
    """In LLaMA-Factory's form. Weights and ids go; several results become one list. Raises: ConvertError."""
    turns: list[Json] = []
    system = "\n".join(message.text for message in record.messages if message.role in ("system", "developer"))
    talk = [message for message in record.messages if message.role not in ("system", "developer")]
    index = 0
    while index < len(talk):
        message = talk[index]
        if message.role == "tool":
            count = next((i for i, m in enumerate(talk[index:]) if m.role != "tool"), len(talk) - index)
            turns.append({"from": "observation", "value": _observation(talk[index : index + count])})
            index += count
            continue
        turns.append(_turn(message))
        index += 1
    tools = {"tools": json.dumps(flat_tools(record), ensure_ascii=False)} if record.tools else {}
    return {"conversations": turns, **({"system": system} if system else {}), **tools}


def _turn(message: RecordMessage) -> Json:
    if message.role == "user":
        return {"from": "human", "value": message.text}
    if not message.tool_calls:
        return {"from": "gpt", "value": message.text}
    if message.text:
        raise ConvertError("text beside a call, which ShareGPT has no place for")
    calls = [{"name": c.function.name, "arguments": json.loads(c.function.arguments)} for c in message.tool_calls]
    return {"from": "function_call", "value": json.dumps(calls if len(calls) > 1 else calls[0], ensure_ascii=False)}


def _observation(results: list[RecordMessage]) -> str:
    if len(results) == 1:
        return results[0].text
    values: list[Any] = []
    for result in results:
        try:
            values.append(json.loads(result.text))
        except ValueError:
            values.append(result.text)
    return json.dumps(values, ensure_ascii=False)


def _read_answer(builder: RecordBuilder, value: str, *, is_call: bool) -> None:
    if is_call:
        calls = _json(value)
        builder.calls([read_call(call) for call in (calls if isinstance(calls, list) else [calls])])
        return
    tagged = _CALL.findall(value)
    if tagged:
        builder.calls([read_call(_json(call)) for call in tagged], _CALL.sub("", value).strip())
    else:
        builder.says(value)


def _read_results(builder: RecordBuilder, value: str) -> None:
    tagged = _RESULT.findall(value)
    for result in tagged:
        builder.result(result)
    if not tagged:
        builder.results(value)


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConvertError(f"not JSON: {text[:60]!r}") from error


def _json_sequence(text: str) -> list[Any]:
    """A list, or one value after the other."""
    decoder, values, place = json.JSONDecoder(), [], 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError as error:
            raise ConvertError(f"the tools are not JSON: {text[place : place + 60]!r}") from error
        values += value if isinstance(value, list) else [value]
    return values

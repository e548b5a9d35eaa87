"""ToolBench's form: the assistant writes `Thought`, `Action` and `Action Input`, and ends with `Finish`.

https://github.com/OpenBMB/ToolBench. The APIs stand in the system's text as a Python literal.
"""

import ast
import json
import re
from typing import Any

from training.convert.builder import ConvertError, RecordBuilder, flat_tools
from training.convert.flat import read_tool
from training.data.record import Json, Record, RecordMessage

_APIS = "Specifically, you have access to the following APIs: "
_INTRODUCTION = (
    "You are AutoGPT, you can use many tools(functions) to do the following task.\n"
    "At each step, give your thought and a function call as Thought, Action and Action Input.\n"
)
_FINISH: Json = {
    "name": "Finish",
    "description": "Call this with the final answer.",
    "parameters": {
        "type": "object",
        "properties": {"return_type": {"type": "string", "enum": ["give_answer", "give_up_and_restart"]},
                       "final_answer": {"type": "string"}},
        "required": ["return_type"],
        "optional": ["final_answer"],
    },
}  # fmt: skip
_STEP = re.compile(
    r"\s*(?:Thought:\s*(?P<thought>.*?))?\s*Action:\s*(?P<name>.*?)\s*Action Input:\s*(?P<input>.*)", re.S
)


def read_toolbench(line: Json) -> Record:
    """Raises: ConvertError."""
    if not isinstance(line.get("conversations"), list):
        raise ConvertError("no conversations")
    builder = RecordBuilder()
    tools: list[Json] = []
    for turn in line["conversations"]:
        speaker, value = turn.get("from"), str(turn.get("value") or "")
        if speaker == "system":
            tools = _read_apis(value)
        elif speaker == "user":
            builder.user(value.strip().removesuffix("Begin!").strip())
        elif speaker == "assistant":
            _read_step(builder, value)
        elif speaker == "function":
            builder.result(value)
        else:
            raise ConvertError(f"the speaker {speaker!r} is unknown")
    return builder.record(tools, **({"id": str(line["id"])} if "id" in line else {}))


def write_toolbench(record: Record) -> Json:
    """Weights, ids and system texts go. Raises: ConvertError."""
    apis = [*flat_tools(record), _FINISH]
    turns: list[Json] = [{"from": "system", "value": f"{_INTRODUCTION}{_APIS}{apis!r}"}]
    turns += [_turn(message) for message in record.messages if message.role not in ("system", "developer")]
    return {"id": str((record.model_extra or {}).get("id", "")), "conversations": turns}


def _turn(message: RecordMessage) -> Json:
    if message.role == "user":
        return {"from": "user", "value": message.text}
    if message.role == "tool":
        return {"from": "function", "value": message.text}
    if message.tool_calls and len(message.tool_calls) > 1:
        raise ConvertError("several calls in one message, which ToolBench's form has no place for")
    if message.tool_calls:
        function = message.tool_calls[0].function
        name, thought, given = function.name, message.text, function.arguments
    else:
        answer = {"return_type": "give_answer", "final_answer": message.text}
        name, thought, given = "Finish", "", json.dumps(answer, ensure_ascii=False)
    return {"from": "assistant", "value": f"\nThought: {thought}\nAction: {name}\nAction Input: {given}"}


def _read_step(builder: RecordBuilder, value: str) -> None:
    step = _STEP.fullmatch(value)
    if step is None:
        builder.says(value.strip())
        return
    thought = (step["thought"] or "").strip()
    if step["name"] != "Finish":
        builder.calls([(step["name"], step["input"].strip())], thought)
        return
    try:
        answer = json.loads(step["input"])
    except ValueError as error:
        raise ConvertError("the final answer is not JSON") from error
    if answer.get("return_type") != "give_answer":
        raise ConvertError("it gives up")
    builder.says(str(answer.get("final_answer") or thought))


def _read_apis(system: str) -> list[Json]:
    start = system.find(_APIS.strip())
    if start < 0:
        return []
    text = system[start + len(_APIS.strip()) :].strip()
    try:
        values: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConvertError(f"the APIs can't be read: {text[:60]!r}") from error
    return [read_tool(value) for value in values if value.get("name") != "Finish"]

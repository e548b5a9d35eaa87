"""Fine-tuning lines to begin with, and to break."""

import copy
import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city"],
        },
    },
}


def call(identity: str = "c1", name: str = "get_weather", arguments: str = '{"city":"Oslo"}') -> Json:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: Json, **more: Any) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": list(made), **more}


def user(text: str = "What is the weather in Oslo?") -> Json:
    return {"role": "user", "content": text}


def says(text: str = "It is sunny.", **more: Any) -> Json:
    return {"role": "assistant", "content": text, **more}


def result(identity: str = "c1", text: str = '{"sky":"clear"}') -> Json:
    return {"role": "tool", "tool_call_id": identity, "content": text}


def line(*messages: Json, **more: Any) -> Json:
    """A whole line; without messages, a valid one."""
    told = messages or (user(), calls(call()), result(), says())
    return copy.deepcopy({"messages": list(told), "tools": [WEATHER], **more})


def write_lines(path: Path, *lines: Json | str) -> Path:
    path.write_text("".join((text if isinstance(text, str) else json.dumps(text)) + "\n" for text in lines))
    return path

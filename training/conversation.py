"""A training example: OpenAI's fine-tuning JSONL (`messages` and `tools`) as values, and back.

Format: https://platform.openai.com/docs/guides/supervised-fine-tuning. What is trained is rendered by the code that
serves: `server.chat`.
"""

import json
from dataclasses import dataclass
from typing import Any

from server.chat.messages import Message, Tool, ToolCall


@dataclass(frozen=True, slots=True)
class Conversation:
    """One dialogue with the tools that were in reach."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    source: str = ""
    """Where it comes from, such as `sgd/train/1_00000`."""

    def as_json(self) -> dict[str, Any]:
        """One line of an OpenAI fine-tuning file."""
        line: dict[str, Any] = {"messages": [_message_as_json(message) for message in self.messages]}
        if self.tools:
            line["tools"] = [tool.as_template_value() for tool in self.tools]
        return line


def conversation_from_json(line: dict[str, Any], source: str = "") -> Conversation:
    """The reverse of `as_json`. Raises: KeyError, if a required field is missing."""
    tools = [tool["function"] for tool in line.get("tools") or ()]
    return Conversation(
        messages=tuple(_message_from_json(message) for message in line["messages"]),
        tools=tuple(Tool(f["name"], f.get("parameters") or {}, f.get("description")) for f in tools),
        source=source,
    )


def _message_as_json(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        value["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        value["tool_call_id"] = message.tool_call_id
    return value


def _message_from_json(value: dict[str, Any]) -> Message:
    calls = tuple(
        ToolCall(call["function"]["name"], call["function"]["arguments"], call.get("id", ""))
        for call in value.get("tool_calls") or ()
    )
    return Message(value["role"], value.get("content"), calls, value.get("tool_call_id"))


def compact_json(value: Any) -> str:
    """JSON as our template and our grammars write it: no spaces, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

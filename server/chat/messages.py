"""The conversation as the rest of the server sees it: messages, tools and calls, free of any wire format.

Field names follow OpenAI's chat format, because every chat template in a GGUF expects those. Arguments stay JSON
text from end to end: what the model wrote is what the client reads, byte for byte.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call the assistant made. `arguments` is the JSON text of an object."""

    name: str
    arguments: str
    id: str = ""
    shown: Any = None
    """What templates get in the place of the arguments, if a dialect needs something else there."""

    def as_template_value(self) -> dict[str, Any]:
        """The call as templates want it: arguments as an object where they are one, else as the text they are."""
        try:
            arguments: Any = json.loads(self.arguments) if self.shown is None else self.shown
        except ValueError:
            arguments = self.arguments
        function = {"name": self.name, "arguments": arguments}
        identity = {"id": self.id} if self.id else {}
        return {**identity, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_call_id` names the call that a `tool` message answers."""

    role: Role
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None
    """What the assistant thought before it said this."""

    def as_template_value(self) -> dict[str, Any]:
        """The message as a chat template reads it; absent fields are left out, as Hugging Face's callers do."""
        value: dict[str, Any] = {"role": self.role, "content": self.content or ""}
        if self.tool_calls:
            value["tool_calls"] = [call.as_template_value() for call in self.tool_calls]
        if self.tool_call_id is not None:
            value["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            value["name"] = self.name
        if self.reasoning is not None:
            # two names, as at Hugging Face: most templates read the first, those of gpt-oss and LFM2.5 the second
            value |= {"reasoning_content": self.reasoning, "thinking": self.reasoning}
        return value


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. `parameters` is a JSON Schema of an object."""

    name: str
    parameters: Mapping[str, Any]
    description: str | None = None
    strict: bool = False
    is_custom: bool = False
    """Its arguments are only the string `input`, which is what the client is to get."""
    input_grammar: str | None = None
    """In Lark's language: what the input of a custom tool may be."""

    def as_template_value(self) -> dict[str, Any]:
        function: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            function["description"] = self.description
        function["parameters"] = dict(self.parameters)
        return {"type": "function", "function": function}

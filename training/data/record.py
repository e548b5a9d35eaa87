"""One line of OpenAI's fine-tuning JSONL, as pydantic reads it.

https://platform.openai.com/docs/guides/supervised-fine-tuning. What only we use stands in fields beside OpenAI's own
(`EXTRA_FIELDS`); `trammel data convert --plain` takes them out again. Only the form of a line is checked here;
`training.data.checks` looks at what it means.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation

Json = dict[str, Any]
Role = Literal["system", "developer", "user", "assistant", "tool"]

EXTRA_FIELDS = {
    "record": {"id", "group", "seen", "category", "source"},
    "message": {"expects"},
    "call": {"variants"},
}
"""Fields that aren't OpenAI's: the evaluator's, and where a record comes from."""


class _Part(BaseModel):
    """Any extra key stays: unknown ones are warned of, not lost."""

    model_config = ConfigDict(extra="allow")


class Function(_Part):
    """The name and the JSON text of the arguments."""

    name: str
    arguments: str


class Call(_Part):
    """A call in an assistant message."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: Function


class TextPart(_Part):
    """The only kind of content part that can be trained on here."""

    type: Literal["text"]
    text: str


class RecordMessage(_Part):
    """One turn."""

    role: Role
    content: str | list[TextPart] | None = None
    tool_calls: Annotated[list[Call], Field(min_length=1)] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    weight: Literal[0, 1] | None = None

    @property
    def text(self) -> str:
        """The content, its parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ToolFunction(_Part):
    """What a tool is called and takes."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: Json = Field(default_factory=dict)
    strict: bool | None = None


class RecordTool(_Part):
    """A tool in reach."""

    type: Literal["function"]
    function: ToolFunction


class Record(_Part):
    """A conversation with the tools in reach."""

    messages: Annotated[list[RecordMessage], Field(min_length=1)]
    tools: list[RecordTool] | None = None
    parallel_tool_calls: bool | None = None

    def conversation(self) -> Conversation:
        """The record as the rest of the job reads it."""
        tools = tuple(
            Tool(t.function.name, t.function.parameters, t.function.description, bool(t.function.strict))
            for t in self.tools or ()
        )
        return Conversation(tuple(map(_message, self.messages)), tools, str((self.model_extra or {}).get("source", "")))


def plain_json(line: Json) -> Json:
    """A line without what isn't OpenAI's."""
    plain = {key: value for key, value in line.items() if key not in EXTRA_FIELDS["record"]}
    plain["messages"] = [_plain_message(message) for message in line["messages"]]
    return plain


def written(line: Json) -> str:
    """A line as we write it: letters as they are, no newline."""
    return json.dumps(line, ensure_ascii=False)


def _plain_message(message: Json) -> Json:
    plain = {key: value for key, value in message.items() if key not in EXTRA_FIELDS["message"]}
    if message.get("tool_calls"):
        plain["tool_calls"] = [
            {key: value for key, value in call.items() if key not in EXTRA_FIELDS["call"]}
            for call in message["tool_calls"]
        ]
    return plain


def _message(message: RecordMessage) -> Message:
    calls = tuple(ToolCall(c.function.name, c.function.arguments, c.id) for c in message.tool_calls or ())
    content = None if message.content is None and message.refusal is None else message.text or message.refusal
    return Message(message.role, content, calls, message.tool_call_id, message.name)

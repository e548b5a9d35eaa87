"""A chat request as the server understands it, after the wire's spelling is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from server.chat.messages import Message, Tool
from server.engine.types import NEUTRAL_SAMPLING, Sampling

CALLS_AT_ONCE = 16
"""More parallel calls than this in one answer are a model in a loop."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may, must or must not call, and what."""

    mode: Literal["none", "auto", "required"] = "auto"
    names: tuple[str, ...] | None = None
    """The tools that may be called; None means all."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What plain text must look like."""

    kind: Literal["text", "json_object", "json_schema", "gbnf"] = "text"
    schema: Mapping[str, Any] | bool = True
    strict: bool = False
    gbnf: str = ""
    """A grammar of the client's own; it goes with no tools."""
    field: str = "response_format.json_schema.schema"
    """Where the request has the schema, for errors."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One conversation to be continued."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    sampling: Sampling = NEUTRAL_SAMPLING
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    limit_field: str = "max_tokens"
    """The request's field that says so, for errors."""
    is_constrained: bool = True
    """False: no grammar, so that one can measure what it buys."""
    fits: bool = False
    """The answer comes to a legal end within its tokens."""
    top_logprobs: int | None = None
    """So many of the likeliest tokens at every place; None tells no probabilities."""
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    client: str | None = None
    timeout: float | None = None
    """Seconds."""
    speculates: bool | None = None
    """Whether to guess ahead; None leaves it to the server's setting."""

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that `tool_choice` leaves."""
        choice = self.tool_choice
        if choice.mode == "none":
            return ()
        return tuple(tool for tool in self.tools if choice.names is None or tool.name in choice.names)

"""The body of `POST /v1/responses`: https://platform.openai.com/docs/api-reference/responses/create."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from server.api.custom_tools import GrammarText
from server.api.sampling_fields import SamplingFields, Wire
from server.api.wire import TrammelOptions

INCLUDED_LOGPROBS = "message.output_text.logprobs"
_INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    INCLUDED_LOGPROBS,
)

_KINDS = {
    "function": "Named",
    "custom": "Named",
    "allowed_tools": "Allowed",
    "mcp": "Server",
    "json_schema": "Schema",
}


def _kind(value: Any) -> str:
    """Which of several objects is meant, so that errors name the fields of that one only."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _KINDS.get(str(kind), "Plain")


def _choice_kind(value: Any) -> str:
    return "Server" if _kind(value) == "Server" else "Named"


def _format_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "Grammar" if kind == "grammar" else "Free"


def _tool_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return {"custom": "Custom", "mcp": "Server"}.get(str(kind), "Function")


class FunctionToolIn(Wire):
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FreeFormat(Wire):
    type: Literal["text"]


class GrammarFormat(GrammarText):
    type: Literal["grammar"]


class CustomToolIn(Wire):
    type: Literal["custom"]
    name: str
    description: str | None = None
    format: (
        Annotated[
            Annotated[FreeFormat, Tag("Free")] | Annotated[GrammarFormat, Tag("Grammar")], Discriminator(_format_kind)
        ]
        | None
    ) = None


class ToolFilter(Wire):
    tool_names: list[str] | None = None
    read_only: bool | None = None


class ApprovalFilter(Wire):
    always: ToolFilter | None = None
    never: ToolFilter | None = None


class ServerToolsIn(Wire):
    """The server's own tools, as OpenAI names those that the client does not run."""

    type: Literal["mcp"]
    server_label: Literal["trammel"]
    allowed_tools: list[str] | ToolFilter | None = None
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None
    """More than the operator asks for; never less."""
    server_description: str | None = None

    @property
    def names(self) -> list[str] | None:
        """None: all."""
        allowed = self.allowed_tools
        return allowed.tool_names if isinstance(allowed, ToolFilter) else allowed

    @property
    def is_read_only(self) -> bool:
        return isinstance(self.allowed_tools, ToolFilter) and bool(self.allowed_tools.read_only)


class NamedTool(Wire):
    type: Literal["function", "custom"]
    name: str


class ServerToolChoice(Wire):
    """One of the server's own tools, or any of them."""

    type: Literal["mcp"]
    server_label: Literal["trammel"]
    name: str | None = None


class AllowedToolsIn(Wire):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[
        Annotated[
            Annotated[NamedTool, Tag("Named")] | Annotated[ServerToolChoice, Tag("Server")], Discriminator(_choice_kind)
        ]
    ] = Field(min_length=1)


class PlainTextFormat(Wire):
    type: Literal["text", "json_object"]


class SchemaTextFormat(Wire):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    type: Literal["json_schema"]
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextIn(Wire):
    format: (
        Annotated[
            Annotated[PlainTextFormat, Tag("Plain")] | Annotated[SchemaTextFormat, Tag("Schema")], Discriminator(_kind)
        ]
        | None
    ) = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningIn(Wire):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


ResponseTool = Annotated[
    Annotated[FunctionToolIn, Tag("Function")]
    | Annotated[CustomToolIn, Tag("Custom")]
    | Annotated[ServerToolsIn, Tag("Server")],
    Discriminator(_tool_kind),
]


class ResponseRequest(SamplingFields):
    """A response to be made."""

    model: str
    input: str | list[dict[str, Any]] | None = None
    """Items; `response_items` reads them."""
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[ResponseTool] | None = Field(default=None, max_length=512)
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("Plain")]
            | Annotated[NamedTool, Tag("Named")]
            | Annotated[AllowedToolsIn, Tag("Allowed")]
            | Annotated[ServerToolChoice, Tag("Server")],
            Discriminator(_kind),
        ]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    text: TextIn | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    max_tool_calls: int | None = Field(default=None, ge=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: list[Literal[_INCLUDABLE]] | None = None  # type: ignore[valid-type] # a tuple is as good as its items
    store: bool | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    stream: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    reasoning: ReasoningIn | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = Field(default=None, max_length=64)
    trammel: TrammelOptions | None = None
    """Ours: `fit`, and caps and restrictions of a run of the server's own tools."""
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None

    @field_validator("tools", mode="before")
    @classmethod
    def _functions_only(cls, tools: Any) -> Any:
        for tool in tools if isinstance(tools, list) else ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and kind not in ("function", "custom", "mcp"):
                raise ValueError(f"this server has no tool of the type {kind!r}; it calls functions that you run")
        return tools

    @field_validator("tools")
    @classmethod
    def _server_tools_once(cls, tools: list[ResponseTool] | None) -> list[ResponseTool] | None:
        if sum(isinstance(tool, ServerToolsIn) for tool in tools or ()) > 1:
            raise ValueError("the server's own tools stand in one entry: name them all in its 'allowed_tools'")
        return tools

    @property
    def server_tools(self) -> ServerToolsIn | None:
        """The server's own, if they are wanted."""
        return next((tool for tool in self.tools or () if isinstance(tool, ServerToolsIn)), None)

    @field_validator("background", "conversation", "prompt")
    @classmethod
    def _not_here(cls, value: Any) -> Any:
        if value:
            raise ValueError("this server does not support the field; leave it out")
        return value

    @field_validator("metadata")
    @classmethod
    def _short_metadata(cls, metadata: dict[str, str] | None) -> dict[str, str] | None:
        if any(len(key) > 64 or len(value) > 512 for key, value in (metadata or {}).items()):
            raise ValueError("keys have at most 64 characters, values at most 512")
        return metadata

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if self.input is None and self.previous_response_id is None:
            raise ValueError("'input' or 'previous_response_id' is needed")
        return self

    @property
    def wants_logprobs(self) -> bool:
        return INCLUDED_LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def is_stored(self) -> bool:
        return self.store is not False

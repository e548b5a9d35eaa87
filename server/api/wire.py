"""The body of `POST /v1/chat/completions`, checked field by field.

Names and ranges: https://platform.openai.com/docs/api-reference/chat/create. Unknown fields are accepted, as OpenAI's
server accepts them; unknown values are refused. Sampling's fields stand in `sampling_fields`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from server.api.adapter_fields import AdapterFields
from server.api.custom_tools import NAME, CustomCallIn, CustomToolIn, NamedCustomChoice
from server.api.grammar_fields import GrammarFields
from server.api.sampling_fields import SamplingFields, StreamFields, Wire


class TextPart(Wire):
    type: Literal["text"]
    text: str


class FunctionCall(Wire):
    name: str
    arguments: str


class FunctionCallIn(Wire):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


def _is_custom(value: Any) -> str:
    """Which of the two kinds of tools, calls or choices is meant."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "Custom" if kind == "custom" else "Function"


ToolCallIn = Annotated[
    Annotated[FunctionCallIn, Tag("Function")] | Annotated[CustomCallIn, Tag("Custom")], Discriminator(_is_custom)
]


class MessageIn(Wire):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    """What the assistant thought; templates that know it may show it again."""
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _has_what_its_role_needs(self) -> Self:
        if self.role == "assistant":
            if self.content is None and not self.tool_calls:
                raise ValueError("an assistant message needs content or tool_calls")
        elif self.content is None:
            raise ValueError(f"a {self.role} message needs content")
        elif self.tool_calls:
            raise ValueError(f"a {self.role} message can't have tool_calls")
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("a tool message needs tool_call_id")
        return self

    @property
    def text(self) -> str | None:
        """The content as one text."""
        if self.content is None or isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class FunctionIn(Wire):
    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionToolIn(Wire):
    type: Literal["function"]
    function: FunctionIn


ToolIn = Annotated[
    Annotated[FunctionToolIn, Tag("Function")] | Annotated[CustomToolIn, Tag("Custom")], Discriminator(_is_custom)
]


class FunctionName(Wire):
    name: str


class NamedToolChoice(Wire):
    type: Literal["function"]
    function: FunctionName


class AllowedTools(Wire):
    mode: Literal["auto", "required"]
    tools: list[
        Annotated[
            Annotated[NamedToolChoice, Tag("Function")] | Annotated[NamedCustomChoice, Tag("Custom")],
            Discriminator(_is_custom),
        ]
    ] = Field(min_length=1)


class AllowedToolChoice(Wire):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class JsonSchemaIn(Wire):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    name: str = Field(pattern=NAME)
    description: str | None = None
    schema_: dict[str, Any] | bool = Field(default=True, alias="schema")
    strict: bool | None = None


class PlainFormat(Wire):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    type: Literal["text", "json_object"]
    schema_: dict[str, Any] | bool | None = Field(default=None, alias="schema")
    """Ours: what a `json_object` is held to, as at llama-server and others; read as without `strict`."""

    @model_validator(mode="after")
    def _describes_json(self) -> Self:
        if self.schema_ is not None and self.type == "text":
            raise ValueError("a text has no schema; use json_object or json_schema")
        return self


class SchemaFormat(Wire):
    type: Literal["json_schema"]
    json_schema: JsonSchemaIn


def _tool_choice_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return {"function": "Named", "custom": "Custom", "allowed_tools": "Allowed"}.get(str(kind), "Word")


def _format_kind(value: Any) -> str:
    return "Schema" if isinstance(value, dict) and value.get("type") == "json_schema" else "Plain"


ToolChoiceIn = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("Word")]
    | Annotated[NamedToolChoice, Tag("Named")]
    | Annotated[NamedCustomChoice, Tag("Custom")]
    | Annotated[AllowedToolChoice, Tag("Allowed")],
    Discriminator(_tool_choice_kind),
]
ResponseFormatIn = Annotated[
    Annotated[PlainFormat, Tag("Plain")] | Annotated[SchemaFormat, Tag("Schema")], Discriminator(_format_kind)
]


class TrammelOptions(Wire):
    """Ours alone. A field that is not known is refused: it may have been meant to forbid something."""

    model_config = ConfigDict(extra="forbid", strict=True)

    constrain: bool = True
    """False: decode without the grammar of tools and response format."""
    fit: bool = False
    """True: calls and formatted texts come to a legal end before the tokens run out."""
    run_tools: bool = False
    """True: the server runs its own tools and answers at the end (`run_chat`)."""
    run: str | None = None
    """Go on with a run that waits; its results are at the end of the messages."""
    tools: list[str] | None = None
    """Which of the server's tools; None means all. Of more than ten, those that the user's words ask for are shown."""
    search_tools: bool = False
    """The model may search the tools itself, by a tool of that name."""
    max_steps: int | None = Field(default=None, ge=1)
    max_calls: int | None = Field(default=None, ge=1)
    max_seconds: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)
    read_only: bool = False
    """No tool that writes."""
    forbid: list[str] = Field(default_factory=list)
    approve: list[str] = Field(default_factory=list)
    """Tools whose every call a person must approve."""
    ask_user: bool = False
    """The model may ask the user for what is missing; the run then waits."""


class ChatCompletionRequest(SamplingFields, StreamFields, GrammarFields, AdapterFields):
    """A chat completion to be made."""

    model: str
    messages: list[MessageIn] = Field(min_length=1)
    tools: list[ToolIn] | None = Field(default=None, max_length=512)
    tool_choice: ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatIn | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1, le=16)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    """Ours: variables for the model's chat template."""
    trammel: TrammelOptions | None = None
    functions: Any = None
    function_call: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)

    @field_validator("functions", "function_call")
    @classmethod
    def _no_functions(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("this field is deprecated and not supported; use tools and tool_choice")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("'top_logprobs' is only allowed when 'logprobs' is true")
        return self

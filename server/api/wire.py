"""The body of `POST /v1/chat/completions`, checked field by field.

Names and ranges: https://platform.openai.com/docs/api-reference/chat/create. Unknown fields are accepted, as OpenAI's
server accepts them; unknown values are refused. Fields marked "ours" are extensions that llama-server and vLLM share.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

_NAME = r"^[a-zA-Z0-9_.-]{1,64}$"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class TextPart(_Wire):
    type: Literal["text"]
    text: str


class FunctionCall(_Wire):
    name: str
    arguments: str


class ToolCallIn(_Wire):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class MessageIn(_Wire):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
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


class FunctionIn(_Wire):
    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(_Wire):
    type: Literal["function"]
    function: FunctionIn


class FunctionName(_Wire):
    name: str


class NamedToolChoice(_Wire):
    type: Literal["function"]
    function: FunctionName


class AllowedTools(_Wire):
    mode: Literal["auto", "required"]
    tools: list[NamedToolChoice] = Field(min_length=1)


class AllowedToolChoice(_Wire):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class JsonSchemaIn(_Wire):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    name: str = Field(pattern=_NAME)
    description: str | None = None
    schema_: dict[str, Any] | bool = Field(default=True, alias="schema")
    strict: bool | None = None


class PlainFormat(_Wire):
    type: Literal["text", "json_object"]


class SchemaFormat(_Wire):
    type: Literal["json_schema"]
    json_schema: JsonSchemaIn


class StreamOptions(_Wire):
    include_usage: bool | None = None


def _tool_choice_kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return {"function": "Named", "allowed_tools": "Allowed"}.get(str(kind), "Word")


def _format_kind(value: Any) -> str:
    return "Schema" if isinstance(value, dict) and value.get("type") == "json_schema" else "Plain"


ToolChoiceIn = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("Word")]
    | Annotated[NamedToolChoice, Tag("Named")]
    | Annotated[AllowedToolChoice, Tag("Allowed")],
    Discriminator(_tool_choice_kind),
]
ResponseFormatIn = Annotated[
    Annotated[PlainFormat, Tag("Plain")] | Annotated[SchemaFormat, Tag("Schema")], Discriminator(_format_kind)
]


class TrammelOptions(_Wire):
    """Ours alone."""

    constrain: bool = True
    """False: decode without the grammar of tools and response format."""


class ChatCompletionRequest(_Wire):
    """A chat completion to be made."""

    model: str
    messages: list[MessageIn] = Field(min_length=1)
    tools: list[ToolIn] | None = Field(default=None, max_length=512)
    tool_choice: ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatIn | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    n: int | None = Field(default=None, ge=1, le=16)
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    top_k: int | None = Field(default=None, ge=0)
    """Ours: keep the k likeliest tokens."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Ours: drop tokens less likely than this share of the likeliest."""
    repeat_penalty: float | None = Field(default=None, gt=0, le=10)
    """Ours: divides the logits of tokens seen before; llama-server's name."""
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    """Ours: the same under vLLM's name."""
    chat_template_kwargs: dict[str, Any] | None = None
    """Ours: variables for the model's chat template."""
    service_tier: Literal["auto", "default", "flex", "priority", "scale"] | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)
    """Ours: lower comes earlier in the queue; vLLM's name and sense. Goes before service_tier."""
    timeout: float | None = Field(default=None, gt=0)
    """Ours: seconds the request may take, waiting included."""
    speculate: bool | None = None
    """Ours: whether to guess ahead; by default as the server is set."""
    trammel: TrammelOptions | None = None
    functions: Any = None
    function_call: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if isinstance(stop, list) and len(stop) > 4:
            raise ValueError("at most 4 stop sequences are allowed")
        return stop

    @field_validator("logit_bias")
    @classmethod
    def _bias_in_range(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        for token, value in (bias or {}).items():
            if not (token.isascii() and token.isdecimal() and len(token) <= 10):
                raise ValueError(f"keys are token ids, not {token!r}")
            if not -100 <= value <= 100:
                raise ValueError("values lie between -100 and 100")
        return bias

    @field_validator("functions", "function_call")
    @classmethod
    def _no_functions(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("this field is deprecated and not supported; use tools and tool_choice")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("'stream_options' is only allowed when 'stream' is true")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("'top_logprobs' is only allowed when 'logprobs' is true")
        return self

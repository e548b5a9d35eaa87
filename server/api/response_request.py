"""A Responses request as the chat completion it asks for, and that completion's errors in the request's own words."""

from typing import Any

from pydantic import ValidationError

from server.api.errors import ApiError, field_name, invalid, translate
from server.api.response_items import as_chat_messages
from server.api.response_wire import (
    AllowedToolsIn,
    CustomToolIn,
    FunctionToolIn,
    GrammarFormat,
    NamedTool,
    ResponseRequest,
    SchemaTextFormat,
    ServerToolChoice,
    ServerToolsIn,
)
from server.api.sampling_fields import SamplingFields
from server.api.wire import ChatCompletionRequest

Json = dict[str, Any]


def as_chat_completion(body: ResponseRequest, items: list[Json]) -> ChatCompletionRequest:
    """`items`: all of them, earlier responses' first. Raises: ApiError."""
    messages = as_chat_messages(items)
    if body.instructions is not None:
        messages.insert(0, {"role": "system", "content": body.instructions})
    if not messages:
        raise invalid("The input is empty.", "input")
    fields: Json = {
        "model": body.model,
        "messages": messages,
        "tools": [_tool(tool) for tool in body.tools or () if not isinstance(tool, ServerToolsIn)] or None,
        "tool_choice": _tool_choice(body),
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": _response_format(body),
        "max_completion_tokens": body.max_output_tokens,
        "logprobs": body.wants_logprobs,
        "top_logprobs": (body.top_logprobs or 0) if body.wants_logprobs else None,
        "stream": body.stream,
        "trammel": body.trammel.model_dump() if body.trammel else None,
        **{name: getattr(body, name) for name in SamplingFields.model_fields},
    }
    if body.reasoning and body.reasoning.effort and "reasoning_effort" in ChatCompletionRequest.model_fields:
        fields["reasoning_effort"] = body.reasoning.effort
    try:
        return ChatCompletionRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        param = response_param(field_name(first["loc"]))
        raise invalid(f"Invalid value for '{param}': {first['msg'].removeprefix('Value error, ')}.", param) from error


def as_response_error(error: Exception) -> ApiError:
    """Any failure of the chat completion as the failure of the response: its fields are called otherwise."""
    found = translate(error)
    told = found.body["error"]
    param = told["param"]
    if param is None:
        return found
    message = (told["message"] or "").replace(param, response_param(param))
    return ApiError(
        found.status,
        message,
        kind=told["type"] or "",
        param=response_param(param),
        code=told["code"],
        headers=found.headers,
    )


def response_param(param: str) -> str:
    """What a field of chat completions is called here."""
    if param.startswith("messages"):
        return "input"
    renamed = {
        "response_format.json_schema": "text.format",
        "response_format": "text.format",
        "max_completion_tokens": "max_output_tokens",
        "tool_choice.allowed_tools": "tool_choice",
        "tool_choice.function": "tool_choice",
        "tool_choice.custom": "tool_choice",
    }
    for old, new in renamed.items():
        if param.startswith(old):
            return (new + param.removeprefix(old)).replace("].function", "]").replace("].custom", "]")
    if param.startswith("tools["):
        return param.replace("].function.", "].").replace("].custom.", "].").replace("format.grammar.", "format.")
    return param


def _tool(tool: FunctionToolIn | CustomToolIn) -> Json:
    if isinstance(tool, FunctionToolIn):
        return {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}
    custom = tool.model_dump(exclude={"type"}, exclude_none=True)
    if isinstance(tool.format, GrammarFormat):
        custom["format"] = {"type": "grammar", "grammar": tool.format.model_dump(exclude={"type"})}
    return {"type": "custom", "custom": custom}


def _tool_choice(body: ResponseRequest) -> Any:
    match body.tool_choice:
        case NamedTool() | ServerToolChoice() as named:
            return _named(named)
        case AllowedToolsIn(mode=mode, tools=tools):
            allowed = {"mode": mode, "tools": [_named(tool) for tool in tools]}
            return {"type": "allowed_tools", "allowed_tools": allowed}
        case word:
            return word


def _named(tool: NamedTool | ServerToolChoice) -> Json:
    if isinstance(tool, ServerToolChoice):
        raise invalid("The tools of the request have none of the server's own.", "tool_choice")
    return {"type": tool.type, tool.type: {"name": tool.name}}


def _response_format(body: ResponseRequest) -> Json | None:
    wanted = body.text.format if body.text else None
    if isinstance(wanted, SchemaTextFormat):
        schema = wanted.model_dump(by_alias=True, exclude={"type"}, exclude_none=True)
        return {"type": "json_schema", "json_schema": schema}
    return None if wanted is None else {"type": wanted.type}

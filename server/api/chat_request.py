"""The wire's chat request as a `ChatRequest`, with the checks that look at several fields at once."""

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError as JsonSchemaError

from server.api.custom_tools import CustomCallIn, CustomToolIn, NamedCustomChoice, as_arguments, custom_tool
from server.api.errors import invalid
from server.api.wire import (
    AllowedToolChoice,
    ChatCompletionRequest,
    FunctionCallIn,
    FunctionToolIn,
    MessageIn,
    NamedToolChoice,
    SchemaFormat,
)
from server.chat.messages import Message, Tool, ToolCall
from server.chat.request import ChatRequest, ResponseFormat, ToolChoice
from server.chat.template import RESERVED_VARIABLES
from server.engine.types import Sampling

_THREE_EFFORTS = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "max", "max": "max"}
"""Kimi K3 has its own name for the effort, refuses other words than three, and takes the most if nothing is said."""


def read_chat_request(body: ChatCompletionRequest, defaults: Sampling) -> ChatRequest:
    """`defaults`: what the model recommends where the request says nothing. Raises: ApiError."""
    tools = tuple(_tool(tool, index) for index, tool in enumerate(body.tools or ()))
    _check_unique(tools)
    limits = [limit for limit in (body.max_completion_tokens, body.max_tokens) if limit is not None]
    return ChatRequest(
        messages=_messages(body.messages),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        response_format=_response_format(body),
        sampling=body.sampling(defaults),
        stop=body.stops,
        max_tokens=min(limits) if limits else None,
        limit_field="max_tokens" if body.max_completion_tokens is None else "max_completion_tokens",
        is_constrained=body.trammel is None or body.trammel.constrain,
        fits=_fits(body),
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        template_variables=_template_variables(body),
        priority=body.level,
        client=body.user,
        timeout=body.timeout,
        speculates=body.speculate,
    )


def _fits(body: ChatCompletionRequest) -> bool:
    if body.trammel is None or not body.trammel.fit:
        return False
    if body.grammar is not None:
        raise invalid("The ends of a 'grammar' of your own are not known; leave 'fit' out.", "trammel.fit")
    if not body.trammel.constrain:
        raise invalid("Without 'constrain' there is no legal end to come to; leave 'fit' out.", "trammel.fit")
    return True


def _template_variables(body: ChatCompletionRequest) -> dict[str, Any]:
    variables = body.chat_template_kwargs or {}
    for name in sorted(RESERVED_VARIABLES & variables.keys()):
        raise invalid(f"The server itself sets the template's variable '{name}'.", "chat_template_kwargs")
    return {**_thinking_variables(body.reasoning_effort), **variables}


def _thinking_variables(effort: str | None) -> dict[str, Any]:
    """Under the names that templates have for it; those that don't know them don't mind."""
    if effort is None:
        return {}
    if effort == "none":
        return {"reasoning_effort": effort, "enable_thinking": False, "thinking": False}
    return {"reasoning_effort": effort, "thinking_effort": _THREE_EFFORTS[effort]}


def _messages(messages: list[MessageIn]) -> tuple[Message, ...]:
    called: set[str] = set()
    result: list[Message] = []
    for index, message in enumerate(messages):
        calls = tuple(map(_call, message.tool_calls or ()))
        for number, call in enumerate(calls):
            _check_arguments(call, f"messages[{index}].tool_calls[{number}].function.arguments")
        called.update(call.id for call in calls)
        if message.role == "tool" and message.tool_call_id not in called:
            raise invalid(
                f"No earlier assistant message has a tool call with the id '{message.tool_call_id}' "
                "that this tool message answers.",
                f"messages[{index}].tool_call_id",
            )
        result.append(
            Message(message.role, message.text, calls, message.tool_call_id, message.name, message.reasoning_content)
        )
    return tuple(result)


def _call(call: FunctionCallIn | CustomCallIn) -> ToolCall:
    if isinstance(call, CustomCallIn):
        return ToolCall(call.custom.name, as_arguments(call.custom.input), call.id)
    return ToolCall(call.function.name, call.function.arguments, call.id)


def _check_arguments(call: ToolCall, param: str) -> None:
    try:
        value = json.loads(call.arguments)
    except ValueError as error:
        raise invalid(f"The arguments of a tool call are a JSON text; this one is not: {error}.", param) from error
    except RecursionError as error:
        raise invalid("The arguments of this tool call are nested too deep.", param) from error
    if not isinstance(value, dict):
        raise invalid("The arguments of a tool call are the JSON text of an object.", param)


def _tool(tool: FunctionToolIn | CustomToolIn, index: int) -> Tool:
    if isinstance(tool, CustomToolIn):
        return custom_tool(tool.custom)
    function = tool.function
    parameters: dict[str, Any] = function.parameters or {}
    param = f"tools[{index}].function.parameters"
    if parameters.get("type", "object") not in ("object", ["object"]):
        raise invalid(f"The parameters of a function are a schema of type 'object', not {parameters['type']!r}.", param)
    _check_schema(parameters, param)
    return Tool(function.name, parameters, function.description, bool(function.strict))


def _check_schema(schema: Any, param: str) -> None:
    try:
        fault = _schema_fault(json.dumps(schema, allow_nan=False))
    except ValueError as error:
        message = f"Invalid schema in {param}: NaN and Infinity are no JSON values."
        raise invalid(message, param, "invalid_schema") from error
    except RecursionError as error:
        raise invalid(f"The schema in {param} is nested too deep.", param, "invalid_schema") from error
    if fault is not None:
        where, message = fault
        raise invalid(f"Invalid schema in {param}{where}: {message}.", param, "invalid_schema")


@lru_cache(maxsize=1024)
def _schema_fault(text: str) -> tuple[str, str] | None:
    """Where a schema is none, and why. The same tools come with every request, and a look takes milliseconds."""
    try:
        # Patterns are JavaScript's (\p{L}), which Python's `re` can't judge: no format is checked here.
        Draft202012Validator.check_schema(json.loads(text), format_checker=FormatChecker(()))
    except JsonSchemaError as error:
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        return where, error.message
    return None


def _check_unique(tools: tuple[Tool, ...]) -> None:
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.name in seen:
            kind = "custom" if tool.is_custom else "function"
            raise invalid(f"Two tools have the name '{tool.name}'.", f"tools[{index}].{kind}.name")
        seen.add(tool.name)


def _tool_choice(body: ChatCompletionRequest, tools: tuple[Tool, ...]) -> ToolChoice:
    choice = body.tool_choice
    known = {tool.name for tool in tools}
    match choice:
        case None:
            return ToolChoice("auto" if tools else "none")
        case "none" | "auto" if not tools:
            return ToolChoice("none")
        case NamedToolChoice():
            _check_known(choice.function.name, known, "tool_choice.function.name")
            return ToolChoice("required", (choice.function.name,))
        case NamedCustomChoice():
            _check_known(choice.custom.name, known, "tool_choice.custom.name")
            return ToolChoice("required", (choice.custom.name,))
        case AllowedToolChoice():
            names = []
            for index, named in enumerate(choice.allowed_tools.tools):
                kind, tool = ("custom", named.custom) if named.type == "custom" else ("function", named.function)
                _check_known(tool.name, known, f"tool_choice.allowed_tools.tools[{index}].{kind}.name")
                names.append(tool.name)
            return ToolChoice(choice.allowed_tools.mode, tuple(names))
        case _:
            if not tools:
                raise invalid(f"'tool_choice' is '{choice}' but there are no 'tools'.", "tool_choice")
            return ToolChoice(choice)


def _check_known(name: str, known: set[str], param: str) -> None:
    if name not in known:
        raise invalid(f"There is no tool '{name}' in 'tools' ({', '.join(sorted(known)) or 'which is empty'}).", param)


def _response_format(body: ChatCompletionRequest) -> ResponseFormat:
    wanted = body.response_format
    if body.grammar is not None:
        if body.tools and body.tool_choice != "none":
            raise invalid("A 'grammar' of your own can't be joined with 'tools'; send one of them.", "grammar")
        return ResponseFormat("gbnf", gbnf=body.grammar)
    if body.json_schema is not None:
        _check_schema(body.json_schema, "json_schema")
        return ResponseFormat("json_schema", body.json_schema, field="json_schema")
    if wanted is None:
        return ResponseFormat()
    if isinstance(wanted, SchemaFormat):
        schema = wanted.json_schema.schema_
        _check_schema(schema, "response_format.json_schema.schema")
        return ResponseFormat("json_schema", schema, bool(wanted.json_schema.strict))
    if wanted.schema_ is not None:
        _check_schema(wanted.schema_, "response_format.schema")
        return ResponseFormat("json_schema", wanted.schema_, field="response_format.schema")
    return ResponseFormat(wanted.type)

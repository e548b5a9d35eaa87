"""Items of the Responses API: as clients send them, as they are stored and listed, and as chat messages.

An item is a message, a call, a call's output, or reasoning. A turn of the assistant may be several items (a
text and its calls); a chat message holds them all.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from server.api.errors import ApiError, invalid

Json = dict[str, Any]

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_response": "mcprr",
}
_OF_THE_LOOP = ("mcp_list_tools", "mcp_approval_request", "mcp_approval_response")
"""Items that say how a run went, and nothing to the model."""


def new_item_id(kind: str) -> str:
    """An id as OpenAI's look: `msg_…`, `fc_…`."""
    return f"{_PREFIXES[kind]}_{uuid.uuid4().hex}"


def read_input(given: str | list[Json] | None) -> list[Json]:
    """The input's items in their full form, each with an id; references are left for `resolve`. Raises: ApiError."""
    if given is None:
        return []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_read(item, f"input[{index}]") for index, item in enumerate(given)]


def references(items: Iterable[Json]) -> list[str]:
    """Ids of stored items that the input refers to."""
    return [item["id"] for item in items if item["type"] == "item_reference"]


def resolve(items: Iterable[Json], found: Mapping[str, Json]) -> list[Json]:
    """The items with the stored ones in place of references to them. Raises: ApiError."""
    resolved = []
    for index, item in enumerate(items):
        if item["type"] == "item_reference":
            if item["id"] not in found:
                message = (
                    f"Item with id '{item['id']}' not found. Items are stored with responses, unless 'store' is false."
                )
                raise ApiError(404, message, param=f"input[{index}].id", code="item_not_found")
            item = found[item["id"]]
        resolved.append(item)
    return resolved


def as_chat_messages(items: Iterable[Json]) -> list[Json]:
    """The items as messages of a chat completion."""
    messages: list[Json] = []
    for item in items:
        match item["type"]:
            case "message":
                texts = [str(part.get("text", part.get("refusal", ""))) for part in item["content"]]
                messages.append({"role": item["role"], "content": "".join(texts)})
            case "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                _callers_message(messages).setdefault("tool_calls", []).append(call)
            case "custom_tool_call":
                custom = {"name": item["name"], "input": item["input"]}
                call = {"id": item["call_id"], "type": "custom", "custom": custom}
                _callers_message(messages).setdefault("tool_calls", []).append(call)
            case "function_call_output" | "custom_tool_call_output":
                output = item["output"]
                text = output if isinstance(output, str) else "".join(part["text"] for part in output)
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": text})
            case "mcp_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["id"], "type": "function", "function": function}
                _callers_message(messages).setdefault("tool_calls", []).append(call)
                text = item.get("output") or json.dumps(item.get("error"))
                messages.append({"role": "tool", "tool_call_id": item["id"], "content": text})
    return messages


def _callers_message(messages: list[Json]) -> Json:
    """The assistant's turn that a call belongs to: the last message, or a new one."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _read(item: Json, param: str) -> Json:
    kind = item.get("type") or ("message" if "role" in item else "item_reference" if "id" in item else None)
    match kind:
        case "message":
            return _message(item, param)
        case "function_call":
            _texts(item, param, "call_id", "name", "arguments")
            return _item(kind, item, "call_id", "name", "arguments")
        case "custom_tool_call":
            _texts(item, param, "call_id", "name", "input")
            return _item(kind, item, "call_id", "name", "input")
        case "function_call_output" | "custom_tool_call_output":
            _texts(item, param, "call_id")
            if not isinstance(item.get("output"), str):
                _parts(item.get("output"), ("input_text",), f"{param}.output")
            return _item(kind, item, "call_id", "output")
        case "reasoning":
            return {"type": kind, "id": item.get("id") or new_item_id(kind), "summary": item.get("summary") or []}
        case "mcp_call":
            _texts(item, param, "id", "name", "arguments")
            return item
        case "mcp_approval_response":
            _texts(item, param, "approval_request_id")
            if not isinstance(item.get("approve"), bool):
                raise invalid(f"Missing required parameter: '{param}.approve' (true or false).", f"{param}.approve")
            return {"id": new_item_id(kind), **item}
        case _ if kind in _OF_THE_LOOP:
            _texts(item, param, "id")
            return item
        case "item_reference":
            _texts(item, param, "id")
            return {"type": kind, "id": item["id"]}
        case _:
            raise invalid(f"Items of the type {kind!r} are not supported by this server.", f"{param}.type")


def _item(kind: str, item: Json, *fields: str) -> Json:
    id_ = item.get("id")
    return {
        "type": kind,
        "id": id_ if isinstance(id_, str) else new_item_id(kind),
        **{field: item[field] for field in fields},
        "status": "completed",
    }


def _message(item: Json, param: str) -> Json:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise invalid(f"Invalid value for '{param}.role': {role!r}.", f"{param}.role")
    kinds = ("output_text", "refusal") if role == "assistant" else ("input_text",)
    if isinstance(content, str):
        content = [{"type": kinds[0], "text": content}]
    parts = [dict(part) for part in _parts(content, kinds, f"{param}.content")]
    for part in parts:
        if part["type"] == "output_text":
            part.setdefault("annotations", [])
            part.setdefault("logprobs", [])
    return _item("message", {**item, "role": role, "content": parts}, "role", "content")


def _parts(parts: Any, kinds: tuple[str, ...], param: str) -> list[Json]:
    """A list of parts of the given kinds. Raises: ApiError."""
    if not isinstance(parts, list):
        raise invalid(f"Invalid value for '{param}': a text or a list of parts is needed.", param)
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in kinds:
            reason = "this server reads text only" if kind in ("input_image", "input_file", "input_audio") else ""
            wanted = " or ".join(f"'{one}'" for one in kinds)
            raise invalid(
                f"Invalid value for '{param}[{index}].type': {kind!r}; {reason or f'{wanted} is meant here'}.",
                f"{param}[{index}].type",
            )
        _texts(part, f"{param}[{index}]", "refusal" if kind == "refusal" else "text")
    return parts


def _texts(item: Json, param: str, *fields: str) -> None:
    for field in fields:
        if not isinstance(item.get(field), str):
            problem = "Missing required parameter" if item.get(field) is None else "Invalid type for"
            raise invalid(f"{problem}: '{param}.{field}' (a text).", f"{param}.{field}")

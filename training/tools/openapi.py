"""An OpenAPI document's operations as tools: parameters and the JSON body become one object of arguments."""

import re
from collections.abc import Iterator
from typing import Any

from training.tools.definition import Json, Tool, ToolError

_METHODS = ("get", "post", "put", "patch", "delete")
_SCHEMAS = "#/components/schemas/"


def tools_from_openapi(document: Json) -> list[Tool]:
    """One tool an operation, in the document's order. Raises: ToolError."""
    if not str(document.get("openapi", "")).startswith("3."):
        raise ToolError("not an OpenAPI 3 document: it lacks `openapi: 3.…`")
    tools: dict[str, Tool] = {}
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                tool = _tool(document, method, path, item)
                if tool.name in tools:
                    raise ToolError(f"two operations are named {tool.name}")
                tools[tool.name] = tool
    return list(tools.values())


def _tool(document: Json, method: str, path: str, item: Json) -> Tool:
    operation = item[method]
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", operation.get("operationId") or f"{method}{path}").strip("_")[:64]
    properties: Json = {}
    required: list[str] = []
    for given in [*item.get("parameters", ()), *operation.get("parameters", ())]:
        parameter = _resolve(document, given)
        if parameter.get("in") not in ("path", "query"):  # headers and cookies are the caller's business
            continue
        schema = dict(parameter.get("schema") or {"type": "string"})
        if parameter.get("description"):
            schema["description"] = parameter["description"]
        properties[parameter["name"]] = schema
        required += [parameter["name"]] if parameter.get("required") else []
    _add_body(document, operation, properties, required)
    schema = {"type": "object", "properties": properties, "required": list(dict.fromkeys(required))}
    schema |= {"additionalProperties": False}
    description = operation.get("summary") or operation.get("description") or ""
    return Tool(name, " ".join(description.split()), schema=_own(document, schema))


def _add_body(document: Json, operation: Json, properties: Json, required: list[str]) -> None:
    """A body that is a plain object adds its members, any other stands under `body`."""
    if "requestBody" not in operation:
        return
    body = _resolve(document, operation["requestBody"])
    schema = body.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return
    plain = _resolve(document, schema)
    members = plain.get("properties", {})
    if not members or set(plain) & {"allOf", "anyOf", "oneOf"} or set(members) & set(properties):
        properties["body"] = schema
        required += ["body"] if body.get("required") else []
        return
    shown = {key: value for key, value in members.items() if not value.get("readOnly")}
    properties |= shown
    required += [key for key in plain.get("required", ()) if key in shown] if body.get("required", True) else []


def _resolve(document: Json, value: Json) -> Json:
    seen = 0
    while "$ref" in value:
        seen += 1
        reference = value["$ref"]
        if not reference.startswith("#/") or seen > 50:
            raise ToolError(f"can't follow the reference {reference!r}: only those inside the document can be")
        found: Any = document
        for part in reference[2:].split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ToolError(f"the reference {reference!r} leads nowhere")
        value = found
    return value


def _own(document: Json, schema: Json) -> Json:
    """The schema with the definitions it needs beside it, in JSON Schema's own terms."""
    definitions: Json = {}
    waiting = list(_references(schema))
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            target = _resolve(document, {"$ref": _SCHEMAS + name})
            definitions[name] = _in_json_schema(target)
            waiting += _references(target)
    own: Json = _in_json_schema(schema)
    return {**own, "$defs": definitions} if definitions else own


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _in_json_schema(value: Any) -> Any:
    """References lead to `$defs`, and OpenAPI 3.0's `nullable` is a type."""
    if isinstance(value, list):
        return [_in_json_schema(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _in_json_schema(inner) for key, inner in value.items() if key not in ("nullable", "xml", "example")}
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith(_SCHEMAS):
        plain["$ref"] = "#/$defs/" + reference.removeprefix(_SCHEMAS)
    if value.get("nullable") is True and isinstance(value.get("type"), str):
        plain["type"] = [value["type"], "null"]
        if "enum" in plain:
            plain["enum"] = [*plain["enum"], None]
    return plain

"""Descriptions of parameters that are almost JSON Schema, made JSON Schema."""

from typing import Any

from training.data.record import Json

_TYPES = {
    "str": "string", "text": "string", "int": "integer", "float": "number", "double": "number", "bool": "boolean",
    "list": "array", "tuple": "array", "dict": "object", "number": "number", "date": "string", "time": "string",
}  # fmt: skip


def json_schema(parameters: Any) -> Json:
    """From a schema with Python's names for types, ToolBench's `optional`, or only a table of parameters."""
    if not isinstance(parameters, dict) or not parameters:
        return {"type": "object", "properties": {}}
    if set(parameters) <= {"type", "required", "additionalProperties"} and parameters.get("type") in ("object", "dict"):
        return {"type": "object", "properties": {}}
    if "properties" in parameters:
        properties = {name: _typed(schema) for name, schema in (parameters["properties"] or {}).items()}
        required = [name for name in parameters.get("required") or () if name in properties]
        more = {key: value for key, value in parameters.items() if key in ("additionalProperties", "$defs")}
        return {"type": "object", "properties": properties, "required": required, **more}
    properties = {name: _typed(schema) for name, schema in parameters.items()}
    required = [name for name, schema in parameters.items() if isinstance(schema, dict) and _is_required(schema)]
    return {"type": "object", "properties": properties, "required": required}


def _is_required(schema: Json) -> bool:
    stated = schema.get("required")
    return stated if isinstance(stated, bool) else "default" not in schema and "optional" not in str(schema.get("type"))


def _typed(schema: Any) -> Json:
    if isinstance(schema, str):
        return {"type": _type(schema)}
    if not isinstance(schema, dict):
        return {}
    typed = {key: value for key, value in schema.items() if not (key == "required" and isinstance(value, bool))}
    if isinstance(typed.get("type"), str):
        typed["type"] = _type(typed["type"])
    if "items" in typed:
        typed["items"] = _typed(typed["items"])
    if isinstance(typed.get("properties"), dict):
        typed["properties"] = {name: _typed(inner) for name, inner in typed["properties"].items()}
    return typed


def _type(name: str) -> str:
    plain = name.split(",")[0].split("[")[0].strip().lower()
    return _TYPES.get(
        plain, plain if plain in ("string", "integer", "boolean", "array", "object", "null") else "string"
    )

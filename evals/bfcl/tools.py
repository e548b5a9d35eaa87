"""BFCL's functions as OpenAI's tools.

Its own type names become JSON Schema's. For Java and JavaScript every argument is asked for as source text, and the
descriptions say so in the leaderboard's words, because figures compare only where the questions are the same.
"""

from typing import Any

from evals.bfcl.matching import wire_name
from evals.case import Json, Language

_JSON_TYPES = {
    "string": "string", "String": "string", "char": "string", "any": "string", "Any": "string",
    "integer": "integer", "byte": "integer", "short": "integer", "long": "integer", "Bigint": "integer",
    "number": "number", "float": "number", "double": "number",
    "boolean": "boolean", "Boolean": "boolean", "bool": "boolean",
    "array": "array", "list": "array", "tuple": "array", "Array": "array", "ArrayList": "array", "Queue": "array",
    "Stack": "array",
    "dict": "object", "object": "object", "HashMap": "object", "Hashtable": "object",
}  # fmt: skip
_SYNTAX: dict[Language, str] = {"python": "Python 3", "java": "Java 8 SDK", "javascript": "JavaScript"}


def tool_of(function: Json, language: Language) -> Json:
    """A function as requests carry it."""
    parameters = function["parameters"]
    convert = _schema if language == "python" else _source_text
    properties = {name: convert(schema, language) for name, schema in parameters["properties"].items()}
    converted = {
        "name": wire_name(function["name"]),
        "description": f"{function['description']} Note that the provided function is in {_SYNTAX[language]} syntax.",
        "parameters": {"type": "object", "properties": properties, "required": parameters.get("required", [])},
    }
    return {"type": "function", "function": converted}


def _schema(schema: Json, language: Language) -> Json:
    """With JSON Schema's names of types, all the way down."""
    kind = schema.get("type", "string")
    converted: Json = {**schema, "type": _JSON_TYPES.get(kind, "string")}
    if kind == "float":
        converted["description"] = f"{schema.get('description', '')} This is a float type value."
    if isinstance(schema.get("items"), dict):
        converted["items"] = _schema(schema["items"], language)
    if isinstance(schema.get("properties"), dict):
        converted["properties"] = {key: _schema(value, language) for key, value in schema["properties"].items()}
    for key in ("required", "optional"):  # some functions say of one parameter whether it is required
        if not isinstance(converted.get(key, []), list):
            del converted[key]
    return converted


def _source_text(schema: Json, language: Language) -> Json:
    """A parameter that takes source text."""
    name = "Java" if language == "java" else "JavaScript"
    kind, items = schema["type"], schema.get("items")
    told = f"can be of any type of {name} object" if kind == "any" else f"is {name} {kind} type parameter"
    notes = [
        schema.get("description", ""),
        f"This {'parameter ' if kind == 'any' else ''}{told} in string representation.",
    ]
    if items:
        notes.append(f"The list elements are of type {items['type']}; they are not in string representation.")
    kept: dict[str, Any] = {key: schema[key] for key in ("enum", "default") if isinstance(schema.get(key), list | str)}
    return {"type": "string", "description": " ".join(notes), **kept}

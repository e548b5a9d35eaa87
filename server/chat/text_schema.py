"""Which of a tool's parameters are texts, as far as their schemas say so at once."""

from collections.abc import Mapping
from typing import Any

from grammars import UnsatisfiableSchema

Schema = Mapping[str, Any]
NOTES = frozenset(("description", "title", "default", "examples", "$schema", "$comment", "$id"))
"""Keywords that restrict nothing."""


def text_part(schema: Schema, root: Schema) -> tuple[Schema | None, bool]:
    """The schema of the strings that are valid, if nothing else is but perhaps null; and whether null is."""
    if is_text(schema):
        return schema, bool(schema.get("nullable"))
    if sorted(schema["type"] if isinstance(schema.get("type"), list) else ()) == ["null", "string"]:
        return (None, False) if "enum" in schema or "const" in schema else ({**schema, "type": "string"}, True)
    members = schema.get("anyOf", schema.get("oneOf", ()))
    if len(members) == 2 and not any(word in schema for word in ("type", "enum", "const", "not", "allOf", "if")):
        texts = [text for text in (resolved(member, root) for member in members) if is_text(text)]
        if len(texts) == 1 and {"type": "null"} in members:
            return texts[0], True
    return None, False


def members_of(schema: Schema, pointer: str) -> dict[str, Any]:
    """The keys an object is written with: those that are listed, then those that are only required.

    Raises: UnsatisfiableSchema, if one is required and not allowed.
    """
    members = dict(schema.get("properties", {}))
    others = schema.get("additionalProperties", True)
    for key in schema.get("required", ()):
        if key not in members and others is False:
            raise UnsatisfiableSchema(f"the key {key!r} is required and not allowed", pointer)
        members.setdefault(key, as_object(others))
    return members


def is_text(schema: Schema) -> bool:
    """Strings and nothing else are valid, as far as the schema says so at once."""
    if "type" in schema:
        return schema["type"] in ("string", ["string"])
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return bool(words) and all(isinstance(word, str) for word in words)


def admits_texts(schema: Schema) -> bool:
    """All strings are valid, among other things."""
    kinds = schema.get("type", ["string"])
    return "string" in kinds and not schema.keys() - NOTES - {"type"}


def resolved(schema: Any, root: Schema) -> Schema:
    """A property's schema with its reference into the same document followed."""
    for _ in range(10):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not (isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))):
            break
        target: Any = root
        for part in reference.split("/")[1:]:
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        schema = target
    return as_object(schema)


def as_object(schema: Any) -> Schema:
    """Boolean schemas written as objects."""
    return schema if isinstance(schema, Mapping) else {"not": {}} if schema is False else {}

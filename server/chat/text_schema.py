"""Which of a tool's parameters are texts, as far as their schemas say so at once; references and `allOf` followed."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from grammars import UnsatisfiableSchema

Schema = Mapping[str, Any]
NOTES = frozenset(("description", "title", "default", "examples", "$schema", "$comment", "$id"))
"""Keywords that restrict nothing."""
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST_HOPS = 10
_MOST_PARTS = 20
_GROUPS = (
    {"type", "nullable"},
    {"properties", "additionalProperties", "patternProperties", "unevaluatedProperties"},
    {"items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "minContains", "maxContains"},
    {"if", "then", "else"},
)
"""Keywords that mean something else beside each other."""


def text_part(schema: Schema, root: Schema) -> tuple[Schema | None, bool]:
    """The schema of the strings that are valid, if nothing else is but perhaps null; and whether null is."""
    if is_text(schema):
        return schema, has_null(schema)
    if sorted(schema["type"] if isinstance(schema.get("type"), list) else ()) == ["null", "string"]:
        return (None, False) if words_of(schema) is not None else ({**schema, "type": "string"}, True)
    word = "anyOf" if "anyOf" in schema else "oneOf"
    members = schema.get(word, ())
    beside = {keyword: value for keyword, value in schema.items() if keyword not in NOTES | {word}}
    if len(members) == 2 and beside.keys().isdisjoint(("type", "enum", "const", "not", "allOf", "if", "oneOf", "$ref")):
        texts = [text for text in (resolved(member, root) for member in members) if is_text(text)]
        if len(texts) == 1 and {"type": "null"} in members:
            return joined(texts[0], beside), True
    return None, False


def words_of(schema: Schema) -> list[Any] | None:
    """The values that `enum` and `const` leave; None if there is neither."""
    words = schema.get("enum")
    if "const" not in schema:
        return None if words is None else list(words)
    return [schema["const"]] if words is None or schema["const"] in words else []


def has_null(schema: Schema) -> bool:
    """OpenAPI's `nullable` is beside a type and does something: `enum`, if there is one, has null, too."""
    words = words_of(schema)
    return schema.get("nullable") is True and "type" in schema and (words is None or None in words)


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
    """A property's schema with its reference into the same document followed, what stands beside that included.

    A reference that leads nowhere, out of the document or through too many others is left in it.
    """
    found, beside = as_object(schema), list[Schema]()
    for _ in range(_MOST_HOPS):
        target = _target(found.get("$ref"), root)
        if target is None:
            break
        beside.append({keyword: value for keyword, value in found.items() if keyword != "$ref"})
        found = as_object(target)
    for siblings in reversed(beside):
        found = joined(found, siblings)
    return found


def flattened(schema: Any, root: Schema) -> Schema:
    """As `resolved`, and with the schemas under `allOf` joined as far as possible: `allOf` keeps what can't be."""
    waiting: list[Any] = [schema]
    found: Schema = {}
    for _ in range(_MOST_PARTS):
        if not waiting:
            break
        part = resolved(waiting.pop(), root)
        found = joined(found, {keyword: value for keyword, value in part.items() if keyword != "allOf"})
        waiting += reversed(part.get("allOf", ()))
    return {**found, "allOf": [*found.get("allOf", ()), *waiting]} if waiting else found


def joined(schema: Schema, other: Schema) -> Schema:
    """Both at once: the keywords of the other beside the schema's, or under `allOf` where they would not mean that."""
    new = {keyword: value for keyword, value in other.items() if not _is_said(keyword, other, schema)}
    free = _is_free(schema) and _is_free(new) and new.get("properties", {}).keys().isdisjoint(schema["properties"])
    together: dict[str, Any] = {"properties": {**schema["properties"], **new["properties"]}} if free else {}
    if "required" in schema and "required" in new:
        together["required"] = list(dict.fromkeys((*schema["required"], *new["required"])))
    clash = {word for keyword in new.keys() - NOTES - together.keys() for word in _group(keyword)} & schema.keys()
    if clash:
        return {**schema, "allOf": [*schema.get("allOf", ()), new]}
    return {**schema, **new, **together}


def _is_said(keyword: str, other: Schema, schema: Schema) -> bool:
    """The other's keyword adds nothing."""
    if keyword == "nullable":  # without a type beside it, it is a note
        return "type" not in other
    is_alone = _group(keyword) == {keyword} or (keyword == "type" and "nullable" not in {**schema, **other})
    return is_alone and keyword in schema and schema[keyword] == other[keyword]


def _is_free(schema: Schema) -> bool:
    """It lists keys, and says nothing of others."""
    return schema.keys() & _group("properties") == {"properties"}


def _group(keyword: str) -> set[str]:
    return next((group for group in _GROUPS if keyword in group), {keyword})


def _target(reference: Any, root: Schema) -> Any:
    """What a pointer into the document leads to; None if it is none, or leads nowhere."""
    if not (isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))):
        return None
    target: Any = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, Mapping):
            target = target.get(name)
        elif isinstance(target, Sequence) and not isinstance(target, str) and name.isdecimal():
            target = target[int(name)] if int(name) < len(target) else None
        else:
            return None
    return target


def as_object(schema: Any) -> Schema:
    """Boolean schemas written as objects."""
    return schema if isinstance(schema, Mapping) else {"not": {}} if schema is False else {}

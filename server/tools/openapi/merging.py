"""Schemas put together from parts (`allOf`, and variants beside common properties) as whole ones.

A tool's objects are closed: they have the properties they list. By that reading two objects in an `allOf` exclude each
other's properties, though documents mean one object with all of them. So they are made that object; where that can't
be done, they are said to be open.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

_MOST_VARIANTS = 12
_PLAIN = {"type", "properties", "required", "description", "default", "additionalProperties"}
_GROUPS: tuple[frozenset[str], ...] = (
    frozenset(("properties", "patternProperties", "additionalProperties")),
    frozenset(("items", "prefixItems", "contains", "minContains", "maxContains")),
    frozenset(("if", "then", "else")),
)
"""Keywords that look at each other, so that they must come from one place."""
_LOOKING_ROUND = frozenset(("unevaluatedProperties", "unevaluatedItems"))
_WORDS = frozenset(("description", "default"))


def whole(schema: Json) -> Json:
    """An equal schema for objects that list all of their properties in one place, as far as that can be had."""
    schema = _without_all_of(schema)
    for key in ("oneOf", "anyOf"):
        if key in schema and "properties" in schema:
            schema = _distributed(schema, key)
    return opened(schema) if "allOf" in schema and "properties" in schema else schema


def _without_all_of(schema: Json) -> Json:
    members = schema.get("allOf")
    if not isinstance(members, list):
        return schema
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    parts = [part for part in (*members, rest) if part is not True and part != {}]
    found = _merged(parts)
    return opened({**rest, "allOf": members}) if found is None else found


def _merged(parts: Sequence[Any]) -> Json | None:
    """One schema for all of them, None if there is no simple one."""
    result: Json = {}
    for part in parts:
        both = _both(result, part) if isinstance(part, dict) else None
        if both is None:
            return None
        result = both
    return result


def _both(one: Json, other: Json) -> Json | None:
    if _is_object(one) and _is_object(other):
        return _one_object(one, other)
    differ = any(one[key] != other[key] for key in one.keys() & other.keys() - _WORDS)
    look = any(group & one.keys() and group & other.keys() for group in _GROUPS)
    if differ or look or _LOOKING_ROUND & (one.keys() | other.keys()):
        return None
    return {**one, **other}


def _is_object(schema: Json) -> bool:
    is_closed = schema.get("additionalProperties") is False
    return not schema.keys() - _PLAIN and schema.get("type", "object") == "object" and not is_closed


def _one_object(one: Json, other: Json) -> Json | None:
    properties = dict(one.get("properties", {}))
    for name, schema in other.get("properties", {}).items():
        if name in properties and properties[name] != schema:
            both = [properties[name], schema]
            properties[name] = _merged(both) or {"allOf": both}
        else:
            properties[name] = schema
    required = list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())]))
    written = {**one, **other}
    if properties:
        written["properties"] = properties
    if required:
        written["required"] = required
    if "additionalProperties" in one and "additionalProperties" in other:
        both = [one["additionalProperties"], other["additionalProperties"]]
        if both[0] != both[1] and True not in both:
            return None
        written["additionalProperties"] = both[0] if both[1] is True else both[1]
    return written


def _distributed(schema: Json, key: str) -> Json:
    """Variants that each have the common properties, too."""
    base = {name: value for name, value in schema.items() if name != key and name not in _WORDS}
    words: Json = {name: schema[name] for name in _WORDS if name in schema}
    variants = [_merged([base, variant]) for variant in schema[key]]
    if len(variants) > _MOST_VARIANTS or any(variant is None for variant in variants):
        written: Json = opened(schema)
        return written
    return {**words, key: variants}


def opened(schema: Any) -> Any:
    """The schema with properties beyond those it lists, also in the parts it is put together from."""
    if not isinstance(schema, dict):
        return schema
    written = dict(schema)
    if "properties" in written:
        written.setdefault("additionalProperties", True)
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(written.get(key), list):
            written[key] = [opened(part) for part in written[key]]
    return written

"""Reads the JSON text of a call's arguments, and tells the usual ways in which it isn't one apart."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn


class ArgumentsError(ValueError):
    """The text is no JSON object. `code` says in which way."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_arguments(text: str) -> dict[str, Any]:
    """The object in a JSON text. Raises: ArgumentsError, for NaN, repeated keys and doubly encoded text too."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except ArgumentsError:
        raise
    except (ValueError, RecursionError) as error:
        raise ArgumentsError("arguments-not-json", f"arguments are not JSON: {error}") from error
    if isinstance(value, str) and _is_object(value):
        raise ArgumentsError("arguments-encoded-twice", "arguments are the JSON text of a JSON text: encoded twice")
    if not isinstance(value, dict):
        raise ArgumentsError("arguments-not-an-object", f"arguments are {_kind(value)}, not an object")
    return value


def members_of(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """A tool's parameters by name, and the names of those that are required; empty where the schema has no such."""
    properties, required = schema.get("properties"), schema.get("required")
    return properties if isinstance(properties, dict) else {}, required if isinstance(required, list) else []


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ArgumentsError("arguments-not-json", f"the key {twice!r} stands twice")
    return value


def _refuse_constant(constant: str) -> NoReturn:
    raise ArgumentsError("arguments-not-json", f"{constant} is not JSON")


def _kind(value: Any) -> str:
    return {list: "an array", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")

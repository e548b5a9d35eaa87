"""One text for all spellings of the same call, so that a repetition is seen however it is written.

Keys are sorted, 2.0 is 2, texts are in Unicode's composed form, an argument that says its schema's default is left out.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any


def canonical_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The arguments as JSON text; equal for calls that mean the same."""
    properties = schema.get("properties") or {}
    said = {key: _canonical(value) for key, value in arguments.items()}
    for key, described in properties.items():
        if key in said and isinstance(described, Mapping) and "default" in described:
            default = _canonical(described["default"])
            if type(said[key]) is type(default) and said[key] == default:
                del said[key]
    return json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def call_key(tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Equal for equal calls of a tool."""
    return _hash(tool, canonical_arguments(arguments, schema))


def approval_hash(tool: str, version: str, arguments: Mapping[str, Any], principal: str) -> str:
    """What an approval is given for: this tool as it is now, these very arguments, on behalf of this principal."""
    text = json.dumps(_canonical(arguments), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return _hash(tool, version, text, principal)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case str():
            return unicodedata.normalize("NFC", value)
        case Mapping():
            return {unicodedata.normalize("NFC", key): _canonical(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_canonical(inner) for inner in value]
        case _:
            return value

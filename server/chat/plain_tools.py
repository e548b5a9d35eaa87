"""Tools written out with all that templates count on, for those that refuse a legal tool which leaves something out.

Many templates read a description, `properties` or a type by its name without asking whether it is there: a tool without
a description, a `true` for a schema or `["string", "null"]` for a type makes them fail. Only what is shown to the model
is completed; the grammar and the validation keep to the schema as it was sent.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.chat.messages import Tool


def completed(tool: Tool) -> Tool:
    """The tool with a description, maybe an empty one, of itself and of each property, and with plain types."""
    parameters = {"type": "object", "properties": {}, **_completed(tool.parameters)}
    return replace(tool, description=tool.description or "", parameters=parameters)


def _completed(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    found = dict(schema)
    if isinstance(found.get("properties"), Mapping):
        found["properties"] = {
            name: {"description": "", **_completed(inner)} for name, inner in found["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), Mapping):
            found[key] = _completed(found[key])
    if "type" in found:
        kind = _plain_type(found.pop("type"))
        found = {"type": kind, **found} if kind else found
    return found


def _plain_type(given: Any) -> Any:
    """A type beside null is that type; null by itself, which templates don't know, is none."""
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]
    return kinds[0] if len(kinds) == 1 else kinds

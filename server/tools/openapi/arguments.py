"""The parameters and the body of an operation as one flat object, whose members are the tool's arguments.

A JSON or form body that is an object gives its properties to that object. One that may be left out although it has
properties that may not, or whose properties depend on each other, stays in one piece: an argument of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.tools.openapi.document import Json
from server.tools.openapi.operation import Body, Encoding, Parameter
from server.tools.openapi.words import legal_name

_PLAIN = {"type", "properties", "required", "additionalProperties", "description", "default"}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(slots=True)
class Arguments:
    """Grows by parameters, then a body."""

    properties: Json = field(default_factory=dict)
    required: list[str] = field(default_factory=list)

    def add(self, name: str, schema: Any, *, is_required: bool, place: str) -> str:
        """The argument's name: the parameter's own, if it is legal and free."""
        argument = legal_name(name, (), dots=True)
        if argument in self.properties:
            argument = legal_name(f"{place}_{name}", self.properties, dots=True)
        self.properties[argument] = schema
        if is_required:
            self.required.append(argument)
        return argument

    def add_body(self, content_type: str, schema: Any, encodings: Mapping[str, Encoding], *, is_required: bool) -> Body:
        if not _is_flat(schema, is_required=is_required):
            whole = self.add("body", schema, is_required=is_required, place="body")
            return Body(content_type, {}, whole, is_required, encodings)
        needed = schema.get("required", ())
        named = {
            self.add(name, inner, is_required=name in needed, place="body"): name
            for name, inner in schema["properties"].items()
        }
        return Body(content_type, named, None, is_required, encodings)

    def schema(self, definitions: Json) -> Json:
        """Of the whole."""
        written: Json = {"type": "object", "properties": self.properties}
        if self.required:
            written["required"] = self.required
        written["additionalProperties"] = False
        return {**written, "$defs": definitions} if definitions else written


def _is_flat(schema: Any, *, is_required: bool) -> bool:
    """Whether its properties can stand beside the parameters, and mean the same there."""
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict) or not schema["properties"]:
        return False
    if schema.keys() - _PLAIN or schema.get("type", "object") != "object":
        return False
    if isinstance(schema.get("additionalProperties"), dict) or schema.get("additionalProperties") is True:
        return False  # what else the body may have would have no place
    known = set(schema.get("required", ())) <= schema["properties"].keys()
    return known and (is_required or not schema.get("required"))


def encodings_of(content_type: str, media: Mapping[str, Any], schema: Any) -> dict[str, Encoding]:
    """How a form's properties are written (https://spec.openapis.org/oas/v3.1.1#encoding-object)."""
    if content_type not in _FORMS or not isinstance(schema, dict):
        return {}
    said = media.get("encoding") if isinstance(media.get("encoding"), dict) else {}
    properties = schema.get("properties")
    return {
        name: _encoding(inner, (said or {}).get(name) or {})
        for name, inner in (properties.items() if isinstance(properties, dict) else ())
    }


def _encoding(schema: Any, said: Mapping[str, Any]) -> Encoding:
    item = schema.get("items", schema) if isinstance(schema, dict) else {}
    item = item if isinstance(item, dict) else {}
    is_base64 = item.get("contentEncoding") == "base64" or item.get("format") == "byte"
    is_binary = item.get("format") == "binary" or ("contentMediaType" in item and "contentEncoding" not in item)
    style = said.get("style", "form")
    content_type = said.get("contentType") or item.get("contentMediaType")
    return Encoding(
        content_type.split(",")[0].strip() if isinstance(content_type, str) else None,
        style,
        bool(said.get("explode", style == "form")),
        is_binary or is_base64,
        is_base64,
    )


def idempotency_key(parameter: Mapping[str, Any]) -> bool:
    """Whether the gateway can fill it in (draft-ietf-httpapi-idempotency-key-header)."""
    is_named = str(parameter.get("name", "")).lower() == "idempotency-key" and parameter.get("in") == "header"
    schema = parameter.get("schema")
    return is_named and isinstance(schema, dict) and not {"pattern", "enum", "maxLength", "const"} & schema.keys()


def hidden_key() -> Parameter:
    return Parameter("", "Idempotency-Key", "header", "simple", explode=False, is_required=False, is_key=True)

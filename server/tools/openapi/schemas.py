"""A document's schemas as the model gets them: JSON Schema 2020-12 in one piece, every reference inlined.

A schema that contains itself can't be inlined: it becomes a definition under `$defs`, and so does everything that is
referred to where inlining would make a schema too large. References out of the document are refused, never fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from server.tools.openapi.document import Document, DocumentError, Json
from server.tools.openapi.merging import whole
from server.tools.openapi.words import plain_text

_INLINED = 400
"""Schemas in an operation that are written out before references become definitions."""
_LARGEST = 10_000
"""Schemas in an operation, at most."""
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
            "unevaluatedItems", "unevaluatedProperties", "contentSchema")  # fmt: skip
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("properties", "patternProperties", "dependentSchemas")
_VALUES = ("type", "enum", "const", "default", "required", "minimum", "maximum", "exclusiveMinimum",
           "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format", "minItems", "maxItems",
           "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties", "dependentRequired",
           "contentEncoding", "contentMediaType")  # fmt: skip
"""What is kept as it stands. All else (titles, examples, XML, extensions) says nothing about what is valid."""


class References:
    """Looks up what a document says elsewhere in it."""

    def __init__(self, body: Json) -> None:
        self._resolver = Registry().with_resource("", Resource.opaque(body)).resolver()
        self._found: dict[str, Any] = {}

    def find(self, reference: Any) -> Any:
        """Raises: DocumentError."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise DocumentError(f"the reference {str(reference)[:100]!r} leads out of the document")
        if reference not in self._found:
            try:
                self._found[reference] = self._resolver.lookup(reference).contents
            except (Unresolvable, ValueError, TypeError) as error:
                raise DocumentError(f"the reference {reference[:100]!r} leads nowhere") from error
        return self._found[reference]

    def follow(self, node: Any) -> Any:
        """The object itself, wherever it stands. Raises: DocumentError."""
        seen = set()
        while isinstance(node, dict) and "$ref" in node:
            reference = node["$ref"]
            if reference in seen:
                raise DocumentError(f"the reference {reference!r} leads to itself")
            node = self.find(reference)
            seen.add(reference)
        return node


class _TooLargeError(Exception):
    """Inlining takes too much room."""


@dataclass(slots=True)
class SchemaReader:
    """Reads the schemas of one operation; `definitions` are what they share."""

    document: Document
    references: References
    definitions: Json = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _inlines: bool = True

    def read(self, schema: Any) -> Any:
        """For what is sent: read-only properties are left out. Raises: DocumentError."""
        before = self._count, dict(self.definitions), dict(self._names)
        try:
            return self._read(schema, ())
        except _TooLargeError:
            self._inlines = False
            self._count, self.definitions, self._names = before
        try:
            return self._read(schema, ())
        except _TooLargeError as error:
            raise DocumentError(f"its schema has more than {_LARGEST:,} parts") from error

    def _read(self, node: Any, trail: tuple[str, ...]) -> Any:
        self._count += 1
        if self._count > (_INLINED if self._inlines else _LARGEST):
            raise _TooLargeError
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise DocumentError("a schema is no object")
        if "$ref" in node:
            return self._refer(node, trail)
        if "$dynamicRef" in node:
            raise DocumentError("$dynamicRef is not read")
        return self._keywords(node, trail)

    def _refer(self, node: Json, trail: tuple[str, ...]) -> Any:
        reference = node["$ref"]
        target = self.references.find(reference)
        beside = {} if self.document.version == "3.0" else {key: node[key] for key in node if key != "$ref"}
        if self._inlines and reference not in trail:
            found = self._read(target, (*trail, reference))
        else:
            found = {"$ref": f"#/$defs/{self._define(reference, target)}"}
        said = self._keywords(beside, trail) if beside else {}
        if not said:
            return found
        if isinstance(found, dict) and said.keys() <= {"description", "default"}:
            return {**found, **said}
        return whole({"allOf": [found, said]})

    def _define(self, reference: str, target: Any) -> str:
        if reference in self._names:
            return self._names[reference]
        stem = "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in reference.rpartition("/")[2])
        name = next(n for i in range(len(self._names) + 2) if (n := f"{stem}{i or ''}") not in self._names.values())
        self._names[reference] = name
        self.definitions[name] = True  # in its place, while it is read
        self.definitions[name] = self._read(target, (reference,))
        return name

    def _keywords(self, node: Json, trail: tuple[str, ...]) -> Json:
        written: Json = {key: _whole_number(node[key]) for key in _VALUES if key in node}
        if "contentMediaType" in node and "type" not in node:
            written["type"] = "string"  # bytes have no type, and the model writes texts
        for key in _SCHEMAS:
            if key in node:
                written[key] = self._read(node[key], trail)
        for key in _SCHEMA_LISTS:
            if isinstance(node.get(key), list):
                written[key] = [self._part(one, trail) for one in node[key]]
        for key in _SCHEMA_MAPS:
            if isinstance(node.get(key), dict):
                kept = {name: one for name, one in node[key].items() if not self._is_read_only(one)}
                written[key] = {name: self._read(one, trail) for name, one in kept.items()}
                self._forget(written, node[key].keys() - kept.keys())
        if (description := plain_text(node.get("description"))) is not None:
            written["description"] = description
        return whole(_as_2020(written, node) if self.document.version == "3.0" else written)

    def _part(self, node: Any, trail: tuple[str, ...]) -> Any:
        """Of a schema that is put together: inlined, if it can be, so that the parts can be one."""
        if isinstance(node, dict) and node.keys() == {"$ref"} and node["$ref"] not in trail:
            return self._read(self.references.find(node["$ref"]), (*trail, node["$ref"]))
        return self._read(node, trail)

    def _is_read_only(self, schema: Any) -> bool:
        """Or can't be sent because it says so further down (https://spec.openapis.org/oas/v3.1.1#schema-object)."""
        found = self.references.follow(schema)
        return any(isinstance(one, dict) and one.get("readOnly") is True for one in (schema, found))

    def _forget(self, written: Json, names: set[str]) -> None:
        if names and isinstance(written.get("required"), list):
            written["required"] = [name for name in written["required"] if name not in names]


def _whole_number(value: Any) -> Any:
    """Documents that went through JavaScript have bounds such as -9.223372036854776e18."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_2020(written: Json, node: Mapping[str, Any]) -> Json:
    """OpenAPI 3.0 has `nullable`, and bounds that are excluded by a flag (https://spec.openapis.org/oas/v3.0.4)."""
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(written.get(flag), bool) and written.pop(flag) and bound in written:
            written[flag] = written.pop(bound)
    if node.get("nullable") is True and isinstance(written.get("type"), str):
        written["type"] = [written["type"], "null"]
        if isinstance(written.get("enum"), list) and None not in written["enum"]:
            written["enum"] = [*written["enum"], None]
    return written

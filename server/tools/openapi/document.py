"""An OpenAPI 3.0 or 3.1 document as it comes from outside: bytes in, plain JSON values out, all of it bounded.

The document may be anybody's. Its size, its nesting and what YAML's aliases expand to are bounded before anything walks
it, and its structure is held to the specification's own JSON Schema, which follows none of the document's references.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml
from jsonschema import Draft4Validator, Draft202012Validator
from openapi_spec_validator.schemas import schema_v30, schema_v31

Json = dict[str, Any]
Version = Literal["3.0", "3.1"]

LARGEST = 16 * 2**20
"""Bytes of a document."""
_DEEPEST = 100
_MOST_NODES = 2_000_000
"""Values, each counted as often as it is reached: an alias of an alias doubles at every level."""
_SHOWN_FAULTS = 5


class DocumentError(Exception):
    """A document can't be used. Says why."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that is what it says it is."""

    body: Json
    version: Version
    location: str = ""
    """Where it was read: relative servers are relative to it."""


def read_document(data: bytes, location: str = "") -> Document:
    """JSON or YAML. Raises: DocumentError."""
    if len(data) > LARGEST:
        raise DocumentError(f"the document has more than {LARGEST // 2**20} MiB")
    body = _parse(data)
    if not isinstance(body, dict):
        raise DocumentError("the document is no object")
    _measure(body)
    body = _named(body)
    match str(body.get("openapi", "")).split(".")[:2]:
        case ["3", "0"]:
            version: Version = "3.0"
        case ["3", "1"]:
            version = "3.1"
        case _:
            raise DocumentError("only OpenAPI 3.0 and 3.1 are read; `openapi` says " + repr(body.get("openapi")))
    _check(body, version)
    return Document(body, version, location)


def _parse(data: bytes) -> Any:
    text = data.decode("utf-8-sig", errors="replace")
    try:
        is_json = re.match(r"\s*\{\s*[\"}]", text) is not None  # YAML, too, may begin with a brace
        return json.loads(text, parse_constant=_refuse_constant) if is_json else _load_yaml(text)
    except RecursionError as error:
        raise DocumentError("the document nests too deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(f"the document is neither JSON nor YAML: {str(error)[:200]}") from error


def _refuse_constant(name: str) -> Any:
    raise DocumentError(f"the document has {name}, which is not JSON")


class _JsonLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON has it: `no` and `2026-01-01` are texts, and a key that comes twice is an error."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class' own way


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _JsonLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _load_yaml(text: str) -> Any:
    depth = 0
    # libyaml composes recursively, in C: depth is looked at before.
    for token in yaml.parse(text, Loader=_JsonLoader):
        if isinstance(token, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(token, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise DocumentError("the document nests too deep")
    return yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - a safe loader


def _measure(body: Any) -> None:
    """Count what a walk would meet, without walking it. Raises: DocumentError."""
    counted: dict[int, int] = {}
    under_way: set[int] = set()

    def count(node: Any, depth: int) -> int:
        if not isinstance(node, dict | list):
            return 1
        if depth > _DEEPEST:
            raise DocumentError("the document nests too deep")
        if (known := counted.get(id(node))) is not None:
            return known
        if id(node) in under_way:
            raise DocumentError("the document contains itself, by a YAML alias")
        under_way.add(id(node))
        children = node.values() if isinstance(node, dict) else node
        total = 1 + sum(count(child, depth + 1) for child in children)
        under_way.discard(id(node))
        counted[id(node)] = total
        if total > _MOST_NODES:
            raise DocumentError(f"the document has more than {_MOST_NODES:,} values")
        return total

    count(body, 0)


def _named(node: Any) -> Any:
    """With texts for keys: YAML reads a response's `200` as a number."""
    if isinstance(node, dict):
        return {_key(key): _named(value) for key, value in node.items()}
    return [_named(item) for item in node] if isinstance(node, list) else node


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key) if isinstance(key, bool | int | float) else str(key)


@cache
def _validator(version: Version) -> Any:
    """The specification's schema of a document (https://spec.openapis.org/#openapi-specification-schemas)."""
    if version == "3.0":
        written = dict(schema_v30)
        any_schema = {"type": "object", "not": {"required": ["$ref"]}}  # schemas are read where they are used
        written["definitions"] = {**written["definitions"], "Schema": any_schema}
        return Draft4Validator(written)
    return Draft202012Validator(_without_dynamic_references(dict(schema_v31)))


def _without_dynamic_references(node: Any) -> Any:
    """They stand for the JSON Schemas in a document, and looking up one takes jsonschema 4 ms."""
    if isinstance(node, dict):
        return {key: _without_dynamic_references(value) for key, value in node.items() if key != "$dynamicRef"}
    return [_without_dynamic_references(item) for item in node] if isinstance(node, list) else node


def _check(body: Json, version: Version) -> None:
    faults = []
    try:
        for error in _validator(version).iter_errors(body):
            faults.append(f"{error.json_path}: {error.message[:200]}")
            if len(faults) == _SHOWN_FAULTS:
                break
    except RecursionError as error:
        raise DocumentError("the document nests too deep") from error
    if faults:
        raise DocumentError(f"the document is not OpenAPI {version}: " + "; ".join(faults))

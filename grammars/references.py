"""Resolves `$ref` inside one schema document and to the published meta-schemas. Nothing is ever fetched."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped, unused-ignore]

from grammars.errors import InvalidSchema, UnsupportedSchema

_SCHEMAS_BELOW = frozenset(
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"]  # name → schema
)
_SCHEMA_KEYWORDS = frozenset(
    [
        "additionalProperties",
        "propertyNames",
        "items",
        "additionalItems",
        "contains",
        "not",
        "if",
        "then",
        "else",
        "allOf",
        "anyOf",
        "oneOf",
        "prefixItems",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    ]
)


class References:
    """Where schemas stand and what they are called. Built only when something is called by more than a pointer."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._named: dict[str, tuple[Any, str]] | None = None
        self._bases: dict[str, str] = {}
        self._resources: list[str] = []
        self.has_ids = _mentions(document, ("$id", "id"))

    def resolve(self, reference: str, pointer: str) -> tuple[Any, str]:
        """The schema a reference points to, and its JSON pointer (RFC 6901).

        `pointer`: where the reference stands. Raises: InvalidSchema, UnsupportedSchema.
        """
        root = _published_root(pointer)
        if root is not None and reference.startswith("#"):
            return _walk(_published(root), reference[1:], root + "#", reference, pointer)
        if reference in ("#", "") and not self._resource_below(pointer):
            return self._document, ""
        if reference.startswith("#/") and not self._resource_below(pointer):
            return _walk(self._document, reference[1:], "", reference, pointer)
        return self._by_name(reference, pointer)

    def dynamic_anchors(self, name: str) -> int:
        self._index()
        return sum(1 for key in self._named or {} if key.endswith(f"#!{name}"))

    def _resource_below(self, pointer: str) -> bool:
        """The place is inside of an embedded schema with an identifier of its own."""
        if not self.has_ids:
            return False
        self._index()
        return any(pointer == root or pointer.startswith(root + "/") for root in self._resources if root)

    def _by_name(self, reference: str, pointer: str) -> tuple[Any, str]:
        self._index()
        assert self._named is not None
        base = self._base_of(pointer)
        root = _published_root(pointer)
        target, fragment = urldefrag(urljoin(base if root is None else root, reference))
        if fragment and not fragment.startswith("/"):
            found = self._named.get(f"{target}#{fragment}")
            if found is not None:
                return found
        else:
            found = self._named.get(target) or ((self._document, "") if target == "" else None)
            if found is not None:
                return _walk(found[0], fragment, found[1], reference, pointer)
        published = _published(target)
        if published is not None and (not fragment or fragment.startswith("/")):
            return _walk(published, fragment, target + "#", reference, pointer)
        raise UnsupportedSchema("$ref", pointer, f"{reference!r} is outside of this schema, and nothing is fetched")

    def _base_of(self, pointer: str) -> str:
        while pointer:
            if pointer in self._bases:
                return self._bases[pointer]
            pointer = pointer.rpartition("/")[0]
        return self._bases.get("", "")

    def _index(self) -> None:
        if self._named is not None:
            return
        self._named = {}
        stack: list[tuple[Any, str, str]] = [(self._document, "", "")]
        while stack:
            schema, pointer, base = stack.pop()
            if not isinstance(schema, Mapping):
                continue
            own = schema.get("$id", schema.get("id"))
            if isinstance(own, str) and not ("$ref" in schema and "$id" not in schema):
                if own.startswith("#"):
                    self._named[f"{base}{own}"] = (schema, pointer)
                else:
                    base = urldefrag(urljoin(base, own))[0]
                    self._named.setdefault(base, (schema, pointer))
                    self._bases[pointer] = base
                    self._resources.append(pointer)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(schema.get(keyword), str):
                    self._named[f"{base}#{schema[keyword]}"] = (schema, pointer)
            if isinstance(schema.get("$dynamicAnchor"), str):
                self._named[f"{pointer}#!{schema['$dynamicAnchor']}"] = (schema, pointer)
            stack.extend((below, where, base) for below, where in _below(schema, pointer))


def child(pointer: str, *names: object) -> str:
    """The JSON pointer of something below `pointer`."""
    return pointer + "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def _below(schema: Mapping[str, Any], pointer: str) -> Iterator[tuple[Any, str]]:
    for keyword, value in schema.items():
        if keyword in _SCHEMAS_BELOW and isinstance(value, Mapping):
            yield from ((v, child(pointer, keyword, name)) for name, v in value.items())
        elif keyword in _SCHEMA_KEYWORDS:
            if isinstance(value, list):
                yield from ((v, child(pointer, keyword, i)) for i, v in enumerate(value))
            else:
                yield value, child(pointer, keyword)


def _published_root(pointer: str) -> str | None:
    """The meta-schema that a pointer leads into; None for one into this document, whose keys may have a # as well."""
    root, mark, _ = pointer.partition("#")
    return root if mark and not pointer.startswith("/") else None


def _walk(root: Any, fragment: str, start: str, reference: str, pointer: str) -> tuple[Any, str]:
    value, found = root, start
    for part in unquote(fragment).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value, found = _step(value, name, reference, pointer), child(found, name)
    return value, found


def _step(value: Any, name: str, reference: str, pointer: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, Sequence) and not isinstance(value, str) and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    raise InvalidSchema(f"$ref {reference!r} points to nothing: there is no {name!r}", pointer)


def _mentions(document: Any, keywords: tuple[str, ...]) -> bool:
    """One of these identifiers somewhere below the root."""
    stack = list(document.values()) if isinstance(document, Mapping) else []
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for keyword in keywords:
                if keyword in value and isinstance(value[keyword], str):
                    return True
            stack.extend([v for v in value.values() if v.__class__ is dict or v.__class__ is list])
        elif isinstance(value, list):
            stack.extend(value)
    return False


@cache
def _published(uri: str) -> Any:
    """A meta-schema of json-schema.org, out of the package jsonschema-specifications; None if it is none."""
    try:
        return REGISTRY.contents(uri)
    except LookupError:
        return None

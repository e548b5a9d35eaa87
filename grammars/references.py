"""Resolves `$ref` inside one schema document. Nothing is ever fetched."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from grammars.errors import InvalidSchema, UnsupportedSchema


def resolve(document: Any, reference: str, pointer: str) -> tuple[Any, str]:
    """The schema a local reference points to, and its JSON pointer (RFC 6901).

    `pointer`: where the reference stands, for errors. Raises: InvalidSchema, UnsupportedSchema.
    """
    if reference != "#" and not reference.startswith("#/"):
        raise UnsupportedSchema("$ref", pointer, f"{reference!r} is not a pointer into the same schema (#/…)")
    target = unquote(reference[1:])
    value = document
    for part in target.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = _step(value, name, reference, pointer)
    return value, target


def child(pointer: str, *names: object) -> str:
    """The JSON pointer of something below `pointer`."""
    return pointer + "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def _step(value: Any, name: str, reference: str, pointer: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, Sequence) and not isinstance(value, str) and name.isdigit() and int(name) < len(value):
        return value[int(name)]
    raise InvalidSchema(f"$ref {reference!r} points to nothing: there is no {name!r}", pointer)

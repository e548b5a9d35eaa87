"""What has changed between two versions of an operation, in words, and how far that matters.

`breaking`: a call that was right may now be wrong. `texts`: words the model reads that were not there before. `server`
and `effect`: it goes elsewhere or does something else, which is never taken over without a person.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from server.tools.openapi.document import Json
from server.tools.openapi.operation import Operation

Kind = Literal["compatible", "texts", "breaking", "server", "effect"]


@dataclass(frozen=True, slots=True)
class Changes:
    """From one version to the next, each with its kind."""

    found: tuple[tuple[Kind, str], ...] = ()

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(kind for kind, _ in self.found)

    @property
    def notes(self) -> tuple[str, ...]:
        """For a person."""
        return tuple(note for _, note in self.found)

    @property
    def harmless_notes(self) -> str:
        """For the model: which arguments have changed, in our words, and none of the words that are new."""
        return "; ".join(note for kind, note in self.found if kind in ("breaking", "compatible"))


def compare(old: Operation, new: Operation) -> Changes:
    found = [*_whole(old, new), *_arguments(old.schema, new.schema)]
    if not found and old.hash != new.hash:
        found = [("compatible", "the way it is written has changed")]
    return Changes(tuple(found))


def _whole(old: Operation, new: Operation) -> Iterator[tuple[Kind, str]]:
    if _server(old) != _server(new):
        yield "server", f"it is at {_server(new)}, and was at {_server(old)}"
    if (old.method, urlsplit(old.url).path) != (new.method, urlsplit(new.url).path):
        yield "breaking", f"it is {new.method} {urlsplit(new.url).path}"
    if old.effect != new.effect:
        yield "effect", f"its effect is {new.effect}, and was {old.effect}"
    if (old.security, old.schemes) != (new.security, new.schemes):
        yield "breaking", "what credentials it needs has changed"
    if (old.body.content_type if old.body else "") != (new.body.content_type if new.body else ""):
        yield "compatible", "the type of its body has changed"
    known = set(texts_of(old))
    for text in texts_of(new):
        if text not in known:
            yield "texts", f"new words: {text[:300]}"


def _server(operation: Operation) -> str:
    parts = urlsplit(operation.url)
    return f"{parts.scheme}://{parts.netloc}"


def _arguments(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    before, after = old["properties"], new["properties"]
    needed_before, needed = set(old.get("required", ())), set(new.get("required", ()))
    for name in before:
        if name not in after:
            yield "breaking", f"the argument {name} is gone"
    for name in after:
        if name not in before:
            is_needed = name in needed
            yield ("breaking" if is_needed else "compatible"), f"the argument {name} is new{', required' * is_needed}"
        elif name in needed - needed_before:
            yield "breaking", f"the argument {name} is required now"
        elif name in needed_before - needed:
            yield "compatible", f"the argument {name} may be left out now"
    for name in before.keys() & after.keys():
        if (was := _bare(before[name])) != (now := _bare(after[name])):
            kind: Kind = "compatible" if _widens(was, now) else "breaking"
            yield kind, f"the argument {name} takes other values"
    if _bare(old.get("$defs")) != _bare(new.get("$defs")):
        yield "breaking", "a part of its arguments takes other values"


def _widens(was: Any, now: Any) -> bool:
    """Whether everything that was valid surely is: more members of an enumeration, fewer demands."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return now is True or now == {}
    if "enum" in was and "enum" in now and _rest(was) == _rest(now):
        return all(value in now["enum"] for value in was["enum"])
    return now.items() <= was.items() and not now.keys() & {"properties", "items"}


def _rest(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "enum"}


def _bare(node: Any) -> Any:
    """A schema without its words."""
    if isinstance(node, dict):
        return {
            key: {name: _bare(one) for name, one in value.items()}
            if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict)
            else _bare(value)
            for key, value in node.items()
            if key != "description"
        }
    return [_bare(item) for item in node] if isinstance(node, list) else node


def texts_of(operation: Operation) -> list[str]:
    """All words of it that the model reads: descriptions, and names and values that say something."""
    return ([operation.description] if operation.description else []) + list(_texts(operation.schema))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield value
            elif key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
                for one in value.values():
                    yield from _texts(one)
            else:
                yield from _texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, str) and node.count(" ") > 2:  # an enumeration's member may hold a sentence
        yield node


def without_texts(node: Any) -> Any:
    """A schema for a model that is not to read its source's words."""
    return _bare(node)

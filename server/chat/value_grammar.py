"""One value's JSON, by its schema: a part of a tool's, whose references mean the whole."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import grammars
from grammars import Entry, Fragment, GrammarError, Report, Spacing, UnsupportedSchema
from server.chat.text_schema import REFERENCES, Schema

VALUE_STEPS = 1_000
"""What a value costs, in `grammars.effort`'s steps, where values are written out one by one, each time one is named."""
_HOME = "/$defs/tool"
"""Where the tool's schema stands in a value's document."""
_SHELL = "/allOf/0"
"""Where the value's does."""
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_DATA = ("enum", "const", "default", "examples", "example")


class ValueGrammars:
    """Compiles the values of one tool."""

    def __init__(self, root: Schema, *, strict: bool) -> None:
        self._root = root
        self._strict = strict

    def compile(self, schema: Any, pointer: str, kind: str | None = None) -> Fragment:
        """`pointer`: where the schema stands in the tool's; `kind`: values of that type only. Raises: GrammarError."""
        refers = _refers(schema)
        document = schema
        if refers or kind is not None:
            document = {"allOf": [self._part(schema) if refers else schema, *([{"type": kind}] if kind else ())]}
            document |= {"$defs": {"tool": self._home}} if refers else {}
        try:
            fragment = grammars.compile_schema(
                document, strict=self._strict, spacing=Spacing.SPACED, closed=True, openapi=True
            )
        except UnsupportedSchema as error:
            place = _place(error.pointer, pointer, is_whole=document is schema)
            raise UnsupportedSchema(error.keyword, place, error.reason) from error
        except GrammarError as error:
            place = _place(error.pointer, pointer, is_whole=document is schema)
            raise type(error)(str(error).rpartition(" (at ")[0], place) from error
        report = fragment.report
        parts = (report.enforced, report.widened, report.narrowed, report.annotations)
        return Fragment(fragment.node, Report(*(_placed(part, pointer, is_whole=document is schema) for part in parts)))

    def _part(self, schema: Any) -> Any:
        if not _is_resource(schema):
            return _moved(schema)
        return {**{name: self._root[name] for name in ("$defs", "definitions") if name in self._root}, **schema}

    @cached_property
    def _home(self) -> Any:
        return _moved({keyword: value for keyword, value in self._root.items() if keyword not in ("$id", "id")})


def _refers(schema: Any) -> bool:
    text = json.dumps(schema)
    return any(f'"{keyword}"' in text for keyword in REFERENCES)


def _moved(value: Any, *, is_names: bool = False) -> Any:
    """A schema whose references to the document lead to `_HOME`. `is_names`: the keys are no keywords."""
    if isinstance(value, list):
        return [_moved(one) for one in value]
    if not isinstance(value, Mapping) or (_is_resource(value) and not is_names):
        return value
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if not is_names and key in REFERENCES and (inner == "#" or str(inner).startswith("#/")):
            found[key] = f"#{_HOME}{inner[1:]}"
        elif not is_names and key in _DATA:
            found[key] = inner
        else:
            found[key] = _moved(inner, is_names=not is_names and key in _BY_NAME)
    return found


def _is_resource(schema: Any) -> bool:
    """It has an identifier of its own, which its references start from."""
    own = schema.get("$id", schema.get("id")) if isinstance(schema, Mapping) else None
    return isinstance(own, str) and not own.startswith("#")


def _place(found: str, pointer: str, *, is_whole: bool) -> str:
    """A place in a value's document, as one in the tool's schema."""
    if is_whole:
        return pointer + found
    return found.removeprefix(_HOME) if found.startswith(_HOME) else pointer + found.removeprefix(_SHELL)


def _placed(entries: tuple[Entry, ...], pointer: str, *, is_whole: bool) -> tuple[Entry, ...]:
    return tuple(
        Entry(entry.keyword, _place(entry.pointer, pointer, is_whole=is_whole), entry.note)
        for entry in entries
        if is_whole or entry.pointer.startswith((_HOME, _SHELL))
    )

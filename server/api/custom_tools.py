"""Custom tools: calls whose input is a text, free or under a grammar, instead of JSON arguments.

Models write calls with JSON arguments, so to the model a custom tool is a function of one string, `input`; its grammar
holds that string. On the way out the string's text is read back out of the arguments, while they stream.
Source: https://platform.openai.com/docs/guides/function-calling#custom-tools.
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from server.api.sampling_fields import Wire
from server.chat.messages import Tool
from server.chat.parser import CallDelta, CallEnd, CallStart, Delta

NAME = r"^[a-zA-Z0-9_.-]{1,64}$"
_VALUE = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_UNITS = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89abAB])[0-9a-fA-F]{4})*'
)
"""What can be decoded of a JSON string's inside: whole escapes only."""


class FreeInput(Wire):
    type: Literal["text"]


class GrammarText(Wire):
    syntax: Literal["lark", "regex"]
    definition: str = Field(min_length=1, max_length=100_000)


class GrammarInput(Wire):
    type: Literal["grammar"]
    grammar: GrammarText


class CustomIn(Wire):
    name: str = Field(pattern=NAME)
    description: str | None = None
    format: (
        Annotated[
            Annotated[FreeInput, Tag("Free")] | Annotated[GrammarInput, Tag("Grammar")],
            Discriminator(lambda value: "Grammar" if _kind(value) == "grammar" else "Free"),
        ]
        | None
    ) = None


class CustomToolIn(Wire):
    type: Literal["custom"]
    custom: CustomIn


class CustomName(Wire):
    name: str


class NamedCustomChoice(Wire):
    type: Literal["custom"]
    custom: CustomName


class CustomCall(Wire):
    name: str
    input: str


class CustomCallIn(Wire):
    id: str
    type: Literal["custom"]
    custom: CustomCall


def custom_tool(given: CustomIn) -> Tool:
    """The function that a custom tool is to the model."""
    lark = None
    schema: dict[str, Any] = {"type": "string", "description": "The input, as plain text."}
    if isinstance(given.format, GrammarInput):
        grammar = given.format.grammar
        if grammar.syntax == "regex":
            schema["pattern"] = f"^(?:{grammar.definition})$"
        else:
            lark = grammar.definition
    parameters = {"type": "object", "properties": {"input": schema}, "required": ["input"]}
    return Tool(
        given.name,
        {**parameters, "additionalProperties": False},
        given.description,
        strict=True,
        is_custom=True,
        input_grammar=lark,
    )


def as_arguments(text: str) -> str:
    """A custom call's input as the arguments of the function."""
    return json.dumps({"input": text}, ensure_ascii=False)


class CustomCalls:
    """Turns the arguments of custom tools' calls into their input, delta by delta; all else stays as it is."""

    def __init__(self, names: frozenset[str]) -> None:
        """`names`: of the custom tools."""
        self._names = names
        self._reader: _InputReader | None = None

    def feed(self, delta: Delta) -> Delta | None:
        """None: nothing to be told yet."""
        match delta:
            case CallStart(_, name):
                self._reader = _InputReader() if name in self._names else None
            case CallDelta(index, arguments) if self._reader is not None:
                text = self._reader.feed(arguments)
                return CallDelta(index, text) if text else None
            case CallEnd():
                self._reader = None
        return delta


class _InputReader:
    """The text of `{"input": "…"}`, which comes in pieces."""

    def __init__(self) -> None:
        self._raw = ""
        self._has_begun = False

    def feed(self, piece: str) -> str:
        self._raw += piece
        if not self._has_begun:
            start = _VALUE.match(self._raw)
            if start is None:
                return ""
            self._has_begun = True
            self._raw = self._raw[start.end() :]
        units = _UNITS.match(self._raw)
        inside = units[0] if units else ""
        self._raw = self._raw[len(inside) :]
        text: str = json.loads(f'"{inside}"', strict=False)
        return text


def _kind(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)

"""Where the values of a call come from: the user's words, a tool's result, an earlier answer, the schema, or nowhere.

A value that stands nowhere is invented; a model that invents is dangerous however valid its JSON. Words are compared
without letter case and punctuation, and as a whole sequence: "art" does not stand in "party".
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from evals.case import Json

Source = Literal["user", "result", "assistant", "schema", "invented"]
SOURCES: tuple[Source, ...] = ("user", "result", "assistant", "schema", "invented")

_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


def trace_values(arguments: Json, schema: Json, messages: list[Json]) -> list[Source]:
    """The source of every scalar in the arguments; the first that has it, in the order of `SOURCES`.

    System and developer messages count as the user's. A boolean is a choice of two that its schema offers.
    """
    texts = {role: _words(" ".join(_texts(messages, role))) for role in ("user", "result", "assistant")}
    offered = {_words(_written(value)) for value in _offers(schema)}
    return [_source(value, texts, offered) for value in _scalars(arguments)]


def _source(value: Any, texts: dict[str, str], offered: set[str]) -> Source:
    if isinstance(value, bool) or value is None:
        return "schema"
    forms = {_words(_written(value))}
    if isinstance(value, int | float) and value in range(len(_NUMBERS)):
        forms.add(_words(_NUMBERS[int(value)]))
    for source in ("user", "result", "assistant"):
        if any(form in texts[source] for form in forms if form.strip()):
            return source
    return "schema" if forms & offered else "invented"


def _texts(messages: list[Json], source: str) -> Iterator[str]:
    roles = {"user": ("user", "system", "developer"), "result": ("tool",), "assistant": ("assistant",)}[source]
    for message in messages:
        if message["role"] in roles:
            content = message.get("content") or ""
            yield content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
            for call in message.get("tool_calls") or ():
                yield call["function"]["arguments"]


def _offers(schema: Any) -> Iterator[Any]:
    """Values a schema names: enum, const, default."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "enum" and isinstance(value, list):
                yield from value
            elif key in ("const", "default"):
                yield from _scalars(value)
            else:
                yield from _offers(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _offers(item)


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    else:
        yield value


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _words(text: str) -> str:
    """Words with one blank around each, so that `in` compares whole words."""
    words = re.findall(r"\w+", text.casefold())
    return f" {' '.join(words)} "

"""What a tool is found by, and what of a user's words is looked for."""

import re
from dataclasses import dataclass
from typing import Any

from server.tools.definition import ToolDefinition

_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        a about all an and are as at be by can could do does for from give had has have how i if in into is it its me my
        need of on or our please should tell that the their them then there these this to us use using want was we were
        what when where which who will with would you your
        """,
    )
)
_QUOTED = 0.3
"""Weight of a word within quotation marks: it is mostly a value, not what is to be done with it."""
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool's words, by their worth."""

    name: str
    description: str
    arguments: str
    """Names and descriptions of its arguments."""
    keywords: str
    """Further words: what it belongs to, what its answer holds."""

    @staticmethod
    def of(tool: ToolDefinition) -> "Entry":
        properties: dict[str, Any] = dict(tool.parameters.get("properties") or {})
        described = (
            f"{spaced(name)} {schema.get('description', '') if isinstance(schema, dict) else ''}"
            for name, schema in properties.items()
        )
        return Entry(spaced(tool.name), tool.description or "", " ".join(described), tool.keywords)

    @property
    def sentence(self) -> str:
        """What a vector is made of."""
        return f"{self.name}: {self.description}. {self.arguments}"


def spaced(name: str) -> str:
    """`getUserById` and `get_user_by_id` as the words they are made of."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_.-]+", " ", name)


def query_terms(text: str) -> dict[str, float]:
    """Words to their weights, without those that every question has."""
    outside = set(_words(re.sub(r'"[^"\n]*"?', " ", text)))
    return {word: 1.0 if word in outside else _QUOTED for word in _words(text)}


def sentences(text: str) -> list[str]:
    """The parts of a text that may each ask for a tool of its own; the whole is one of them."""
    parts = [part for part in _SENTENCE.split(text.strip()) if any(_words(part))]
    return parts if len(parts) == 1 else [text, *parts]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(spaced(text).lower()) if word not in _STOP]

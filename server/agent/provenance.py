"""Where each value of a call comes from: the user's words, an earlier result, the assistant's, the schema, or nowhere.

A value that stands nowhere is invented: valid as it may be, nobody said it. Texts are compared without case and only as
a whole: `bob@example.com` does not come from `bob@example.com.evil.org`, nor 7 from 17. This is a trace, no proof: a
text the model has put together from others counts as invented, which is the safe side.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.tools.definition import Source

_NUMBER = re.compile(r"(?<![\w.@/#-])-?\d[\d,]*(?:\.\d+)?(?!\w|[.,/-]\d)")
_JOINTS = ".@/-+#%_"
"""Signs that glue words to one: an address, a path, a date."""
_SIGHT = 64
"""Characters looked at on each side of a find."""
_NAMES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_WORDS = {word: float(number) for number, word in enumerate(_NAMES)}


@dataclass(frozen=True, slots=True)
class Origin:
    """Of one leaf."""

    source: Source
    result: int | None = None
    """The call whose result has it, for `result`."""

    def __str__(self) -> str:
        return f"result {self.result}" if self.result is not None else self.source


@dataclass(slots=True)
class Voices:
    """What was said in a run, and by whom."""

    user: list[str] = field(default_factory=list)
    """The system's and developer's words count as the user's: both are the principal's."""
    results: dict[int, list[str]] = field(default_factory=dict)
    assistant: list[str] = field(default_factory=list)

    def hear_result(self, number: int, data: Any) -> None:
        """`data`: a JSON value, or the text of one that was trimmed."""
        self.results.setdefault(number, []).extend(str(leaf) for _, leaf in leaves(data))

    def trace(self, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Origin]:
        """JSON pointer of each leaf to its origin: the first that has it, in the order of `Source`."""
        return {pointer: self._origin(value, _at(schema, pointer)) for pointer, value in leaves(arguments)}

    def _origin(self, value: Any, schema: Mapping[str, Any]) -> Origin:
        if isinstance(value, bool) or value in (None, "", [], {}):
            return Origin("default")  # no text could tell where these come from
        if _stands_in(value, self.user):
            return Origin("user")
        for number, texts in self.results.items():
            if _stands_in(value, texts):
                return Origin("result", number)
        if _stands_in(value, self.assistant):
            return Origin("assistant")
        offered = [schema.get("default"), schema.get("const"), *(schema.get("enum") or ())]
        return Origin("default" if value in offered else "invented")


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Scalars and empty containers, each with its JSON pointer (RFC 6901)."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


def _stands_in(value: Any, texts: list[str]) -> bool:
    if isinstance(value, int | float):
        return any(value in _numbers(text) for text in texts)
    wanted = _plain(str(value))
    return bool(wanted) and any(_has_whole(_plain(text), wanted) for text in texts)


def _numbers(text: str) -> set[float]:
    found = {float(number.replace(",", "")) for number in _NUMBER.findall(text)}
    return found | {_WORDS[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in _WORDS}


def _has_whole(text: str, wanted: str) -> bool:
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        before, behind = text[max(0, start - _SIGHT) : start], text[end : end + _SIGHT]
        if not _joined(before[::-1], wanted[0]) and not _joined(behind, wanted[-1]):
            return True
        start = text.find(wanted, start + 1)
    return False


def _joined(beyond: str, edge: str) -> bool:
    """Whether a word goes on beyond the edge of a find, be it behind joints; so many joints are taken for a word."""
    rest = beyond.lstrip(_JOINTS)
    goes_on = rest[0].isalnum() if rest else len(beyond) == _SIGHT
    return (edge.isalnum() or edge in _JOINTS) and goes_on


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _at(schema: Any, pointer: str) -> Mapping[str, Any]:
    """The schema of a leaf, as far as plain properties and items lead to it."""
    for part in pointer.split("/")[1:]:
        if not isinstance(schema, Mapping):
            return {}
        key = part.replace("~1", "/").replace("~0", "~")
        schema = (schema.get("properties") or {}).get(key, schema.get("items") if part.isdigit() else None)
    return schema if isinstance(schema, Mapping) else {}

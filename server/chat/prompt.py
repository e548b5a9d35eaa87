"""A rendered prompt in which only the template's own text may spell special tokens.

A tokenizer that reads `<|im_end|>` in a template as a token would read it in a user's message too, and the message
could then end its own turn and begin another. So before a template sees a text of the request, the first character of
every special token's name in it is replaced by a private-use character. Templates pass such characters on through
`trim`, `tojson` and the like; afterwards they are turned back and the prompt is cut right behind each of them.
Pieces are tokenized apart, so no name is left whole, and what the model reads is the text that was sent.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_PRIVATE_USE = (*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of a prompt, cut where names of special tokens must not be read as such."""

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class SpecialNames:
    """The names under which a model's tokenizer finds special tokens in a text."""

    control: frozenset[str] = frozenset()
    """Structure, never text: `<|im_end|>`."""
    marks: frozenset[str] = frozenset()
    """Whole words of text that a template uses as structure: `<tool_call>`. An assistant's own text may hold them."""


NO_NAMES = SpecialNames()


@dataclass(slots=True)
class _Names:
    """Finds where names begin: by their first two characters, then by a set look-up for each length there is."""

    names: frozenset[str]
    lengths: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found: dict[str, set[int]] = {}
        for name in self.names:
            found.setdefault(name[:2], set()).add(len(name))
        self.lengths = {start: tuple(sorted(lengths)) for start, lengths in found.items()}

    def starts(self, text: str) -> Iterator[int]:
        """Positions of all names, overlapping ones too."""
        for first in {start[0] for start in self.lengths}:
            position = text.find(first)
            while position >= 0:
                for length in self.lengths.get(text[position : position + 2], ()):
                    if text[position : position + length] in self.names:
                        yield position
                        break
                position = text.find(first, position + 1)


class Shield:
    """Hides the names of special tokens in one request's values, and finds the hidden ones in the rendered text."""

    def __init__(self, names: SpecialNames) -> None:
        self._everywhere = _Names(frozenset(name for name in names.control | names.marks if len(name) > 1))
        self._in_answers = _Names(frozenset(name for name in names.control if len(name) > 1))
        self._stand_ins: dict[str, str] = {}
        """First character of a name to the private-use character in its place."""

    def hide(self, messages: list[Any], *others: Any) -> tuple[list[Any], list[Any]]:
        """Copies of the values with all names hidden, texts and keys alike. Raises: ValueError, see `_assign`."""
        self._assign([messages, *others])
        hidden = [self._hide(m, self._in_answers if m["role"] == "assistant" else self._everywhere) for m in messages]
        return hidden, [self._hide(value, self._everywhere) for value in others]

    def cut(self, text: str) -> Prompt:
        """The rendered text with the names back in it."""
        back = {stand_in: first for first, stand_in in self._stand_ins.items()}
        back |= {_escaped(stand_in): first for stand_in, first in list(back.items())}
        if not back:
            return Prompt((text,))
        parts = re.split("(" + "|".join(map(re.escape, back)) + ")", text)
        pieces = [text + back[stand_in] for text, stand_in in zip(parts[::2], parts[1::2], strict=False)]
        return Prompt((*pieces, parts[-1]) if parts[-1] else tuple(pieces))

    def _assign(self, values: list[Any]) -> None:
        """Choose stand-ins that no text of the request has. ValueError if it has all 131,068 private-use characters."""
        firsts = {name[0] for name in self._everywhere.names}
        texts = list(_texts(values))
        taken = {character for text in texts for character in text if ord(character) >= _PRIVATE_USE[0]}
        escapes = {text for text in texts if "\\ud" in text}
        free = (
            chr(code)
            for code in _PRIVATE_USE
            if chr(code) not in taken and not any(_escaped(chr(code)) in text for text in escapes)
        )
        for first in sorted(firsts):
            stand_in = next(free, None)
            if stand_in is None:
                raise ValueError("the texts use every private-use character of Unicode")
            self._stand_ins[first] = stand_in

    def _hide(self, value: Any, names: _Names) -> Any:
        match value:
            case str():
                return self._hide_in_text(value, names)
            case Mapping():
                return {self._hide(key, names): self._hide(inner, names) for key, inner in value.items()}
            case list() | tuple():
                return [self._hide(inner, names) for inner in value]
            case _:
                return value

    def _hide_in_text(self, text: str, names: _Names) -> str:
        positions = sorted(set(names.starts(text)))
        if not positions:
            return text
        parts, end = [], 0
        for position in positions:
            parts += [text[end:position], self._stand_ins[text[position]]]
            end = position + 1
        return "".join((*parts, text[end:]))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    stack = list(values)
    while stack:
        match stack.pop():
            case str() as text:
                yield text
            case Mapping() as mapping:
                stack += [*mapping.keys(), *mapping.values()]
            case list() | tuple() as items:
                stack += items


def _escaped(character: str) -> str:
    """As `tojson(ensure_ascii=true)` writes it."""
    return json.dumps(character)[1:-1]

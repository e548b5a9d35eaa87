"""What a user says to have a tool called: the tool's own phrases, or its description with the values after it."""

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from training.generate.slots import Slot, draw_slots, quoted, words
from training.tools.definition import Tool

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_OPENINGS = (
    "", "", "", "", "Please ", "Hi! ", "Hello, ", "Hey, ", "Quick one: ", "One more thing: ", "Good morning. ",
    "Can you help me? ", "I need your help: ", "Okay, ",
)  # fmt: skip
_CLOSINGS = ("", "", "", "", " Thanks!", " Thank you.", " It is urgent.", " That would be great.", " Cheers.")
_QUESTIONS = {"What", "How", "Will", "Is", "I", "Can", "Which", "Who", "When", "Where", "At", "New"}
_OPTIONAL = 0.3
_OWN_PHRASE = 0.8


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for one call."""

    tool: Tool
    slots: dict[str, Slot]
    template: str | None
    """One of the tool's own phrases; None: its description."""

    def text(self, rng: random.Random, instead: Mapping[str, str] | None = None, without: Collection[str] = ()) -> str:
        """In words, without what stands at the end of a sentence.

        `instead` replaces the words for a value; what is in `without` is not said at all.
        """
        instead = instead or {}
        if self.template is not None and not without:
            return _PLACEHOLDER.sub(lambda m: instead.get(m[1], self.slots[m[1]].text), self.template)
        mentions = [
            f"{words(name)} {instead[name]}" if name in instead else slot.mention
            for name, slot in self.slots.items()
            if name not in without
        ]
        rng.shuffle(mentions)
        if not mentions:
            return _wish(self.tool)
        lead = " " if mentions[0].startswith(("in ", "on ", "at ", "with")) else rng.choice((": ", ", ", ": "))
        return _wish(self.tool) + lead + ", ".join(mentions)


def draw_request(tool: Tool, rng: random.Random) -> Request:
    """Raises: DrawError."""
    schema = tool.arguments_schema()
    required = set(schema.get("required", ()))
    phrases = [
        phrase for phrase in tool.requests if required <= set(_PLACEHOLDER.findall(phrase)) <= set(schema["properties"])
    ]
    if phrases and rng.random() < _OWN_PHRASE:
        phrase = rng.choice(phrases)
        return Request(tool, draw_slots(tool, _PLACEHOLDER.findall(phrase), rng), phrase)
    names = [name for name in schema["properties"] if name in required or rng.random() < _OPTIONAL]
    return Request(tool, draw_slots(tool, names, rng), None)


def framed(text: str, rng: random.Random) -> str:
    """A request as a whole message: opened, ended, closed."""
    opening = rng.choice(_OPENINGS)
    if opening == "Please " and (text.endswith("?") or text.split(" ", 1)[0] in _QUESTIONS):
        opening = ""
    if opening.endswith((", ", ": ", "Please ")):
        text = lowered(text)
    if text[-1:] not in ".?!":
        text += rng.choice((".", "", "", "!", "."))
    closing = rng.choice(_CLOSINGS)
    return opening + text + (closing if text[-1:] in ".?!" else closing and "." + closing)


def lowered(text: str) -> str:
    """With a small first letter, unless that is the word I or a name's."""
    first = text.split(" ", 1)[0]
    return (
        text
        if first in ("I", "I'm") or not first[:1].isupper() or first[1:2].isupper()
        else first.lower() + text[len(first) :]
    )


def reply(slots: Collection[Slot], rng: random.Random) -> str:
    """What a user says who was asked for values."""
    if len(slots) == 1:
        (slot,) = slots
        return rng.choice(("{}", "{}.", "{}, please.", "Make it {}.", "It's {}.", "Let's say {}")).format(slot.text)
    return ", ".join(f"{words(slot.name)}: {quoted(slot.text)}" for slot in slots)


def _wish(tool: Tool) -> str:
    sentence = re.split(r"(?<=[.!?])\s", tool.description.strip(), maxsplit=1)[0].rstrip(".")
    sentence = sentence or words(tool.name)
    return sentence[0].upper() + sentence[1:]

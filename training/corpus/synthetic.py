"""Short made-up conversations whose point is copying: the user's words into the call, the result's into the answer.

Public dialogues are long and mostly talk; a small model sees few copied tokens in them and learns to guess instead.
Here tools, parameters and values are drawn at random, so that nothing but reading the schema and the words helps.
"""

import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation, compact_json

_VERBS = (
    "find", "get", "book", "search", "reserve", "play", "send", "create", "check", "order", "cancel", "list",
    "open", "buy", "rent", "show", "call", "add", "start", "track",
)  # fmt: skip
_NOUNS = (
    "hotel", "flight", "table", "song", "weather", "message", "event", "car", "doctor", "movie", "ticket", "room",
    "order", "bus", "house", "alarm", "note", "meeting", "taxi", "meal", "payment", "account", "file", "lesson",
    "match", "concert", "parcel", "shop", "recipe", "photo",
)  # fmt: skip
_PLACES = (
    "Paris", "London", "Rome", "Berlin", "Tokyo", "Madrid", "Vienna", "Lisbon", "Oslo", "Chicago", "Boston",
    "Delhi", "Cairo", "Dublin", "Seattle", "Nairobi", "Lima", "Prague", "Zurich", "Sydney",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = (
    "today", "tomorrow", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
_COLOURS = (
    "red", "green", "blue", "small", "large", "fast", "slow", "cheap", "expensive", "celsius", "fahrenheit",
    "economy", "business", "vegan", "new", "old",
)  # fmt: skip
_OTHERS = (0, 0, 1, 1, 2, 2, 3, 4)
_ECHOES = ("Repeat: {}", "Say {}", "Write this again: {}", "Please copy {}", "Echo {}")
_ECHO_SHARE = 0.15
_ADVERBS = ("", "", "please ", "quickly ", "now ")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A parameter with a value, and how a person mentions it."""

    name: str
    schema: dict[str, Any]
    value: Any
    said: str
    """A phrase that contains the value's words."""


def conversations(count: int, seed: int) -> Iterator[Conversation]:
    """`count` conversations, the same for the same seed."""
    for number in range(count):
        yield _conversation(random.Random(f"{seed}/{number}"), f"synthetic/{seed}/{number}")


def _conversation(rng: random.Random, source: str) -> Conversation:
    if rng.random() < _ECHO_SHARE:
        return _echo(rng, source)
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    slots = _slots(rng)
    tool = _tool(verb, noun, slots, rng)
    others = [_other_tool(verb, noun, rng) for _ in range(rng.choice(_OTHERS))]
    tools = list({t.name: t for t in [*others, tool]}.values())
    rng.shuffle(tools)
    held_back = slots[-1] if len(slots) > 1 and rng.random() < 0.2 else None
    said = [slot for slot in slots if slot is not held_back]
    messages = [Message("user", _request(verb, noun, said, rng))]
    if held_back is not None:
        messages += [
            Message("assistant", f"What {_words(held_back.name)} would you like?"),
            Message("user", rng.choice(("{}", "{}.", "{} please", "Make it {}.")).format(held_back.said)),
        ]
    messages += _call_and_answer(tool, slots, rng)
    return Conversation(tuple(messages), tuple(tools), source)


def _echo(rng: random.Random, source: str) -> Conversation:
    """The same words back, a few times: the plainest copying."""
    messages: list[Message] = []
    for _ in range(rng.randint(1, 4)):
        words = " ".join(_value(rng)[1] for _ in range(rng.randint(1, 4)))
        messages += [Message("user", rng.choice(_ECHOES).format(words)), Message("assistant", words)]
    return Conversation(tuple(messages), (), source)


def _other_tool(verb: str, noun: str, rng: random.Random) -> Tool:
    """Half of them do another thing with the same noun, or the same with another."""
    kind = rng.random()
    return _tool(
        verb if kind < 0.25 else rng.choice(_VERBS),
        noun if 0.25 <= kind < 0.5 else rng.choice(_NOUNS),
        _slots(rng),
        rng,
    )


def _call_and_answer(tool: Tool, slots: Sequence[_Slot], rng: random.Random) -> list[Message]:
    values = {slot.name: slot.value for slot in slots}
    call = ToolCall(tool.name, compact_json({k: values[k] for k in tool.parameters["properties"] if k in values}), "c1")
    result = {name: _value(rng)[1] for name in rng.sample(["name", "price", "time", "sky", "id", "state"], 2)}
    first = next(iter(result))
    answer = rng.choice(("The {} is {}.", "Done. The {} is {}.", "I found it: the {} is {}.")).format(
        first, result[first]
    )
    return [
        Message("assistant", None, (call,)),
        Message("tool", compact_json(result), tool_call_id="c1"),
        Message("assistant", answer),
    ]


def _request(verb: str, noun: str, slots: Sequence[_Slot], rng: random.Random) -> str:
    mentions = [slot.said for slot in slots]
    rng.shuffle(mentions)
    opening = rng.choice(
        (f"{verb} a {noun}", f"I want to {verb} a {noun}", f"Can you {verb} the {noun}", f"Please {verb} {noun}",
         f"What is the {noun}", f"I need a {noun}")
    )  # fmt: skip
    text = f"{rng.choice(_ADVERBS)}{opening} {rng.choice((' ', ' ', ', ')).join(mentions)}".strip()
    return text[0].upper() + text[1:] + rng.choice(("", ".", "?", " please."))


def _tool(verb: str, noun: str, slots: Sequence[_Slot], rng: random.Random) -> Tool:
    name = rng.choice((f"{verb}_{noun}", f"{verb}{noun.capitalize()}", f"{verb.capitalize()}{noun.capitalize()}"))
    properties = {slot.name: slot.schema for slot in slots}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool(name, parameters, f"{verb.capitalize()} a {noun}")


def _slots(rng: random.Random) -> list[_Slot]:
    makers: list[Callable[[random.Random], _Slot]] = [_place, _title, _date, _time, _count, _option, _code, _flag]
    slots = [make(rng) for make in rng.sample(makers, rng.randint(1, 4))]
    return list({slot.name: slot for slot in slots}.values())


def _place(rng: random.Random) -> _Slot:
    value = rng.choice(_PLACES) if rng.random() < 0.5 else _invented(rng)
    name = rng.choice(("city", "location", "place", "destination", "where_to", "area"))
    return _Slot(
        name, _string(f"Name of the {_words(name)}"), value, f"{rng.choice(('in', 'to', 'at', 'for'))} {value}"
    )


def _title(rng: random.Random) -> _Slot:
    value = " ".join(_invented(rng) for _ in range(rng.randint(1, 3)))
    name = rng.choice(("name", "title", "person", "recipient", "artist", "restaurant_name", "subject"))
    return _Slot(
        name, _string(f"The {_words(name)}"), value, f"{rng.choice(('with', 'called', 'for', 'named'))} {value}"
    )


def _date(rng: random.Random) -> _Slot:
    day = rng.randint(1, 28)
    value = rng.choice(
        (rng.choice(_DAYS), f"{rng.choice(_MONTHS)} {day}", f"the {day}th", f"2026-{rng.randint(1, 12):02}-{day:02}")
    )
    name = rng.choice(("date", "day", "start_date", "check_in_date", "when"))
    return _Slot(name, _string(f"The {_words(name)}"), value, f"on {value}")


def _time(rng: random.Random) -> _Slot:
    value = rng.choice(
        (f"{rng.randint(1, 12)} {rng.choice(('am', 'pm'))}", f"{rng.randint(0, 23)}:{rng.randint(10, 59)}")
    )
    name = rng.choice(("time", "start_time", "pickup_time", "hour"))
    return _Slot(name, _string(f"The {_words(name)}"), value, f"at {value}")


def _count(rng: random.Random) -> _Slot:
    value = rng.randint(1, 99)
    name = rng.choice(("people", "count", "tickets", "amount", "nights", "seats", "days"))
    is_number = rng.random() < 0.7
    schema = {"type": "integer", "description": f"Number of {name}"} if is_number else _string(f"Number of {name}")
    return _Slot(name, schema, value if is_number else str(value), f"for {value} {name}")


def _option(rng: random.Random) -> _Slot:
    options = rng.sample(_COLOURS, rng.randint(2, 4))
    value = rng.choice(options)
    name = rng.choice(("unit", "kind", "size", "class", "type", "option"))
    return _Slot(
        name, {**_string(f"Which {name}"), "enum": options}, value, rng.choice((f"in {value}", f"{value} {name}"))
    )


def _code(rng: random.Random) -> _Slot:
    value = "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 7)))
    name = rng.choice(("id", "code", "order_id", "user_id", "reference"))
    return _Slot(name, _string(f"The {_words(name)}"), value, f"{_words(name)} {value}")


def _flag(rng: random.Random) -> _Slot:
    name = rng.choice(("breakfast", "parking", "insurance", "subtitles", "wifi"))
    value = rng.random() < 0.5
    schema = {"type": "boolean", "description": f"Whether with {name}"}
    return _Slot(name, schema, value, f"{'with' if value else 'without'} {name}")


def _value(rng: random.Random) -> tuple[str, str]:
    slot = rng.choice((_place, _title, _time, _code))(rng)
    return slot.name, str(slot.value)


def _invented(rng: random.Random) -> str:
    parts = [rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))]
    return (parts[0] + rng.choice(("", "", "n", "r", "s", "l")) + "".join(parts[1:])).capitalize()


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _words(name: str) -> str:
    return name.replace("_", " ")

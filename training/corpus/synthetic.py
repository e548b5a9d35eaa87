"""Short made-up conversations whose point is copying: the user's words into the call, the result's into the answer.

Public dialogues are long and mostly talk; a small model sees few copied tokens in them and learns to guess instead.
Here tools, parameters and values are drawn at random, so that nothing but reading the schema and the words helps. Most
tokens of a conversation are its schemas, so several requests follow each other under one set of tools.
"""

import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation, compact_json
from training.corpus.vary import verbs_like

_VERBS = (
    "find", "get", "book", "search", "reserve", "play", "send", "create", "check", "order", "cancel", "list",
    "open", "buy", "rent", "show", "call", "add", "start", "track", "make", "request", "delete", "share", "pay",
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
_OTHERS = (0, 1, 1, 2, 2, 3, 4)
_REQUESTS = (1, 2, 3, 4)
_OPTIONAL_SHARE = 0.25
"""Of the parameters; half of them go unmentioned."""
_ECHOES = ("Repeat: {}", "Say {}", "Write this again: {}", "Please copy {}", "Echo {}")
_ECHO_SHARE = 0.15
_ADVERBS = ("", "", "please ", "quickly ", "now ")
_OTHER_WORD_SHARE = 0.4
"""Of the requests and descriptions: they use another verb than the tool's name."""


class _Mention(NamedTuple):
    """A value of a parameter, and a phrase that contains its words."""

    value: Any
    said: str


@dataclass(frozen=True, slots=True)
class _Slot:
    """A parameter, and how values for it are drawn."""

    name: str
    schema: dict[str, Any]
    draw: Callable[[random.Random], _Mention]
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class _Task:
    """A tool, and what it does in plain words."""

    verb: str
    noun: str
    slots: tuple[_Slot, ...]
    tool: Tool


def conversations(count: int, seed: int) -> Iterator[Conversation]:
    """`count` conversations, the same for the same seed."""
    for number in range(count):
        yield _conversation(random.Random(f"{seed}/{number}"), f"synthetic/{seed}/{number}")


def _conversation(rng: random.Random, source: str) -> Conversation:
    if rng.random() < _ECHO_SHARE:
        return _echo(rng, source)
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    tasks = [_task(verb, noun, rng), *(_other_task(verb, noun, rng) for _ in range(rng.choice(_OTHERS)))]
    tasks = list({task.tool.name: task for task in tasks}.values())
    rng.shuffle(tasks)
    messages: list[Message] = []
    for number in range(rng.choice(_REQUESTS)):
        task = rng.choice(tasks)
        messages += _exchange(task, _said_verb(task, tasks, rng), f"c{number + 1}", rng)
    return Conversation(tuple(messages), tuple(task.tool for task in tasks), source)


def _said_verb(task: _Task, tasks: Sequence[_Task], rng: random.Random) -> str:
    """The verb a user has for it: the tool's, or another that can't mean another tool."""
    if rng.random() >= _OTHER_WORD_SHARE:
        return task.verb
    siblings = {verb for other in tasks if other.noun == task.noun and other != task for verb in verbs_like(other.verb)}
    return rng.choice([verb for verb in verbs_like(task.verb) if verb not in siblings] or [task.verb])


def _exchange(task: _Task, verb: str, call_id: str, rng: random.Random) -> list[Message]:
    """A request that calls what the tool does `verb`, perhaps a question back, the call, its result and the answer."""
    slots = [slot for slot in task.slots if slot.is_required or rng.random() < 0.5]
    mentions = {slot.name: slot.draw(rng) for slot in slots}
    required = [slot.name for slot in slots if slot.is_required]
    held_back = required[-1] if len(required) > 1 and rng.random() < 0.2 else None
    said = [m.said for name, m in mentions.items() if name != held_back]
    messages = [Message("user", _request(verb, task.noun, said, rng))]
    if held_back is not None:
        messages += [
            Message("assistant", f"What {_words(held_back)} would you like?"),
            Message("user", rng.choice(("{}", "{}.", "{} please", "Make it {}.")).format(mentions[held_back].said)),
        ]
    arguments = {name: mention.value for name, mention in mentions.items()}
    return messages + _call_and_answer(task.tool, arguments, call_id, rng)


def _echo(rng: random.Random, source: str) -> Conversation:
    """The same words back, a few times: the plainest copying."""
    messages: list[Message] = []
    for _ in range(rng.randint(1, 4)):
        words = " ".join(_value(rng) for _ in range(rng.randint(1, 4)))
        messages += [Message("user", rng.choice(_ECHOES).format(words)), Message("assistant", words)]
    return Conversation(tuple(messages), (), source)


def _other_task(verb: str, noun: str, rng: random.Random) -> _Task:
    """Half of them do another thing with the same noun, or the same with another."""
    kind = rng.random()
    return _task(
        verb if kind < 0.25 else rng.choice(_VERBS),
        noun if 0.25 <= kind < 0.5 else rng.choice(_NOUNS),
        rng,
    )


def _task(verb: str, noun: str, rng: random.Random) -> _Task:
    slots = _slots(rng)
    name = rng.choice((f"{verb}_{noun}", f"{verb}{noun.capitalize()}", f"{verb.capitalize()}{noun.capitalize()}"))
    properties = {slot.name: slot.schema for slot in slots}
    required = [slot.name for slot in slots if slot.is_required]
    parameters = {"type": "object", "properties": properties, "required": required}
    described = rng.choice(verbs_like(verb)) if rng.random() < _OTHER_WORD_SHARE else verb
    return _Task(verb, noun, slots, Tool(name, parameters, f"{described.capitalize()} a {noun}"))


def _call_and_answer(tool: Tool, arguments: dict[str, Any], call_id: str, rng: random.Random) -> list[Message]:
    call = ToolCall(tool.name, compact_json(arguments), call_id)
    result = {name: _value(rng) for name in rng.sample(["name", "price", "time", "sky", "id", "state"], 2)}
    first = next(iter(result))
    answer = rng.choice(("The {} is {}.", "Done. The {} is {}.", "I found it: the {} is {}.")).format(
        first, result[first]
    )
    return [
        Message("assistant", None, (call,)),
        Message("tool", compact_json(result), tool_call_id=call_id),
        Message("assistant", answer),
    ]


def _request(verb: str, noun: str, mentions: Sequence[str], rng: random.Random) -> str:
    opening = rng.choice(
        (f"{verb} a {noun}", f"I want to {verb} a {noun}", f"Can you {verb} the {noun}", f"Please {verb} {noun}",
         f"I need to {verb} a {noun}", f"Now {verb} the {noun}")
    )  # fmt: skip
    shuffled = rng.sample(mentions, len(mentions))
    text = f"{rng.choice(_ADVERBS)}{opening} {rng.choice((' ', ' ', ', ')).join(shuffled)}".strip()
    return text[0].upper() + text[1:] + rng.choice(("", ".", "?", " please."))


def _slots(rng: random.Random) -> tuple[_Slot, ...]:
    """One to five parameters, the optional ones last."""
    makers: list[Callable[[random.Random], _Slot]] = [_place, _title, _date, _time, _count, _option, _code, _flag]
    slots = {slot.name: slot for make in rng.sample(makers, rng.randint(1, 5)) for slot in [make(rng)]}
    first, *others = slots.values()
    marked = [replace(slot, is_required=rng.random() >= _OPTIONAL_SHARE) for slot in others]
    return tuple(sorted([first, *marked], key=lambda slot: not slot.is_required))


def _place(rng: random.Random) -> _Slot:
    name = rng.choice(("city", "location", "place", "destination", "where_to", "area"))

    def draw(rng: random.Random) -> _Mention:
        value = rng.choice(_PLACES) if rng.random() < 0.5 else _invented(rng)
        return _Mention(value, f"{rng.choice(('in', 'to', 'at', 'for'))} {value}")

    return _Slot(name, _string(f"Name of the {_words(name)}"), draw)


def _title(rng: random.Random) -> _Slot:
    name = rng.choice(("name", "title", "person", "recipient", "artist", "restaurant_name", "subject"))

    def draw(rng: random.Random) -> _Mention:
        value = _invented_title(rng)
        return _Mention(value, f"{rng.choice(('with', 'called', 'for', 'named'))} {value}")

    return _Slot(name, _string(f"The {_words(name)}"), draw)


def _date(rng: random.Random) -> _Slot:
    name = rng.choice(("date", "day", "start_date", "check_in_date", "when"))

    def draw(rng: random.Random) -> _Mention:
        day = rng.randint(1, 28)
        value = rng.choice(
            (
                rng.choice(_DAYS),
                f"{rng.choice(_MONTHS)} {day}",
                f"the {day}th",
                f"2026-{rng.randint(1, 12):02}-{day:02}",
            )
        )
        return _Mention(value, f"on {value}")

    return _Slot(name, _string(f"The {_words(name)}"), draw)


def _time(rng: random.Random) -> _Slot:
    name = rng.choice(("time", "start_time", "pickup_time", "hour"))

    def draw(rng: random.Random) -> _Mention:
        value = _clock(rng)
        return _Mention(value, f"at {value}")

    return _Slot(name, _string(f"The {_words(name)}"), draw)


def _count(rng: random.Random) -> _Slot:
    name = rng.choice(("people", "count", "tickets", "amount", "nights", "seats", "days"))
    is_number = rng.random() < 0.7

    def draw(rng: random.Random) -> _Mention:
        value = rng.randint(1, 99)
        return _Mention(value if is_number else str(value), f"for {value} {name}")

    text = f"Number of {name}"
    return _Slot(name, {"type": "integer", "description": text} if is_number else _string(text), draw)


def _option(rng: random.Random) -> _Slot:
    options = rng.sample(_COLOURS, rng.randint(2, 4))
    name = rng.choice(("unit", "kind", "size", "class", "type", "option"))

    def draw(rng: random.Random) -> _Mention:
        value = rng.choice(options)
        return _Mention(value, rng.choice((f"in {value}", f"{value} {name}")))

    return _Slot(name, {**_string(f"Which {name}"), "enum": options}, draw)


def _code(rng: random.Random) -> _Slot:
    name = rng.choice(("id", "code", "order_id", "user_id", "reference"))

    def draw(rng: random.Random) -> _Mention:
        value = _invented_code(rng)
        return _Mention(value, f"{_words(name)} {value}")

    return _Slot(name, _string(f"The {_words(name)}"), draw)


def _flag(rng: random.Random) -> _Slot:
    thing = rng.choice(("breakfast", "parking", "insurance", "subtitles", "wifi", "delivery", "pets"))
    name = rng.choice(("{}", "with_{}", "has_{}", "add_{}", "needs_{}")).format(thing)
    is_text = rng.random() < 0.4

    def draw(rng: random.Random) -> _Mention:
        value = rng.random() < 0.5
        yes = (f"with {thing}", f"and I want {thing}", f"{thing} too", f"yes, {thing}")
        no = (f"without {thing}", f"and I don't want {thing}", f"no {thing}", f"{thing} is not needed")
        return _Mention(str(value) if is_text else value, rng.choice(yes if value else no))

    described = {"description": f"Whether with {thing}"}
    if is_text:
        return _Slot(name, {"type": "string", **described, "enum": rng.sample(("True", "False"), 2)}, draw)
    return _Slot(name, {"type": "boolean", **described}, draw)


def _value(rng: random.Random) -> str:
    return rng.choice((_invented_title, _clock, _invented_code))(rng)


def _clock(rng: random.Random) -> str:
    return rng.choice(
        (f"{rng.randint(1, 12)} {rng.choice(('am', 'pm'))}", f"{rng.randint(0, 23)}:{rng.randint(10, 59)}")
    )


def _invented_code(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 7)))


def _invented_title(rng: random.Random) -> str:
    return " ".join(_invented(rng) for _ in range(rng.randint(1, 3)))


def _invented(rng: random.Random) -> str:
    parts = [rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))]
    return (parts[0] + rng.choice(("", "", "n", "r", "s", "l")) + "".join(parts[1:])).capitalize()


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _words(name: str) -> str:
    return name.replace("_", " ")

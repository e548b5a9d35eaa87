"""Varies conversations so that a model reads the schema and the words instead of remembering them.

Four changes, each consistent over the whole conversation: other names and descriptions for tools and parameters
(SGD-X's human paraphrases, or other letter cases and verbs), other things for the tools to be about, other values for
what the user says and the call repeats, and other JSON types for values that are numbers or truth values.
"""

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation, compact_json
from training.corpus.sgd import Dialogue, Json

ValuePool = Mapping[str, Sequence[str]]
"""Slot name to values seen for it."""

_SYLLABLES = "ba be bo ca co da de el fa fi ga go ha he in ja ka ki la lo ma mi na no or pa po qui ra ri sa so ta to u va vi wa xe yo za".split()  # noqa: E501, SIM905

_THINGS = (
    "ferry", "tram", "boat", "cabin", "tent", "lamp", "garden", "piano", "museum", "lecture", "harbour", "parcel",
    "ladder", "scooter", "castle", "mirror", "bakery", "puzzle", "orchard", "statue", "violin", "market", "blanket",
    "engine", "island", "kennel", "library", "magnet", "needle", "office", "pillow", "quarry", "rocket", "saddle",
    "tunnel", "umbrella", "valley", "window", "yacht", "zeppelin", "anchor", "basket", "candle", "drum", "elevator",
    "fountain", "guitar",
)  # fmt: skip
_NOT_THINGS = (
    "available", "for", "times", "time", "date", "dates", "oneway", "roundtrip", "type", "object", "string",
    "boolean", "integer", "number", "description", "required", "enum", "properties",
)  # fmt: skip
"""Words of tools' names that are no things, and those a schema is made of."""
_LOWER_CASE_SHARE = 0.15
"""Of the values: people write names as they please."""

_VERBS_ALIKE = (
    ("find", "search", "lookup", "get", "list", "show", "query", "check"),
    ("reserve", "book", "order", "buy", "purchase"),
    ("play", "start", "run"),
    ("add", "create", "schedule", "make"),
    ("transfer", "send", "share"),
)
_OTHER_VERBS_SHARE = 0.75
"""Of the conversations whose names change."""
_NO_VERBS_SHARE = 0.2
"""Of those: verbs that nobody has heard of, so that the rest of the name and the description decide."""


def paraphrase(dialogue: Dialogue, plain: Mapping[str, Json], variant: Mapping[str, Json]) -> Dialogue:
    """The dialogue with slot and intent names of an SGD-X variant, whose services stand in the same order."""
    renamed = dict(zip(plain, variant.values(), strict=True))
    names: dict[str, str] = {}
    for service in dialogue.services:
        ours, theirs = plain[service], renamed[service]
        names |= {a["name"]: b["name"] for a, b in zip(ours["slots"], theirs["slots"], strict=True)}
        names |= {a["name"]: b["name"] for a, b in zip(ours["intents"], theirs["intents"], strict=True)}
    services = {service: renamed[service]["service_name"] for service in dialogue.services}
    turns = tuple(_rename_turn(turn, names, services) for turn in dialogue.turns)
    return Dialogue(dialogue.id, tuple(services[name] for name in dialogue.services), turns)


def change_things(conversation: Conversation, seed: int) -> Conversation:
    """Let the tools be about other things: a bus becomes a ferry, or a `zorka` that nobody has heard of, in names,
    schemas and words alike, so that which tool is meant is read and not remembered."""
    rng = random.Random(seed)
    used = _all_text(conversation).lower()
    others = [word for word in _THINGS if word not in used]
    rng.shuffle(others)
    things: dict[str, str] = {}
    for word in sorted({word for tool in conversation.tools for word in _things_in(tool.name)}):
        other = others.pop() if others and rng.random() < 0.5 else _invented_word(rng).lower()
        if rng.random() < 0.8 and other not in used and other not in things.values():
            things[word] = other
    if not things:
        return conversation
    words = "|".join(sorted(things, key=len, reverse=True))
    capitals = "|".join(word.capitalize() for word in sorted(things, key=len, reverse=True))
    # `bus` and `buses` in words and in snake_case, `Bus` within CamelCase too
    pattern = re.compile(rf"(?:(?<![A-Za-z])({words})|({capitals}))((?:e?s)?)(?![a-z])")

    def swap(text: str) -> str:
        def other(match: re.Match[str]) -> str:
            small, large, plural = match.groups()
            return (things[small] if small else things[large.lower()].capitalize()) + ("s" if plural else "")

        return pattern.sub(other, text)

    tools = tuple(
        Tool(swap(tool.name), json.loads(swap(json.dumps(tool.parameters))), swap(tool.description or "") or None)
        for tool in conversation.tools
    )
    messages = tuple(
        Message(
            m.role,
            swap(m.content) if m.content else m.content,
            tuple(ToolCall(swap(c.name), swap(c.arguments), c.id) for c in m.tool_calls),
            m.tool_call_id,
        )
        for m in conversation.messages
    )
    return Conversation(messages, tools, conversation.source)


def change_values(conversation: Conversation, pool: ValuePool, seed: int, phrases: Sequence[str] = ()) -> Conversation:
    """Replace free-text values that the conversation and a call have in common by others, everywhere alike: `pool` has
    some for the slot, `phrases` some for any."""
    rng = random.Random(seed)
    fixed = {value for tool in conversation.tools for value in _enum_values(tool)}
    replacements: dict[str, str] = {}
    for message in conversation.messages:
        for call in message.tool_calls:
            for slot, value in json.loads(call.arguments).items():
                if not isinstance(value, str) or value in replacements or value in fixed:
                    continue
                if len(value) < 3 or rng.random() < 0.25:
                    continue
                if _is_said(value, conversation.messages):
                    replacements[value] = _other_value(value, pool.get(slot, ()), phrases, rng)
    if not replacements:
        return conversation
    alternatives = sorted(replacements, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, alternatives)) + r")(?!\w)")

    def swap(text: str) -> str:
        return pattern.sub(lambda match: replacements[match.group(1)], text)

    return Conversation(
        tuple(_map_text(m, swap) for m in conversation.messages), conversation.tools, conversation.source
    )


def change_names(conversation: Conversation, seed: int) -> Conversation:
    """Write all tool names, most of the time with other verbs, and all parameter names in another letter case."""
    rng = random.Random(seed)
    tool_case = rng.choice((_as_is, _snake, _camel, _dotted))
    parameter_case = rng.choice((_as_is, _snake, _camel))
    verbs = _other_verbs(conversation.tools, rng) if rng.random() < _OTHER_VERBS_SHARE else {}
    names = {tool.name: tool_case(verbs.get(tool.name, tool.name)) for tool in conversation.tools}
    if len(set(names.values())) < len(names):  # get_table and book_table, or getTable and get_table
        names = {name: name for name in names}
    return _renamed(conversation, names, parameter_case)


def hide_names(conversation: Conversation, seed: int) -> Conversation:
    """Give tools, and half the time parameters, names that say nothing (`moka_zati`, `action_3`), so that their
    descriptions must be read. Where one has no description all names stay."""
    rng = random.Random(seed)
    properties = {name: p for tool in conversation.tools for name, p in tool.parameters["properties"].items()}
    described = [
        *(tool.description for tool in conversation.tools),
        *(p.get("description") for p in properties.values()),
    ]
    if not all(described):
        return conversation
    tools = _empty_names([tool.name for tool in conversation.tools], ("tool", "function", "action"), rng)
    parameters = _empty_names(properties, ("field", "value", "arg"), rng) if rng.random() < 0.5 else {}
    return _renamed(conversation, tools, lambda name: parameters.get(name, name))


def change_types(conversation: Conversation) -> Conversation:
    """Enums of True/False become booleans and enums of digits become integers, in schemas and calls alike."""
    kinds: dict[tuple[str, str], str] = {}
    tools = tuple(_retype_tool(tool, kinds) for tool in conversation.tools)

    def retype_call(call: ToolCall) -> ToolCall:
        arguments = {
            key: _retype_value(value, kinds.get((call.name, key))) for key, value in json.loads(call.arguments).items()
        }
        return ToolCall(call.name, compact_json(arguments), call.id)

    messages = tuple(
        Message(m.role, m.content, tuple(retype_call(c) for c in m.tool_calls), m.tool_call_id)
        for m in conversation.messages
    )
    return Conversation(messages, tools, conversation.source)


def _renamed(
    conversation: Conversation, names: Mapping[str, str], rename_parameter: Callable[[str], str]
) -> Conversation:
    """`names`: new names of all tools."""

    def rename_call(call: ToolCall) -> ToolCall:
        arguments = {rename_parameter(key): value for key, value in json.loads(call.arguments).items()}
        return ToolCall(names[call.name], compact_json(arguments), call.id)

    messages = tuple(
        Message(m.role, m.content, tuple(rename_call(c) for c in m.tool_calls), m.tool_call_id)
        for m in conversation.messages
    )
    tools = tuple(
        Tool(names[tool.name], _rename_properties(tool.parameters, rename_parameter), tool.description)
        for tool in conversation.tools
    )
    return Conversation(messages, tools, conversation.source)


def _empty_names(names: Iterable[str], nouns: Sequence[str], rng: random.Random) -> dict[str, str]:
    """A new name for each, all numbered or all made up."""
    noun = rng.choice((*nouns, None, None, None))
    new: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        made_up = "_".join(_invented_word(rng).lower() for _ in range(rng.randint(1, 2)))
        new[name] = f"{noun}_{number}" if noun else made_up if made_up not in new.values() else f"{made_up}_{number}"
    return new


def _rename_turn(turn: Json, names: Mapping[str, str], services: Mapping[str, str]) -> Json:
    frames = []
    for frame in turn["frames"]:
        new = dict(frame, service=services.get(frame["service"], frame["service"]))
        if "state" in frame:
            values = frame["state"]["slot_values"]
            new["state"] = dict(frame["state"], slot_values={names.get(k, k): v for k, v in values.items()})
        if "service_call" in frame:
            call = frame["service_call"]
            parameters = {names.get(k, k): v for k, v in call["parameters"].items()}
            new["service_call"] = {"method": names.get(call["method"], call["method"]), "parameters": parameters}
            results = frame.get("service_results", [])
            new["service_results"] = [{names.get(k, k): v for k, v in result.items()} for result in results]
        frames.append(new)
    return dict(turn, frames=frames)


def _enum_values(tool: Tool) -> list[str]:
    properties = tool.parameters.get("properties", {})
    return [value for schema in properties.values() for value in schema.get("enum", ())]


def _is_said(value: str, messages: Sequence[Message]) -> bool:
    return any(value in (message.content or "") for message in messages if message.role in ("user", "assistant"))


def _other_value(value: str, pool: Sequence[str], phrases: Sequence[str], rng: random.Random) -> str:
    """The same shape with other digits, another value of the slot, any phrase, or a made-up name."""
    if any(character.isdigit() for character in value):
        return re.sub(r"\d", lambda match: str(rng.randint(1, 9)) if match.group() != "0" else "0", value)
    sources = [source for source in (pool, phrases) if source]
    source = rng.choice([*sources, ()]) if sources else ()
    other = rng.choice(source) if source else " ".join(_invented_word(rng) for _ in range(rng.randint(1, 3)))
    return other.lower() if rng.random() < _LOWER_CASE_SHARE else other


def _invented_word(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))).capitalize()


def _all_text(conversation: Conversation) -> str:
    return json.dumps(conversation.as_json(), ensure_ascii=False)


def _things_in(name: str) -> list[str]:
    """The words after a tool's verb, in the singular; those that end otherwise than it with more than an s stay."""
    words = [re.sub(r"(?<=[^su])s$", "", word) for word in _snake(name).split("_")[1:] if not word.endswith("ies")]
    return [word for word in words if len(word) > 2 and word.isascii() and word.isalpha() and word not in _NOT_THINGS]


def _map_text(message: Message, swap: Any) -> Message:
    calls = tuple(
        ToolCall(
            c.name,
            compact_json({k: swap(v) if isinstance(v, str) else v for k, v in json.loads(c.arguments).items()}),
            c.id,
        )
        for c in message.tool_calls
    )
    content = swap(message.content) if message.content else message.content
    return Message(message.role, content, calls, message.tool_call_id)


def _rename_properties(parameters: Mapping[str, Any], rename: Any) -> Json:
    properties = {rename(name): schema for name, schema in parameters["properties"].items()}
    return dict(parameters, properties=properties, required=[rename(name) for name in parameters["required"]])


def _other_verbs(tools: Sequence[Tool], rng: random.Random) -> dict[str, str]:
    """Tool names with a verb of the same meaning, each with one of its own as far as they go: under a grammar the verb
    is the choice of the tool, so what the tool is about must decide it (`FindMuseum` beside `SearchHotel`)."""
    are_invented = rng.random() < _NO_VERBS_SHARE
    left: dict[tuple[str, ...], list[str]] = {}
    names: dict[str, str] = {}
    for tool in tools:
        verb, *rest = _snake(tool.name).split("_")
        alike = verbs_like(verb)
        if not left.get(alike):
            left[alike] = rng.sample(alike, len(alike))
        words = [_invented_word(rng).lower() if are_invented else left[alike].pop(), *rest]
        # in the form it had: a name in snake case begins with a small letter
        names[tool.name] = "_".join(words) if tool.name[0].islower() else "".join(word.capitalize() for word in words)
    return names


def verbs_like(verb: str) -> tuple[str, ...]:
    """Those that mean the same, itself among them."""
    return next((group for group in _VERBS_ALIKE if verb in group), (verb,))


def _retype_tool(tool: Tool, kinds: dict[tuple[str, str], str]) -> Tool:
    properties = {}
    for name, schema in tool.parameters["properties"].items():
        values = schema.get("enum")
        kind = None
        if values and set(values) <= {"True", "False"}:
            kind = "boolean"
        elif values and all(value.isdigit() for value in values):
            kind = "integer"
        if kind is None:
            properties[name] = schema
            continue
        kinds[tool.name, name] = kind
        properties[name] = {"type": kind, "description": schema["description"]}
    return Tool(tool.name, dict(tool.parameters, properties=properties), tool.description)


def _retype_value(value: str, kind: str | None) -> Any:
    if kind == "boolean" and value in ("True", "False"):
        return value == "True"
    if kind == "integer" and value.isdigit():
        return int(value)
    return value


def _as_is(name: str) -> str:
    return name


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *rest = _snake(name).split("_")
    return first + "".join(word.capitalize() for word in rest)


def _dotted(name: str) -> str:
    words = _snake(name).split("_")
    return words[-1] + "_" + "_".join(words[:-1]) if len(words) > 1 else words[0]

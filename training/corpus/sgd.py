"""The Schema-Guided Dialogue corpus as conversations with tools.

Source: https://github.com/google-research-datasets/dstc8-schema-guided-dialogue (CC BY-SA 4.0). A service's intents
are tools. A SYSTEM turn that holds `service_call`, `service_results` and an utterance becomes three messages: the
call, the tool's result, the answer. Arguments are the words the conversation used ("6 pm"), not the canonical value
("18:00") the corpus also gives: copying is what a small model can learn, normalising is not.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation, compact_json

Json = dict[str, Any]
Services = Mapping[str, Json]
"""Service name to its entry in schema.json."""

_RESULTS_SHOWN = 1
"""The answer speaks of the first result; more only cost context."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue as the corpus has it."""

    id: str
    services: tuple[str, ...]
    turns: tuple[Json, ...]


def read_services(folder: Path) -> dict[str, Json]:
    """The schemas in a split's folder, or in an SGD-X variant's (same services and slots, other words)."""
    services = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    return {service["service_name"]: service for service in services}


def read_dialogues(folder: Path) -> Iterator[Dialogue]:
    """All dialogues of a split, in the corpus' order."""
    for path in sorted(folder.glob("dialogues_*.json")):
        for dialogue in json.loads(path.read_text(encoding="utf-8")):
            yield Dialogue(
                f"sgd/{folder.name}/{dialogue['dialogue_id']}",
                tuple(dialogue["services"]),
                tuple(dialogue["turns"]),
            )


def tools_of(service: Json) -> list[Tool]:
    """A service's intents as tools: every slot a string, categorical ones an enum."""
    slots = {slot["name"]: slot for slot in service["slots"]}
    return [_tool(intent, slots) for intent in service["intents"]]


def convert(dialogue: Dialogue, services: Services, distractors: tuple[Tool, ...] = (), seed: int = 0) -> Conversation:
    """The dialogue in OpenAI's form, its tools shuffled in among `distractors`."""
    tools = [tool for name in dialogue.services for tool in tools_of(services[name])]
    names = {tool.name for tool in tools}
    tools += [tool for tool in distractors if tool.name not in names]
    random.Random(seed).shuffle(tools)
    order = {tool.name: list(tool.parameters["properties"]) for tool in tools}
    messages: list[Message] = []
    surface: dict[str, dict[str, list[str]]] = {}
    for turn in dialogue.turns:
        if turn["speaker"] == "USER":
            for frame in turn["frames"]:
                surface[frame["service"]] = frame["state"]["slot_values"]
            messages.append(Message("user", turn["utterance"]))
        else:
            messages += _system_messages(turn, surface, messages, order)
    return Conversation(tuple(messages), tuple(tools), dialogue.id)


def argument_variants(turn: Json, surface: Mapping[str, Mapping[str, list[str]]]) -> dict[str, set[str]]:
    """For the call in a SYSTEM turn: every wording of each argument that the annotators counted as the same value."""
    frame = _calling_frame(turn)
    if frame is None:
        return {}
    said = surface.get(frame["service"], {})
    return {slot: {value, *said.get(slot, ())} for slot, value in frame["service_call"]["parameters"].items()}


def _system_messages(
    turn: Json, surface: Mapping[str, Mapping[str, list[str]]], before: list[Message], order: Mapping[str, list[str]]
) -> list[Message]:
    frame = _calling_frame(turn)
    if frame is None:
        return [Message("assistant", turn["utterance"])]
    text = "\n".join(message.content or "" for message in before if message.role in ("user", "assistant"))
    said = surface.get(frame["service"], {})
    name, values = frame["service_call"]["method"], frame["service_call"]["parameters"]
    # in the schema's order of keys, which is the only one the server's grammars admit
    arguments = {slot: _as_said(values[slot], said.get(slot, []), text) for slot in order[name] if slot in values}
    call_id = f"call_{len(before)}"
    call = ToolCall(name, compact_json(arguments), call_id)
    results = frame.get("service_results", [])[:_RESULTS_SHOWN]
    return [
        Message("assistant", None, (call,)),
        Message("tool", compact_json(results), tool_call_id=call_id),
        Message("assistant", turn["utterance"]),
    ]


def _calling_frame(turn: Json) -> Json | None:
    return next((frame for frame in turn["frames"] if "service_call" in frame), None)


def _as_said(value: str, variants: list[str], text: str) -> str:
    """The wording that occurs last in the conversation; the canonical value if none does."""
    lowered = text.lower()
    said = [variant for variant in (value, *variants) if variant.lower() in lowered]
    return max(said, key=lambda variant: lowered.rfind(variant.lower()), default=value)


def _tool(intent: Json, slots: Mapping[str, Json]) -> Tool:
    names = list(dict.fromkeys([*intent["required_slots"], *intent["optional_slots"]]))
    properties: Json = {}
    for name in names:
        slot = slots[name]
        properties[name] = {"type": "string", "description": slot["description"]}
        if slot["is_categorical"] and slot["possible_values"]:
            properties[name]["enum"] = slot["possible_values"]
    parameters = {"type": "object", "properties": properties, "required": list(intent["required_slots"])}
    return Tool(intent["name"], parameters, intent["description"])

"""The stream of conversations a default model is trained on: dialogues with tools, varied anew, and plain talk."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from server.chat.messages import Message, Tool
from training.conversation import Conversation
from training.corpus import general, sgd, synthetic, vary
from training.corpus.archives import find_corpus

_VARIANTS = ("v1", "v2", "v3", "v4", "v5")
_SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Use the tools when they help.",
    "You can call functions. Ask for what you need to know first.",
    "Answer briefly.",
)


@dataclass(frozen=True, slots=True)
class MixSettings:
    """What the stream consists of."""

    seed: int = 0
    most_distractors: int = 2
    talk_share: float = 0.2
    """Conversations without a call, as a share of all."""
    synthetic: int = 0
    """Short made-up conversations about copying, besides."""
    epochs: int = 1
    """Times every SGD dialogue comes by, each time varied differently."""


def training_mix(data: Path | None, settings: MixSettings) -> Iterator[Conversation]:
    """The whole stream, in a shuffled order that the seed decides. Raises: DataMissingError."""
    rng = random.Random(settings.seed)
    folder = find_corpus("sgd", data)
    variants = [sgd.read_services(folder / "train")]
    variants += [sgd.read_services(folder / "sgd_x" / "data" / name / "train") for name in _VARIANTS]
    dialogues = list(sgd.read_dialogues(folder / "train"))
    pool = _value_pool(dialogues)
    talk = list(_talk(data))
    jobs: list[tuple[str, int]] = [("sgd", i) for i in range(len(dialogues))] * settings.epochs
    wanted = int(len(jobs) * settings.talk_share / (1 - settings.talk_share))
    jobs += [("talk", rng.randrange(len(talk))) for _ in range(wanted)]
    jobs += [("synthetic", 0)] * settings.synthetic
    rng.shuffle(jobs)
    all_tools = [[tool for service in services.values() for tool in sgd.tools_of(service)] for services in variants]
    made_up = synthetic.conversations(settings.synthetic, settings.seed)
    for kind, index in jobs:
        seed = rng.getrandbits(48)
        if kind == "sgd":
            yield _vary_dialogue(dialogues[index], variants, all_tools, pool, settings, seed)
        elif kind == "synthetic":
            yield next(made_up)
        else:
            yield _vary_talk(talk[index], all_tools, settings, seed)


def held_out_mix(data: Path | None, limit: int) -> list[Conversation]:
    """Unvaried dialogues of the development split, for the loss curve."""
    folder = find_corpus("sgd", data) / "dev"
    services = sgd.read_services(folder)
    dialogues = list(sgd.read_dialogues(folder))
    chosen = random.Random(1).sample(dialogues, min(limit, len(dialogues)))
    return [sgd.convert(dialogue, services) for dialogue in chosen]


def _vary_dialogue(
    dialogue: sgd.Dialogue,
    variants: list[dict[str, sgd.Json]],
    all_tools: list[list[Tool]],
    pool: vary.ValuePool,
    settings: MixSettings,
    seed: int,
) -> Conversation:
    rng = random.Random(seed)
    number = rng.choice((0, rng.randrange(len(variants))))
    if number:
        dialogue = vary.paraphrase(dialogue, variants[0], variants[number])
    distractors = _some(all_tools[number], rng.randint(0, settings.most_distractors), rng)
    conversation = sgd.convert(dialogue, variants[number], tuple(distractors), seed)
    conversation = vary.change_values(conversation, pool, seed)
    if rng.random() < 0.5:
        conversation = vary.change_types(conversation)
    if rng.random() < 0.7:
        conversation = vary.change_names(conversation, seed)
    return _with_system_text(conversation, rng)


def _vary_talk(
    conversation: Conversation, all_tools: list[list[Tool]], settings: MixSettings, seed: int
) -> Conversation:
    """Half of the talk has tools in reach, none of which it needs."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        tools = _some(rng.choice(all_tools), rng.randint(1, 1 + settings.most_distractors), rng)
        conversation = replace(conversation, tools=tuple({tool.name: tool for tool in tools}.values()))
    return _with_system_text(conversation, rng)


def _some(tools: list[Tool], count: int, rng: random.Random) -> list[Tool]:
    return rng.sample(tools, min(count, len(tools)))


def _with_system_text(conversation: Conversation, rng: random.Random) -> Conversation:
    if rng.random() < 0.7:
        return conversation
    system = Message("system", rng.choice(_SYSTEM_TEXTS))
    return replace(conversation, messages=(system, *conversation.messages))


def _talk(data: Path | None) -> Iterator[Conversation]:
    folder = find_corpus("chat", data)
    yield from general.read_persona_chats(folder)
    yield from general.read_trivia(folder)


def _value_pool(dialogues: list[sgd.Dialogue]) -> dict[str, list[str]]:
    """What users said for each slot, over the whole split."""
    values: dict[str, set[str]] = {}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            for frame in turn["frames"]:
                for slot, said in frame.get("state", {}).get("slot_values", {}).items():
                    values.setdefault(slot, set()).update(said)
    return {slot: sorted(said) for slot, said in values.items()}

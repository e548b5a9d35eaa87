"""The stream of conversations a default model is trained on: dialogues with tools, varied anew, and plain talk."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.chat.messages import Message, Tool
from training.conversation import Conversation, conversation_from_json
from training.convert.builder import ConvertError
from training.convert.star import read_star
from training.convert.taskmaster import read_taskmaster
from training.corpus import general, sgd, synthetic, vary
from training.corpus.archives import find_corpus
from training.corpus.cut import cut_to_call
from training.data.record import Record, plain_json
from training.generate.generator import GenerateSettings, generate
from training.generate.talk import decline
from training.tools.examples import EXAMPLE_TOOLS

_VARIANTS = ("v1", "v2", "v3", "v4", "v5")
_HIDDEN_NAMES_SHARE = 0.12
"""Of conversations with tools: only descriptions tell what those are for."""
_OUT_OF_REACH_SHARE = 0.06
"""Of the dialogues: nothing that is offered does what they ask for."""
_TALK_LENGTHS = (2, 4, 6, 8, 20)
"""Messages."""
_SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Use the tools when they help.",
    "You can call functions. Ask for what you need to know first.",
    "Answer briefly.",
)


_ToolsByDomain = dict[str, list[Tool]]


@dataclass(frozen=True, slots=True)
class MixSettings:
    """What the stream consists of."""

    seed: int = 0
    most_distractors: int = 2
    talk_share: float = 0.2
    """Conversations without a call, as a share of all."""
    synthetic: int = 0
    """Short made-up conversations about copying, besides."""
    generated: int = 0
    """Examples of the template generator (`trammel data generate`) with the tools that ship, besides."""
    others: int = 0
    """Dialogues of STAR and Taskmaster-4, drawn from both alike, besides; all are cut to one of their calls."""
    calculations: int = 0
    """Sums in words, worked out by calls of a calculator, besides."""
    off_topic: int = 0
    """Wishes that nothing in reach can grant, besides."""
    cut_share: float = 0.0
    """Dialogues cut to one of their calls, as a share of them."""
    other_things: float = 0.0
    """Dialogues whose tools are made to be about other things, as a share of them."""
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
    chat = find_corpus("chat", data)
    phrases = general.phrases(chat)
    talk = list(_talk(data))
    jobs: list[tuple[str, int]] = [("sgd", i) for i in range(len(dialogues))] * settings.epochs
    wanted = int(len(jobs) * settings.talk_share / (1 - settings.talk_share))
    jobs += [("talk", rng.randrange(len(talk))) for _ in range(wanted)]
    jobs += [("synthetic", 0)] * settings.synthetic + [("generated", 0)] * settings.generated
    jobs += [("other", 0)] * settings.others
    jobs += [("calculation", 0)] * settings.calculations + [("off topic", 0)] * settings.off_topic
    rng.shuffle(jobs)
    all_tools = [_tools_by_domain(services) for services in variants]
    made_up = synthetic.conversations(settings.synthetic, settings.seed)
    generated = _generated(settings)
    others = [list(_star(data)), list(_taskmaster(data))] if settings.others else []
    sums = list(general.read_calculations(chat)) if settings.calculations else []
    wishes = general.read_off_topic(chat) if settings.off_topic else ([], [])
    for kind, index in jobs:
        seed = rng.getrandbits(48)
        if kind == "sgd":
            yield _vary_dialogue(dialogues[index], variants, all_tools, pool, phrases, settings, seed)
        elif kind == "synthetic":
            yield _vary_made_up(next(made_up), phrases, seed)
        elif kind == "generated":
            yield _with_system_text(next(generated), random.Random(seed))
        elif kind == "other":
            yield _vary_other(rng.choice(rng.choice(others)), phrases, seed)
        elif kind == "calculation":
            yield _vary_calculation(random.Random(seed).choice(sums), all_tools[0], settings, seed)
        elif kind == "off topic":
            yield _vary_off_topic(wishes, all_tools[0], settings.most_distractors, seed)
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
    all_tools: list[_ToolsByDomain],
    pool: vary.ValuePool,
    phrases: Sequence[str],
    settings: MixSettings,
    seed: int,
) -> Conversation:
    rng = random.Random(seed)
    number = rng.choice((0, rng.randrange(len(variants))))
    own = {_domain(service) for service in dialogue.services}
    others = [tool for domain, tools in all_tools[number].items() if domain not in own for tool in tools]
    if rng.random() < _OUT_OF_REACH_SHARE:
        wish = dialogue.turns[0]["utterance"]
        return _out_of_reach(wish, others, settings.most_distractors, dialogue.id, rng)
    if number:
        dialogue = vary.paraphrase(dialogue, variants[0], variants[number])
    distractors = _some(others, rng.randint(0, settings.most_distractors), rng)
    conversation = sgd.convert(dialogue, variants[number], tuple(distractors), seed)
    if rng.random() < settings.cut_share:
        conversation = cut_to_call(conversation, seed)
    conversation = vary.change_values(conversation, pool, seed, phrases)
    if rng.random() < settings.other_things:
        conversation = vary.change_things(conversation, seed)
    if rng.random() < 0.5:
        conversation = vary.change_types(conversation)
    if rng.random() < 0.7:
        conversation = vary.change_names(conversation, seed)
    if rng.random() < _HIDDEN_NAMES_SHARE:
        conversation = vary.hide_names(conversation, seed)
    return _with_system_text(conversation, rng)


def _out_of_reach(wish: str, others: list[Tool], most: int, source: str, rng: random.Random) -> Conversation:
    """A wish that none of the tools grants, and the answer that says so: half the time there is no tool at all."""
    tools = _some(others, rng.randint(1, 1 + most), rng) if rng.random() < 0.5 else []
    tools = list({tool.name: tool for tool in tools}.values())
    answer = decline([tool.description for tool in tools], rng)
    conversation = Conversation((Message("user", wish), Message("assistant", answer)), tuple(tools), source)
    return _with_system_text(conversation, rng)


def _vary_off_topic(
    wishes: tuple[list[str], list[str]], all_tools: _ToolsByDomain, most: int, seed: int
) -> Conversation:
    """Of what some assistants do, a tool at random may do it too: that is said where there are none."""
    rng = random.Random(seed)
    nobodys, somebodys = wishes
    others = [tool for tools in all_tools.values() for tool in tools] if rng.random() < 0.5 else []
    wish = rng.choice(nobodys if others else somebodys)
    return _out_of_reach(wish, others, most, "clinc150", rng)


def _vary_calculation(
    conversation: Conversation, all_tools: _ToolsByDomain, settings: MixSettings, seed: int
) -> Conversation:
    rng = random.Random(seed)
    others = [tool for tools in all_tools.values() for tool in tools]
    tools = [*conversation.tools, *_some(others, rng.randint(0, settings.most_distractors), rng)]
    tools = list({tool.name: tool for tool in tools}.values())
    conversation = replace(conversation, tools=tuple(rng.sample(tools, len(tools))))
    if rng.random() < _HIDDEN_NAMES_SHARE:
        conversation = vary.hide_names(conversation, seed)
    return _with_system_text(conversation, rng)


def _vary_made_up(conversation: Conversation, phrases: Sequence[str], seed: int) -> Conversation:
    """Half of them with words that exist: made-up ones alone teach to spell made-up ones."""
    rng = random.Random(seed)
    if conversation.tools and rng.random() < _HIDDEN_NAMES_SHARE:
        conversation = vary.hide_names(conversation, seed)
    return vary.change_values(conversation, {}, seed, phrases) if rng.random() < 0.5 else conversation


def _vary_other(conversation: Conversation, phrases: Sequence[str], seed: int) -> Conversation:
    rng = random.Random(seed)
    conversation = vary.change_values(cut_to_call(conversation, seed), {}, seed, phrases)
    return _with_system_text(vary.change_names(conversation, seed), rng)


def _vary_talk(
    conversation: Conversation, all_tools: list[_ToolsByDomain], settings: MixSettings, seed: int
) -> Conversation:
    """Half of the talk has tools in reach, none of which it needs."""
    rng = random.Random(seed)
    conversation = replace(conversation, messages=conversation.messages[: rng.choice(_TALK_LENGTHS)])
    if rng.random() < 0.5:
        others = [tool for tools in rng.choice(all_tools).values() for tool in tools]
        tools = _some(others, rng.randint(1, 1 + settings.most_distractors), rng)
        conversation = replace(conversation, tools=tuple({tool.name: tool for tool in tools}.values()))
    return _with_system_text(conversation, rng)


def _generated(settings: MixSettings) -> Iterator[Conversation]:
    tools = EXAMPLE_TOOLS
    lines = generate(GenerateSettings(tools, settings.generated, settings.seed, renamed=0.5))
    for line in lines:
        yield conversation_from_json(plain_json(line), line["id"])


def _tools_by_domain(services: sgd.Services) -> _ToolsByDomain:
    tools: _ToolsByDomain = {}
    for name, service in services.items():
        tools.setdefault(_domain(name), []).extend(sgd.tools_of(service))
    return tools


def _domain(service: str) -> str:
    """`Buses` of `Buses_2`: services of one domain can take each other's place."""
    return service.partition("_")[0]


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


def _star(data: Path | None) -> Iterator[Conversation]:
    return _converted(read_star(find_corpus("star", data)))


def _taskmaster(data: Path | None) -> Iterator[Conversation]:
    return _converted(read_taskmaster(find_corpus("taskmaster4", data)))


def _converted(records: Iterable[Record | ConvertError]) -> Iterator[Conversation]:
    """Those with a call; what can't be converted is left out, as `trammel data convert` does."""
    for record in records:
        if not isinstance(record, ConvertError):
            conversation = record.conversation()
            if any(message.tool_calls for message in conversation.messages):
                yield conversation


def _value_pool(dialogues: list[sgd.Dialogue]) -> dict[str, list[str]]:
    """What users said for each slot, over the whole split."""
    values: dict[str, set[str]] = {}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            for frame in turn["frames"]:
                for slot, said in frame.get("state", {}).get("slot_values", {}).items():
                    values.setdefault(slot, set()).update(said)
    return {slot: sorted(said) for slot, said in values.items()}

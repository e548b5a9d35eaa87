"""One function a category: each plays a conversation that teaches one thing."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from training.data.category import Category
from training.generate import talk
from training.generate.request import Request, draw_request, framed, lowered, reply
from training.generate.scene import Scene
from training.generate.slots import DrawError, Slot, draw_slot, make_slot, words
from training.tools.definition import Tool

_PROSE = {
    "query",
    "body",
    "text",
    "message",
    "subject",
    "title",
    "expression",
    "content",
    "description",
    "note",
    "task",
}
"""Parameters that take any words; none of them can be wrong."""
Play = Callable[[Scene, Tool, Sequence[Tool], Sequence[Tool]], None]
"""Takes the scene, the tool it is about, all tools of the user's, and other tools. Raises: DrawError."""


def single_call(scene: Scene, tool: Tool, _: Sequence[Tool], __: Sequence[Tool]) -> None:
    request = draw_request(tool, scene.rng)
    scene.user(framed(request.text(scene.rng), scene.rng))
    _call_and_answer(scene, request)


def error_recovery(scene: Scene, tool: Tool, _: Sequence[Tool], __: Sequence[Tool]) -> None:
    """A passing failure, a value written wrongly, or one that doesn't exist: tried again, put right, asked for."""
    request = draw_request(tool, scene.rng)
    scene.user(framed(request.text(scene.rng), scene.rng))
    wrong = [slot for slot in request.slots.values() if _is_free_text(tool, slot)]
    kind = scene.rng.choice(("passing", "misspelt", "unknown")) if wrong else "passing"
    if kind == "passing":
        _fail(scene, tool, request.slots, talk.failure(scene.rng))
        _call_and_answer(scene, request)
        return
    slot = scene.rng.choice(wrong)
    if kind == "misspelt":
        bad = make_slot(slot.name, _misspelt(slot.text, scene.rng))
        error = talk.not_found(slot.name, bad.text, scene.rng)
        _fail(scene, tool, {**request.slots, slot.name: bad}, error, is_learnt=False)
        _call_and_answer(scene, request)
        return
    _fail(scene, tool, request.slots, talk.not_found(slot.name, slot.text, scene.rng))
    other = draw_slot(tool, slot.name, scene.rng)
    if other.value == slot.value:
        raise DrawError(f"{tool.name}: {slot.name} has but one value")
    scene.says(f"There is no {words(slot.name)} {slot.text}. Which one should I try instead?", "ask")
    scene.user(reply([other], scene.rng))
    _call_and_answer(scene, Request(tool, {**request.slots, slot.name: other}, None))


def chain(scene: Scene, tool: Tool, tools: Sequence[Tool], _: Sequence[Tool]) -> None:
    """Two calls, the second with a value out of the first one's result where one fits."""
    rng = scene.rng
    first = draw_request(tool, rng)
    result = scene.result(first)
    others = [other for other in tools if other.name != tool.name] or [tool]
    second = draw_request(rng.choice(others), rng)
    if second.tool is first.tool and second.slots == first.slots:
        raise DrawError(f"{tool.name}: twice the same")
    key, slot = _hand_over(result, second, rng)
    instead = {slot.name: f"the {words(key)} you get"} if slot is not None else {}
    if slot is not None:
        second = Request(second.tool, {**second.slots, slot.name: slot}, second.template)
    joint = rng.choice((". Then {}", ", and then {}", ". After that, {}"))
    scene.user(framed(first.text(rng).rstrip(".?!") + joint.format(lowered(second.text(rng, instead))), rng))
    (identity,) = scene.calls((tool, first.slots))
    scene.returns(identity, result)
    _call_and_answer(scene, second)


def parallel(scene: Scene, tool: Tool, tools: Sequence[Tool], _: Sequence[Tool]) -> None:
    """Two or three calls that don't wait for each other, in one message."""
    rng = scene.rng
    requests = [draw_request(tool, rng)]
    for _i in range(rng.choice((1, 1, 2))):
        other = tool if rng.random() < 0.5 else rng.choice(tools)
        requests.append(draw_request(other, rng))
    said = {(request.tool.name, repr(request.slots)) for request in requests}
    if len(said) < len(requests):
        raise DrawError(f"{tool.name}: twice the same")
    first, *rest = [_sentence(request.text(rng)) for request in requests]
    joint = rng.choice((" And {}", " Also, {}", " At the same time, {}"))
    scene.user(framed(first, rng) + "".join(joint.format(lowered(text)) for text in rest))
    identities = scene.calls(*((request.tool, request.slots) for request in requests))
    results = [scene.result(request) for request in requests]
    for identity, result in zip(identities, results, strict=True):
        scene.returns(identity, result)
    scene.says(talk.answers(results))


def clarification(scene: Scene, tool: Tool, _: Sequence[Tool], __: Sequence[Tool]) -> None:
    """What is required and was not said is asked for, never guessed."""
    rng = scene.rng
    required = list(tool.arguments_schema().get("required", ()))
    if not required:
        raise DrawError(f"{tool.name} requires nothing that could be missing")
    request = draw_request(tool, rng)
    missing = [name for name in required if rng.random() < 0.4][:2] or [rng.choice(required)]
    scene.user(framed(request.text(rng, without=missing), rng))
    scene.says(talk.question([_label(tool, name) for name in missing], rng), "ask")
    scene.user(reply([request.slots[name] for name in missing], rng))
    _call_and_answer(scene, request)


def no_tool(scene: Scene, tool: Tool, tools: Sequence[Tool], others: Sequence[Tool]) -> None:
    """Talk, or a wish that no tool in reach can fulfil."""
    rng = scene.rng
    scene.needs[tool.name] = tool
    foreign = [other for other in others if not any(is_alike(other, own) for own in tools)]
    if any(_looks_things_up(own) for own in tools):  # it might answer any question
        foreign = [other for other in foreign if _acts(other)]
    if foreign and rng.random() < 0.6:
        wish = draw_request(rng.choice(foreign), rng)
        scene.withheld |= {other.name: other for other in others if other == wish.tool or _looks_things_up(other)}
        scene.user(framed(wish.text(rng), rng))
        scene.says(talk.decline([tool.description for tool in tools], rng), "talk")
        return
    for text, answer in rng.sample(talk.TALK, rng.choice((1, 1, 2, 3))):
        scene.user(text)
        scene.says(answer, "talk")


def answer(scene: Scene, tool: Tool, _: Sequence[Tool], __: Sequence[Tool]) -> None:
    """What is learnt is to tell a result, and not to call again for what is known."""
    rng = scene.rng
    request = draw_request(tool, rng)
    scene.user(framed(request.text(rng), rng))
    result = scene.result(request)
    (identity,) = scene.calls((tool, request.slots), is_learnt=False)
    scene.returns(identity, result)
    scene.says(talk.answer(result, rng), "talk")
    facts = [(key, value) for key, value in talk.scalars(result) if not isinstance(value, bool)]
    if facts and rng.random() < 0.5:
        asked, told = talk.follow_up(*rng.choice(facts), rng)
        scene.user(asked)
        scene.says(told, "talk")


PLAYS: dict[Category, Play] = {
    "single_call": single_call,
    "error_recovery": error_recovery,
    "chain": chain,
    "parallel": parallel,
    "clarification": clarification,
    "no_tool": no_tool,
    "answer": answer,
}


def is_alike(one: Tool, other: Tool) -> bool:
    """Whether two tools may do the same, judged by the words of their names and descriptions."""

    def key_words(tool: Tool) -> set[str]:
        text = f"{words(tool.name)} {tool.description}".lower().replace(".", " ").replace(",", " ")
        return {word for word in text.split() if len(word) > 3} - {"with", "from", "into", "that", "this", "user"}

    return one.name == other.name or len(key_words(one) & key_words(other)) > 0


def _looks_things_up(tool: Tool) -> bool:
    return bool({"search", "find", "query", "lookup", "browse", "ask"} & set(words(tool.name).lower().split()))


def _acts(tool: Tool) -> bool:
    return words(tool.name).lower().split()[0] in ("create", "send", "set", "book", "delete", "update", "order", "play")


def _call_and_answer(scene: Scene, request: Request) -> None:
    (identity,) = scene.calls((request.tool, request.slots))
    result = scene.result(request)
    scene.returns(identity, result)
    scene.says(talk.answer(result, scene.rng))


def _fail(scene: Scene, tool: Tool, slots: dict[str, Slot], error: Any, *, is_learnt: bool = True) -> None:
    (identity,) = scene.calls((tool, slots), is_learnt=is_learnt)
    scene.returns(identity, error)


def _is_free_text(tool: Tool, slot: Slot) -> bool:
    """Whether it names something, any other name would do for the schema, and this one can be misspelt."""
    if words(slot.name).lower().split()[-1] in _PROSE:
        return False
    schema = tool.arguments_schema()["properties"][slot.name]
    bounds = {"enum", "const", "format", "pattern", "maxLength", "$ref", "anyOf", "oneOf"}
    return schema.get("type") == "string" and not bounds & set(schema) and len(_swaps(slot.text)) > 0 and not tool.judge


def _swaps(text: str) -> list[int]:
    return [i for i, (a, b) in enumerate(pairwise(text)) if a.isalpha() and b.isalpha() and a != b and i > 0]


def _sentence(text: str) -> str:
    return text if text[-1:] in ".?!" else text + "."


def _label(tool: Tool, name: str) -> str:
    """A parameter's name in words; where that is but a `to`, what its description calls it."""
    text = str(tool.arguments_schema()["properties"][name].get("description", "")).split(",")[0].rstrip(".")
    return lowered(text) if len(words(name)) <= 2 and 0 < len(text.split()) <= 4 else words(name)


def _misspelt(text: str, rng: random.Random) -> str:
    place = rng.choice(_swaps(text))
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _hand_over(result: Any, request: Request, rng: random.Random) -> tuple[str, Slot | None]:
    """A value of a result that a parameter can take: the parameter's name with it, in words."""
    properties = request.tool.arguments_schema()["properties"]
    fitting: list[tuple[str, Slot]] = []
    for key, value in talk.scalars(result):
        for name in request.slots:
            schema = properties[name]
            if isinstance(value, bool) or set(schema) & {"enum", "const", "format", "pattern", "maxLength", "minimum"}:
                continue
            if schema.get("type") == "string" and (name in _PROSE - {"subject", "title"} or key == name):
                fitting.append((key, make_slot(name, str(value))))
            elif schema.get("type") == "number" and not isinstance(value, str):
                fitting.append((key, make_slot(name, value)))
    return rng.choice(fitting) if fitting else ("", None)

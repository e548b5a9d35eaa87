"""What is in reach besides the tool that is needed, in which order, and under which names."""

import random
import re
from collections.abc import Callable, Sequence

from training.data.record import Call, Function, Record, RecordMessage, RecordTool, ToolFunction
from training.generate.categories import is_alike
from training.generate.scene import Scene
from training.generate.talk import system_text
from training.tools.definition import Tool

_MOST_IN_REACH = 8
"""Of the user's own tools; more make every example long."""
_SYSTEM_SHARE = 0.3
_VERBS = {
    "get": ("fetch", "show", "read"), "search": ("find", "query", "lookup"), "send": ("write", "post"),
    "create": ("add", "make", "new"), "find": ("get", "search", "lookup"), "set": ("add", "create"),
    "calculate": ("compute", "evaluate"), "convert": ("change", "exchange"), "book": ("reserve", "order"),
    "delete": ("remove", "drop"), "update": ("change", "edit"), "list": ("show", "get"),
}  # fmt: skip


def choose_tools(scene: Scene, tools: Sequence[Tool], others: Sequence[Tool], distractors: int) -> list[Tool]:
    """Those needed, the user's own, and up to `distractors` of the others that can't be taken for one of them."""
    rng = scene.rng
    chosen = dict(scene.needs)
    own = [tool for tool in tools if tool.name not in chosen]
    for tool in rng.sample(own, min(len(own), max(0, _MOST_IN_REACH - len(chosen)))):
        chosen[tool.name] = tool
    unlike = [
        other
        for other in others
        if not any(is_alike(other, tool) for tool in (*tools, *chosen.values(), *scene.withheld.values()))
    ]
    for tool in rng.sample(unlike, min(len(unlike), rng.randint(0, distractors))):
        chosen[tool.name] = tool
    shuffled = list(chosen.values())
    rng.shuffle(shuffled)
    return shuffled


def finished(scene: Scene, tools: Sequence[Tool], renamed_share: float) -> Record:
    """The scene as a record, at times with a system text, at times with other names for its tools."""
    rng = scene.rng
    names = {tool.name: tool.name for tool in tools}
    if rng.random() < renamed_share:
        names = _other_names([tool.name for tool in tools], rng)
    messages = [_renamed(message, names) for message in scene.messages]
    if rng.random() < _SYSTEM_SHARE and not any(message.role == "system" for message in messages):
        messages.insert(0, RecordMessage(role="system", content=system_text(rng)))
    return Record(messages=messages, tools=[_record_tool(tool, names[tool.name]) for tool in tools])


def _record_tool(tool: Tool, name: str) -> RecordTool:
    function = ToolFunction(name=name, description=tool.description or None, parameters=tool.arguments_schema())
    return RecordTool(type="function", function=function)


def _renamed(message: RecordMessage, names: dict[str, str]) -> RecordMessage:
    if not message.tool_calls:
        return message
    calls = [
        Call(id=c.id, function=Function(name=names[c.function.name], arguments=c.function.arguments))
        for c in message.tool_calls
    ]
    return message.model_copy(update={"tool_calls": calls})


def _other_names(names: Sequence[str], rng: random.Random) -> dict[str, str]:
    """One letter case for all, and for some a verb that means the same."""
    write = rng.choice(_CASES)
    renamed: dict[str, str] = {}
    for name in names:
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)] or [name]
        if words[0] in _VERBS and rng.random() < 0.5:
            words[0] = rng.choice(_VERBS[words[0]])
        new = write(words)[:64]
        renamed[name] = name if new in renamed.values() or new in names else new
    return renamed if len(set(renamed.values())) == len(names) else {name: name for name in names}


def _camel(words: list[str]) -> str:
    return words[0] + "".join(word.capitalize() for word in words[1:])


_CASES: tuple[Callable[[list[str]], str], ...] = (
    "_".join,
    "-".join,
    _camel,
    lambda words: "".join(word.capitalize() for word in words),
    lambda words: "_".join([*words[1:], words[0]]),
)

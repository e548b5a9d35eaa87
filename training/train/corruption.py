"""Wrong calls made of right ones, for learning to prefer the right: the faults that no grammar prevents.

A wrong value is one that the parameter has elsewhere in the data, or that its schema lists: plausible, valid, and not
what was asked for.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import compact_json
from training.data.arguments import members_of

Arguments = dict[str, Any]
WRONG_VALUE, WRONG_TOOL, MISSING_ARGUMENT = "wrong_value", "wrong_tool", "missing_argument"


class Corruption:
    """Knows which values parameters have in a file."""

    def __init__(self, calls: Iterable[ToolCall]) -> None:
        self._values: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for call in calls:
            for name, value in _arguments(call).items():
                if value not in self._values[call.name, name]:
                    self._values[call.name, name].append(value)

    def corrupt(self, answer: Message, tools: Sequence[Tool], rng: random.Random) -> tuple[str, Message] | None:
        """The kind of fault and the answer with one call spoilt; None, if nothing about it can be."""
        kinds: list[tuple[str, Callable[[ToolCall, Sequence[Tool], random.Random], ToolCall | None]]] = [
            (WRONG_VALUE, self._with_wrong_value),
            (WRONG_TOOL, _with_wrong_tool),
            (MISSING_ARGUMENT, _without_argument),
        ]
        rng.shuffle(kinds)
        place = rng.randrange(len(answer.tool_calls))
        for kind, spoil in kinds:
            spoilt = spoil(answer.tool_calls[place], tools, rng)
            if spoilt is not None:
                calls = (*answer.tool_calls[:place], spoilt, *answer.tool_calls[place + 1 :])
                return kind, replace(answer, tool_calls=calls)
        return None

    def _with_wrong_value(self, call: ToolCall, tools: Sequence[Tool], rng: random.Random) -> ToolCall | None:
        arguments = _arguments(call)
        schema = next((tool.parameters for tool in tools if tool.name == call.name), {})
        for name in rng.sample(sorted(arguments), len(arguments)):
            member = members_of(schema)[0].get(name)
            listed = member.get("enum", []) if isinstance(member, dict) else []
            others = [v for v in (*self._values[call.name, name], *listed) if v != arguments[name]]
            if others:
                return _with_arguments(call, {**arguments, name: rng.choice(others)})
        return None


def _with_wrong_tool(call: ToolCall, tools: Sequence[Tool], rng: random.Random) -> ToolCall | None:
    others = [tool.name for tool in tools if tool.name != call.name]
    return replace(call, name=rng.choice(others)) if others else None


def _without_argument(call: ToolCall, _: Sequence[Tool], rng: random.Random) -> ToolCall | None:
    arguments = _arguments(call)
    if not arguments:
        return None
    dropped = rng.choice(sorted(arguments))
    return _with_arguments(call, {name: value for name, value in arguments.items() if name != dropped})


def _arguments(call: ToolCall) -> Arguments:
    value: Arguments = json.loads(call.arguments)
    return value


def _with_arguments(call: ToolCall, arguments: Arguments) -> ToolCall:
    return replace(call, arguments=compact_json(arguments))

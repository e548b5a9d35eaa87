"""Counts what a data set covers: categories, tools, parameters, values."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from training.data.arguments import ArgumentsError, members_of, read_arguments
from training.data.category import category_of
from training.data.record import Record, written


@dataclass(slots=True)
class ToolCoverage:
    """How often a tool was in reach and used, and with what."""

    offered: int = 0
    """Records with the tool in reach."""
    called: int = 0
    parameters: dict[str, bool] = field(default_factory=dict)
    """Whether each is required."""
    used: Counter[str] = field(default_factory=Counter)
    """Calls that gave the parameter."""
    values: dict[str, set[int]] = field(default_factory=dict)
    """Hashes of the different values."""

    def as_json(self) -> dict[str, Any]:
        parameters = {
            name: {"required": required, "used": self.used[name], "values": len(self.values.get(name, ()))}
            for name, required in self.parameters.items()
        }
        return {"offered": self.offered, "called": self.called, "parameters": parameters}


@dataclass(slots=True)
class Coverage:
    """Of a whole file."""

    records: int = 0
    characters: int = 0
    """Of the learnt text: contents and arguments of assistant messages with a weight."""
    messages: Counter[str] = field(default_factory=Counter)
    """By role."""
    categories: Counter[str] = field(default_factory=Counter)
    tools: dict[str, ToolCoverage] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.records += 1
        self.categories[category_of(record)] += 1
        self.messages.update(message.role for message in record.messages)
        for tool in record.tools or ():
            counted = self.tools.setdefault(tool.function.name, ToolCoverage())
            counted.offered += 1
            properties, required = members_of(tool.function.parameters)
            for name in properties:
                counted.parameters.setdefault(name, name in required)
        for message in record.messages:
            if message.role == "assistant" and message.weight != 0:
                self.characters += len(message.text)
            for call in message.tool_calls or ():
                if message.weight != 0:
                    self.characters += len(call.function.arguments)
                self._add_call(call.function.name, call.function.arguments)

    def _add_call(self, name: str, text: str) -> None:
        if name not in self.tools:
            return
        counted = self.tools[name]
        counted.called += 1
        try:
            arguments = read_arguments(text)
        except ArgumentsError:
            return
        for key, value in arguments.items():
            counted.used[key] += 1
            counted.values.setdefault(key, set()).add(hash(written({"value": value})))

    def gaps(self) -> list[str]:
        """What a model could not learn from this, in words."""
        idle = [name for name, tool in self.tools.items() if not tool.called]
        gaps = [f"never called: {', '.join(idle)}"] if idle else []
        for name, tool in self.tools.items():
            if tool.called:
                unused = [key for key in tool.parameters if not tool.used[key]]
                gaps += [f"{name}: {', '.join(unused)} never given"] if unused else []
        return gaps

    def as_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "learnt_characters": self.characters,
            "messages": dict(self.messages),
            "categories": dict(self.categories),
            "tools": {name: tool.as_json() for name, tool in sorted(self.tools.items())},
            "gaps": self.gaps(),
        }

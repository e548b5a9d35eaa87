"""What a simulated world consists of. A tool is a schema with a function on the world's tables."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evals.case import GoldCall, Json, MadeCall, canonical
from evals.conformance import conforms

Run = Callable[..., Json]
"""Takes the tables and the arguments by name; gives the result, changes the tables."""


class WorldError(Exception):
    """A call the world refuses; the text is the tool's result."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of a world."""

    name: str
    description: str
    properties: dict[str, Json]
    run: Run
    required: tuple[str, ...] | None = None
    """None: all properties."""

    def as_json(self) -> Json:
        """As requests carry it."""
        parameters: Json = {
            "type": "object",
            "properties": self.properties,
            "required": list(self.properties if self.required is None else self.required),
            "additionalProperties": False,
        }
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class World:
    """Tools, and the tables they begin with."""

    name: str
    tools: tuple[Tool, ...]
    beginning: Json

    def enter(self, state: Json | None = None) -> "Simulation":
        """A world of one's own; tables in `state` replace those of the beginning."""
        return Simulation({tool.name: tool for tool in self.tools}, copy.deepcopy({**self.beginning, **(state or {})}))


@dataclass(slots=True)
class Simulation:
    """A world that is being acted in."""

    tools: dict[str, Tool]
    state: Json
    results: list[Json] = field(default_factory=list)

    def call(self, name: str, arguments: Json | None) -> Json:
        """The result of a call; what can't be done is a result with `error`, and changes nothing."""
        result = self._call(name, arguments)
        self.results.append(result)
        return result

    def _call(self, name: str, arguments: Json | None) -> Json:
        tool = self.tools.get(name)
        if tool is None:
            return {"error": f"there is no tool {name!r}"}
        if arguments is None or not conforms(arguments, tool.as_json()["function"]["parameters"]):
            return {"error": "the arguments do not fit the tool's schema"}
        before = copy.deepcopy(self.state)
        try:
            return tool.run(self.state, **arguments)
        except WorldError as error:
            self.state = before
            return {"error": str(error)}


def has_same_effect(world: World, state: Json, gold: tuple[GoldCall, ...], made: list[MadeCall]) -> bool:
    """Whether both lists of calls leave the same tables and see the same results, whatever their order."""
    first, second = world.enter(state), world.enter(state)
    for wanted in gold:
        first.call(wanted.name, wanted.arguments)
    for call in made:
        second.call(call.name, call.arguments)
    alike = sorted(map(canonical, first.results)) == sorted(map(canonical, second.results))
    return alike and canonical(first.state) == canonical(second.state)


def find(rows: list[Json], what: str, **wanted: Any) -> Json:
    """The first row with these values, letter case aside. Raises: WorldError."""
    for row in rows:
        if all(str(row.get(key)).casefold() == str(value).casefold() for key, value in wanted.items()):
            return row
    raise WorldError(f"no such {what}: {', '.join(str(value) for value in wanted.values())}")


def text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def integer(description: str, **more: Any) -> Json:
    return {"type": "integer", "description": description, **more}


def number(description: str, **more: Any) -> Json:
    return {"type": "number", "description": description, **more}

"""Our own scenarios and tasks in simulated worlds, written in YAML.

A scenario is one answer to a conversation: `user` says something, after the turns in `before` (user, assistant, or a
call, whose result the world gives). Right are these `calls`, in any order; or to `ask` for what is missing; or to
`talk`. An argument may be `{any: [...]}`, the first being the value. A task has a `solution` instead: calls after which
the world is as it must be in the end, and what the last answer `says`.
"""

import datetime as dt
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evals.case import Case, Expectation, GoldCall, Json, Task
from evals.suites.lines import SuiteError
from evals.worlds import WORLDS, Simulation

Calls = list[dict[str, dict[str, Any]]]
"""Each of one tool with its arguments."""

_MORE_STEPS = 4
"""A task may take this many requests more than its solution has calls."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Turn(_Strict):
    user: str | None = None
    assistant: str | None = None
    call: dict[str, dict[str, Any]] | None = None


class _Scenario(_Strict):
    id: str
    category: str = ""
    """None: the world's name."""
    system: str | None = None
    before: list[_Turn] = []
    user: str | None = None
    calls: Calls = []
    ask: bool = False
    talk: bool = False
    solution: Calls = []
    says: list[str] = []

    @model_validator(mode="after")
    def _knows_what_is_right(self) -> Self:
        if [bool(self.calls), self.ask, self.talk, bool(self.solution)].count(True) != 1:
            raise ValueError(f"{self.id}: exactly one of calls, ask, talk and solution says what is right")
        return self


class _File(_Strict):
    """All scenarios of one world, or of several."""

    world: str | None = None
    scenarios: list[_Scenario] = []
    worlds: dict[str, list[_Scenario]] = Field(default_factory=dict)


def read_scenarios(_: Path | None = None) -> list[Case]:
    """Our own single answers: a three-tool agent, and five more worlds, by category."""
    return [*_read(_text("office.yaml"), "scenarios"), *_read(_text("worlds.yaml"), "scenarios")]


def read_tasks(_: Path | None = None) -> list[Case]:
    """Our own tasks of several steps in simulated worlds, passed by the state they end in."""
    return list(_read(_text("tasks.yaml"), "tasks"))


def read_file(path: Path) -> list[Case]:
    """Scenarios or tasks of one's own. Raises: SuiteError, OSError."""
    return list(_read(path.read_text(encoding="utf-8"), path.stem))


def _text(name: str) -> str:
    return files("evals.suites").joinpath(name).read_text(encoding="utf-8")


def _read(text: str, suite: str) -> Iterator[Case]:
    try:
        read = _File.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise SuiteError(f"{suite}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except yaml.YAMLError as error:
        raise SuiteError(f"{suite} is not YAML: {error}") from error
    by_world = {**({read.world: read.scenarios} if read.world else {}), **read.worlds}
    for world, scenarios in by_world.items():
        if world not in WORLDS:
            raise SuiteError(f"{suite}: there is no world {world!r}: it is one of {', '.join(WORLDS)}")
        for scenario in scenarios:
            yield _case(scenario, world, suite)


def _case(scenario: _Scenario, world: str, suite: str) -> Case:
    simulation = WORLDS[world].enter()
    messages = list(_messages(scenario, simulation))
    state = simulation.state  # as the earlier calls left it
    expects: Expectation = "ask" if scenario.ask else "talk" if scenario.talk else "call"
    return Case(
        id=f"{world}/{scenario.id}",
        suite=suite,
        group=scenario.category or world,
        messages=messages,
        tools=[tool.as_json() for tool in WORLDS[world].tools],
        expects="any" if scenario.solution else expects,
        gold=tuple(_gold(call) for call in scenario.calls),
        task=_task(scenario, world, state),
    )


def _messages(scenario: _Scenario, simulation: Simulation) -> Iterator[Json]:
    if scenario.system:
        yield {"role": "system", "content": scenario.system}
    for number, turn in enumerate(scenario.before):
        if turn.user:
            yield {"role": "user", "content": turn.user}
        if turn.assistant:
            yield {"role": "assistant", "content": turn.assistant}
        if turn.call:
            ((name, arguments),) = turn.call.items()
            plain = _plain(arguments)
            function = {"name": name, "arguments": json.dumps(plain, separators=(",", ":"))}
            call = {"id": f"call_{number}", "type": "function", "function": function}
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
            result = json.dumps(simulation.call(name, plain), separators=(",", ":"))
            yield {"role": "tool", "tool_call_id": f"call_{number}", "content": result}
    if scenario.user:
        yield {"role": "user", "content": scenario.user}


def _task(scenario: _Scenario, world: str, state: Json) -> Task:
    if not scenario.solution:
        return Task(world, state)
    end = WORLDS[world].enter(state)
    for call in scenario.solution:
        ((name, arguments),) = call.items()
        result = end.call(name, _plain(arguments))
        if "error" in result:
            raise SuiteError(f"{world}/{scenario.id}: the solution fails at {name}: {result['error']}")
    return Task(world, state, end.state, tuple(scenario.says), len(scenario.solution) + _MORE_STEPS)


def _gold(call: dict[str, dict[str, Any]]) -> GoldCall:
    ((name, arguments),) = call.items()
    variants = {key: value["any"][1:] for key, value in arguments.items() if isinstance(value, dict)}
    return GoldCall(name, _plain(arguments), variants)


def _plain(arguments: Json) -> Json:
    """The first of several values; dates as the texts they were written as."""
    plain = {key: value["any"][0] if isinstance(value, dict) else value for key, value in arguments.items()}
    return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in plain.items()}

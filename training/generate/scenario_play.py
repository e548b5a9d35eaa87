"""Plays a scenario of a file: values are drawn once and stand alike in words, arguments, results and answers."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from training.data.argument_faults import argument_faults
from training.data.record import RecordMessage
from training.generate.scenario_file import Range, Scenario, ScenarioError, ScenarioFile, Turn, ValueKind
from training.generate.scene import Scene
from training.generate.slots import make_slot, said
from training.tools import values
from training.tools.definition import Json, Tool

_PLACE = re.compile(r"\{(\w+(?:\.\w+)*)\}")


def play_scenario(scene: Scene, scenario: Scenario, file: ScenarioFile, tools: Sequence[Tool]) -> None:
    """Add the scenario's turns to the scene. Raises: ScenarioError."""
    known = {name: _drawn(kind, scene.rng) for name, kind in file.values.items()}
    try:
        if scenario.system is not None:
            scene.messages.append(RecordMessage(role="system", content=_filled_text(scenario.system, known)))
        for turn in scenario.turns:
            _play_turn(scene, turn, known, {tool.name: tool for tool in tools})
    except ScenarioError as error:
        raise ScenarioError(f"scenario {scenario.id!r}: {error}") from error


def _play_turn(scene: Scene, turn: Turn, known: dict[str, Any], tools: Mapping[str, Tool]) -> None:
    if turn.user is not None:
        scene.user(_text(turn.user, known, scene.rng))
    elif turn.ask is not None:
        scene.says(_text(turn.ask, known, scene.rng), "ask")
    elif turn.assistant is not None:
        scene.says(_text(turn.assistant, known, scene.rng), "talk")
    else:
        _play_calls(scene, turn, known, tools)


def _play_calls(scene: Scene, turn: Turn, known: dict[str, Any], tools: Mapping[str, Tool]) -> None:
    made = []
    for call in turn.calls or ():
        ((name, arguments),) = call.items()
        if name not in tools:
            raise ScenarioError(f"there is no tool {name!r}; there are {', '.join(tools)}")
        filled: Json = _filled(arguments or {}, known)
        schema = tools[name].arguments_schema()
        unknown = set(filled) - set(schema["properties"])
        if unknown:
            raise ScenarioError(f"{name} has no parameter {min(unknown)!r}")
        for fault in argument_faults(schema, filled):
            raise ScenarioError(f"{name}: {fault}")
        made.append((tools[name], {key: make_slot(key, value) for key, value in filled.items()}))
    identities = scene.calls(*made, is_learnt=turn.learn)
    results = (
        [_filled(result, known) for result in turn.results]
        if turn.results is not None
        else [scene.result_of(tool, slots) for tool, slots in made]
    )
    for identity, result in zip(identities, results, strict=True):
        scene.returns(identity, result)
    if turn.name is not None:
        known[turn.name] = results[0]


def _drawn(kind: list[Any] | ValueKind | Range, rng: random.Random) -> Any:
    if isinstance(kind, Range):
        return rng.randint(kind.least, kind.most)
    return getattr(values, kind)(rng) if isinstance(kind, str) else rng.choice(kind)


def _text(phrases: str | list[str], known: Mapping[str, Any], rng: random.Random) -> str:
    return _filled_text(phrases if isinstance(phrases, str) else rng.choice(phrases), known)


def _filled(template: Any, known: Mapping[str, Any]) -> Any:
    """A text that is one place alone becomes the value itself, of whatever type."""
    if isinstance(template, dict):
        return {key: _filled(value, known) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, known) for value in template]
    if not isinstance(template, str):
        return template
    alone = _PLACE.fullmatch(template)
    return _value(alone[1], known) if alone else _filled_text(template, known)


def _filled_text(template: str, known: Mapping[str, Any]) -> str:
    return _PLACE.sub(lambda match: said(_value(match[1], known)), template)


def _value(path: str, known: Mapping[str, Any]) -> Any:
    """What `name` or `name.key.0` stands for."""
    first, *keys = path.split(".")
    if first not in known:
        raise ScenarioError(f"{{{path}}} is neither one of the values nor the name of a result before it")
    value = known[first]
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise ScenarioError(f"{{{path}}}: the result has no {key!r}") from None
    return value

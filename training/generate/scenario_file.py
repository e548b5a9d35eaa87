"""Scenario files: conversations written down by hand, in YAML or JSON, with places where values are drawn anew.

A file names its tools, lists of values, and scenarios; a scenario is a list of turns, each of what a user says, what is
called (with its results), what is asked, or what is said. `docs/training.md` has one whole.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.data.category import Category
from training.tools.definition import Json
from training.tools.loading import read_yaml

ValueKind = Literal[
    "place", "first_name", "full_name", "email", "date", "time_of_day", "money", "code", "phrase", "invented"
]
"""Names of what `training.tools.values` draws."""
_FAULTS = 3
"""Told of a file at most."""
Phrases = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class ScenarioError(ValueError):
    """A scenario file won't do; the text says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Part):
    """Whole numbers, both ends included."""

    least: int = Field(alias="from")
    most: int = Field(alias="to")

    @model_validator(mode="after")
    def _is_not_empty(self) -> "Range":
        if self.most < self.least:
            raise ValueError("from must not be larger than to")
        return self


class Turn(_Part):
    """One turn: `user`, `calls`, `ask` or `assistant`. Texts may be lists, of which one is drawn."""

    user: str | Phrases | None = None
    assistant: str | Phrases | None = None
    ask: str | Phrases | None = None
    """The assistant asks for what is missing."""
    calls: Annotated[list[dict[str, Json | None]], Field(min_length=1)] | None = None
    """Each call is one name with its arguments."""
    results: list[Any] | None = None
    """What they give; without them the tool's `simulate` tells, or something is made up."""
    name: Annotated[str | None, Field(alias="as", pattern=r"^\w+$")] = None
    """What the first result is called in later turns: `{contact.email}`."""
    learn: bool = True
    """False for calls that are wrong: they stand in the history, and are not trained on."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Turn":
        given = [key for key in ("user", "assistant", "ask", "calls") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("a turn has exactly one of user, calls, ask and assistant")
        if self.calls is None and (self.results is not None or self.name is not None or not self.learn):
            raise ValueError("results, as and learn belong to calls")
        if self.calls is not None and any(len(call) != 1 for call in self.calls):
            raise ValueError("each of calls is one name with its arguments")
        if self.results is not None and len(self.results) != len(self.calls or ()):
            raise ValueError("there must be as many results as calls")
        return self


class Scenario(_Part):
    """One conversation."""

    id: Annotated[str, Field(min_length=1)]
    category: Category | None = None
    """By default told from the form."""
    system: str | None = None
    turns: Annotated[list[Turn], Field(min_length=2)]


class _File(_Part):
    tools: str | None = None
    values: dict[Annotated[str, Field(pattern=r"^\w+$")], Annotated[list[Any], Field(min_length=1)] | ValueKind | Range]
    scenarios: Annotated[list[Scenario], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _values_may_be_left_out(cls, content: Any) -> Any:
        return {"values": {}, **content} if isinstance(content, dict) else content


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """What a file says."""

    scenarios: Sequence[Scenario]
    values: dict[str, list[Any] | ValueKind | Range] = field(default_factory=dict)
    tools: str | None = None
    """Where the tools are, as `--tools` takes it; a file is looked for beside this one first."""


def read_scenarios(path: Path) -> ScenarioFile:
    """Raises: ScenarioError; OSError."""
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if path.suffix == ".json" else read_yaml(text)
        file = _File.model_validate(content)
    except ValueError as error:
        raise ScenarioError(f"{path}: {_reason(error)}") from error
    ids = [scenario.id for scenario in file.scenarios]
    repeated = next((identity for identity in ids if ids.count(identity) > 1), None)
    if repeated is not None:
        raise ScenarioError(f"{path}: two scenarios have the id {repeated!r}")
    return ScenarioFile(file.scenarios, dict(file.values), _tools_beside(file.tools, path.parent))


def _tools_beside(source: str | None, folder: Path) -> str | None:
    """Paths are meant from the file's own folder."""
    if source is None:
        return None
    parts = []
    for part in source.split("+"):
        file, colon, names = part.partition(":")
        beside = folder / file
        parts.append(f"{beside}{colon}{names}" if beside.is_file() else part)
    return "+".join(parts)


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    faults = [(".".join(str(part) for part in fault["loc"]), fault["msg"]) for fault in error.errors()[:_FAULTS]]
    return "; ".join(f"{place}: {message}" if place else message for place, message in faults)

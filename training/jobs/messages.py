"""What the training process says to its worker: a JSON object a line."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """Something to read."""

    text: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is about to be learnt."""

    records: int
    cut: int
    """Records that were too long and lost something."""
    tokens: int
    supervised: int
    """Tokens of answers, which are learnt."""
    steps: int
    left_out: str = ""
    """Which records nothing is learnt of, and why."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step was done."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The validation file was looked at."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint from which the run could go on, and its adapter for llama.cpp."""

    step: int
    file: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over, or was stopped where it can be gone on with."""

    is_finished: bool
    step: int
    file: Path | None = None
    """The adapter for llama.cpp."""
    tokens: int = 0
    """Trained on, in all epochs."""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broken:
    """The run can't succeed, however often it is tried."""

    code: str
    message: str
    param: str | None = None


Message = Told | Prepared | Stepped | Evaluated | Published | Ended | Broken
_KINDS = {kind.__name__: kind for kind in (Told, Prepared, Stepped, Evaluated, Published, Ended, Broken)}
_PATHS = ("file",)


def write_message(message: Message) -> str:
    """A line, without its end."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}, default=str)


def read_message(line: str) -> Message:
    """Raises: ValueError, KeyError, TypeError."""
    fields: dict[str, Any] = json.loads(line)
    kind = _KINDS[fields.pop("kind")]
    paths = {name: Path(fields[name]) for name in _PATHS if fields.get(name) is not None}
    message: Message = kind(**{**fields, **paths})
    return message

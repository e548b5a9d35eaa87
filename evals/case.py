"""One thing to be asked, and what is known about the right answer. Suites make cases; all else only reads them."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Expectation = Literal["call", "ask", "talk", "any"]
"""What a right answer does first: call, ask for what is missing, talk without a call, or whatever it likes."""
Language = Literal["python", "java", "javascript"]


@dataclass(frozen=True, slots=True)
class GoldCall:
    """A call that is right."""

    name: str
    arguments: Json
    variants: dict[str, list[Any]] = field(default_factory=dict)
    """Argument to further values that count as right."""


@dataclass(frozen=True, slots=True)
class Task:
    """A simulated world to act in, and what it must be like in the end."""

    world: str
    state: Json = field(default_factory=dict)
    """Laid over the world's own beginning, table by table."""
    final: Json | None = None
    """Tables as they must be in the end, tables not named may be anything; None: there is no end to be reached."""
    says: tuple[str, ...] = ()
    """Texts that the last answer must hold, letter case aside."""
    steps: int = 8
    """Requests until it counts as failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation to be continued."""

    id: str
    suite: str
    group: str
    """May be of several levels, `live_simple/sgd`; every level is shown."""
    messages: list[Json]
    tools: list[Json] = field(default_factory=list)
    expects: Expectation = "any"
    gold: tuple[GoldCall, ...] = ()
    choice: str | None = None
    """`tool_choice`, None to leave it out."""
    task: Task | None = None
    possible: tuple[Json, ...] | None = None
    """BFCL's possible answers, where its rules judge; with them go `functions`, as BFCL wrote them."""
    functions: tuple[Json, ...] = ()
    language: Language = "python"
    schema: Json | bool | None = None
    """A JSON Schema that the answer's text must conform to."""
    accepts: tuple[str, ...] = ()
    """Short answers, one of which the text must hold."""

    text: str | None = None
    """A text that is only judged: how likely is it?"""
    conversation: str = ""
    """Whose turn it is: turns of one are no independent evidence. Empty: it stands alone."""

    def schema_of(self, name: str) -> Json | None:
        """The parameters of a tool, None if there is none of that name."""
        for tool in self.tools:
            if tool["function"]["name"] == name:
                parameters: Json = tool["function"].get("parameters") or {}
                return parameters
        return None


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call as an endpoint made it."""

    name: str
    text: str
    arguments: Json | None
    """None where the text is not the JSON of an object."""


def read_calls(message: Json) -> list[MadeCall]:
    """The tool calls of an assistant message."""
    calls = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        text = function.get("arguments")
        text = text if isinstance(text, str) else json.dumps(text)
        calls.append(MadeCall(str(function.get("name")), text, _object(text)))
    return calls


def canonical(value: Any) -> str:
    """One spelling for equal JSON values: sorted keys, no blanks, 2.0 as 2."""
    return json.dumps(_plain_numbers(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises: ValueError, for NaN and Infinity too, which Python would let pass."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _object(text: str) -> Json | None:
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return value

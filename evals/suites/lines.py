"""OpenAI's fine-tuning lines as a suite: every assistant turn is to be predicted from the gold history before it.

What an evaluator must know beside a conversation stands in fields that training ignores: in a line `group` (or `seen`:
whether its tools were trained on), `category` and `id`; in an assistant message `expects` (call, ask, talk, any); in a
tool call `variants` (argument to further values that count as right). Turns of weight 0, which are not learnt, are not
asked for. `trammel gold` writes such lines.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic import Json as JsonText

from evals.case import Case, Expectation, GoldCall, Json

_NOT_SENT = ("variants", "expects", "weight")
"""`weight` is training's: https://platform.openai.com/docs/guides/fine-tuning"""


class SuiteError(Exception):
    """A suite can't be read; the text says where and why."""


class _Function(BaseModel):
    name: str
    arguments: JsonText[dict[str, Any]]


class _Call(BaseModel):
    function: _Function
    variants: dict[str, list[Any]] = {}


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    tool_calls: list[_Call] | None = None
    expects: Expectation | None = None
    weight: float | None = None


class _ToolFunction(BaseModel):
    name: str


class _Tool(BaseModel):
    function: _ToolFunction


class _Line(BaseModel):
    messages: Annotated[list[_Message], Field(min_length=1)]
    tools: list[_Tool] | None = None
    id: str | None = None
    group: str | None = None
    category: str | None = None
    seen: bool | None = None


def read_lines(path: Path, suite: str | None = None) -> Iterator[Case]:
    """All assistant turns of a file. `suite`: by default the file's name. Raises: SuiteError, OSError."""
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            raw = json.loads(text)
            line = _Line.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise SuiteError(f"{path}, line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except ValueError as error:
            raise SuiteError(f"{path}, line {number}: {error}") from error
        yield from _turns(line, raw, suite or path.stem, line.id or str(number))


def _turns(line: _Line, raw: Json, suite: str, name: str) -> Iterator[Case]:
    history: list[Json] = []
    for index, (message, raw_message) in enumerate(zip(line.messages, raw["messages"], strict=True)):
        if message.role == "assistant" and history and message.weight != 0:
            yield Case(
                id=f"{name}/{index}",
                suite=suite,
                group=_group(line),
                messages=list(history),
                tools=raw.get("tools") or [],
                expects=message.expects or _expectation(message, has_tools=bool(line.tools)),
                gold=tuple(_gold(call) for call in message.tool_calls or ()),
                conversation=name,
            )
        history.append(_plain(raw_message))


def _group(line: _Line) -> str:
    seen = None if line.seen is None else "seen" if line.seen else "unseen"
    return "/".join(part for part in (line.group or seen, line.category) if part) or "all"


def _expectation(message: _Message, *, has_tools: bool) -> Expectation:
    if message.tool_calls:
        return "call"
    return "talk" if has_tools else "any"


def _gold(call: _Call) -> GoldCall:
    return GoldCall(call.function.name, call.function.arguments, call.variants)


def _plain(message: Json) -> Json:
    """The message without the evaluator's and the trainer's fields."""
    plain = {key: value for key, value in message.items() if key not in _NOT_SENT}
    if message.get("tool_calls"):
        plain["tool_calls"] = [
            {key: value for key, value in call.items() if key not in _NOT_SENT} for call in message["tool_calls"]
        ]
    return plain

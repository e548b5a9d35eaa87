"""A model that says what a script tells it, so that a loop's every turn is known."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from server.agent.caps import Caps
from server.agent.events import Call, Spoke, Started
from server.agent.loop import Loop
from server.agent.policy import Guards, Restrictions
from server.agent.run import Run
from server.agent.runs import Runs
from server.agent.speaker import Hear, Piece, unheard
from server.chat.messages import Message, Tool
from server.chat.parser import CallDelta, ContentDelta, Delta
from server.store.engine import open_database
from server.store.runs import RunStore
from server.tools.definition import ToolDefinition

Turn = str | tuple[str, dict[str, Any]] | list[tuple[str, dict[str, Any]]]
"""A text; a call; several calls at once."""


@dataclass
class Script:
    """Speaks turn n of the script as the n-th turn of a run; then says that it is done."""

    turns: list[Turn] | Callable[[tuple[Message, ...]], Turn]
    seen: list[tuple[Message, ...]] = field(default_factory=list)
    named: list[tuple[str, ...]] = field(default_factory=list)
    """What could be called, turn by turn."""
    is_bound: bool = True
    """By the grammar: what may not be named can't be said."""

    async def speak(
        self,
        started: Started,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
        names: tuple[str, ...],
        max_tokens: int,
        hear: Hear,
    ) -> Spoke:
        self.seen.append(messages)
        self.named.append(names)
        if callable(self.turns):
            turn = self.turns(messages)
        else:
            spoken = sum(message.role == "assistant" for message in messages[len(started.messages) :])
            turn = self.turns[spoken] if spoken < len(self.turns) else "done"
        calls = [] if isinstance(turn, str) else [turn] if isinstance(turn, tuple) else turn
        known = {tool.name for tool in tools}
        made = [
            (name, arguments) for name, arguments in calls if name in names or not self.is_bound or name not in known
        ]
        text = turn if isinstance(turn, str) else "" if made else "done"
        spoke = Spoke(text, tuple(call(name, arguments) for name, arguments in made), 0.0, 10, 0, 5)
        for piece in unheard(spoke, []):
            for smaller in halves(piece):
                await hear(smaller)
        return spoke


def halves(piece: Piece) -> list[Piece]:
    """A text is said in two pieces."""
    match piece.delta:
        case ContentDelta(text) if len(text) > 1:
            texts: list[Delta] = [ContentDelta(text[:1]), ContentDelta(text[1:])]
        case CallDelta(index, text) if len(text) > 1:
            texts = [CallDelta(index, text[:1]), CallDelta(index, text[1:])]
        case other:
            texts = [other]
    return [Piece(delta, piece.call) for delta in texts]


def call(name: str, arguments: Any) -> Call:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Call(f"call_{uuid.uuid4().hex[:12]}", name, text)


def defined(name: str, work: Any = "ok", properties: dict[str, Any] | None = None, **options: Any) -> ToolDefinition:
    """A tool that answers with `work`, or with what it gives for the arguments."""

    async def execute(arguments: dict[str, Any], context: Any) -> Any:
        given = work(arguments) if callable(work) else work
        return await given if hasattr(given, "__await__") else given

    schema = {"type": "object", "properties": properties or {}, "additionalProperties": properties is None}
    options.setdefault("effect", "read")
    options.setdefault("trust", "trusted")
    return ToolDefinition(name, schema, execute, **options)


def runs_of(turns: Any, *tools: ToolDefinition, guards: Guards | None = None, **options: Any) -> tuple[Runs, Script]:
    script = Script(turns)
    loop = Loop({tool.name: tool for tool in tools}, script, guards or Guards(), **options)
    return Runs(RunStore(open_database("sqlite://")), loop), script


def started(runs: Runs, question: str = "Hello", **fields: Any) -> Started:
    versions = {name: tool.version for name, tool in runs.loop.tools.items()}
    fields.setdefault("caps", Caps())
    fields.setdefault("restrictions", Restrictions())
    return Started((Message("user", question),), versions, **fields)


async def played(runs: Runs, question: str = "Hello", **fields: Any) -> Run:
    """A run that has come to rest."""
    run = await runs.start(started(runs, question, **fields))
    await run.until_rest()
    return run


def results(run: Run) -> list[dict[str, Any]]:
    """What the model read in the place of results."""
    return [json.loads(message.content or "") for message in run.state.messages if message.role == "tool"]

"""A run as items of a response: calls of server-side tools, requests for approval, calls for the client.

A call is told while it is written, unless it waits for a person: OpenAI's items show such a call whole, as a request
for approval. Whether it will wait is known from its name, because no guard that asks a person looks at arguments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.agent.events import QUESTION_TOOL, Event, Judged, Returned, Spoke
from server.agent.loop import Loop
from server.agent.policy import approval_reasons
from server.agent.run import Run
from server.agent.speaker import Piece
from server.agent.state import CallState
from server.api.response_events import ResponseEvents
from server.api.response_items import new_item_id
from server.api.response_objects import Json, call_item
from server.api.run_objects import approval_object, question_text
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta
from server.tools.definition import ToolDefinition
from server.tools.pinning import of_run

LABEL = "trammel"


@dataclass(slots=True)
class _Call:
    """A call whose item is open."""

    item: Json
    arguments: str = ""

    @property
    def is_ours(self) -> bool:
        return bool(self.item["type"] == "mcp_call")

    @property
    def prefix(self) -> str:
        """Of the events about its arguments."""
        return "response.mcp_call_arguments" if self.is_ours else "response.function_call_arguments"


@dataclass(slots=True)
class StepTeller:
    """Tells one run's pieces and events as those of a response."""

    progress: ResponseEvents
    run: Run
    loop: Loop
    _open: dict[str, _Call] = field(default_factory=dict)
    """By the call's id."""

    def tell(self, told: tuple[int, float, Event] | Piece) -> Iterator[Json]:
        """The response's events for it."""
        if not isinstance(told, Piece):
            yield from self._step(told[2])
            return
        match told.delta:
            case CallStart(_, name):
                yield from self._begin(told.call, name)
            case CallDelta(_, arguments) if told.call in self._open:
                yield from self._argue(told.call, arguments)
            case CallEnd() if told.call in self._open:
                yield self._argued(told.call)
            case CallDelta() | CallEnd():
                pass
            case text:
                yield from self.progress.feed(text)

    def end(self) -> Iterator[Json]:
        """The run rests: what is still open will not be done."""
        for id_ in list(self._open):
            yield from self._drop(id_)

    def _begin(self, id_: str, name: str) -> Iterator[Json]:
        if name == QUESTION_TOOL or self._needs_approval(name):
            return
        is_ours = all(tool.name != name for tool in self.run.state.started.client_tools)
        yield from self._open_item(id_, name, is_ours=is_ours)

    def _open_item(self, id_: str, name: str, *, is_ours: bool) -> Iterator[Json]:
        blank = _server_item(name, "", None) | {"status": "in_progress"}
        item = blank if is_ours else call_item(new_item_id("function_call"), "in_progress", id_, name, "")
        self._open[id_] = _Call(item)
        yield from self.progress.add(item)
        if is_ours:
            yield self.progress.about(item["id"], {"type": "response.mcp_call.in_progress"})

    def _argue(self, id_: str, arguments: str) -> Iterator[Json]:
        call = self._open[id_]
        call.arguments += arguments
        yield self.progress.about(call.item["id"], {"type": f"{call.prefix}.delta", "delta": arguments})

    def _argued(self, id_: str) -> Json:
        call = self._open[id_]
        name = {} if call.is_ours else {"name": call.item["name"]}
        done = {"type": f"{call.prefix}.done", "arguments": call.arguments, **name}
        return self.progress.about(call.item["id"], done)

    def _needs_approval(self, name: str) -> bool:
        state = self.run.state
        tools = of_run(self.loop.tools, state.started.tools)
        if name not in tools:
            return False
        shown = [tools[one] for one in state.shown if one in tools]
        restrictions, guards = state.started.restrictions, self.loop.guards
        return bool(approval_reasons(tools[name], state.tainted_by, restrictions, guards, shown))

    def _step(self, event: Event) -> Iterator[Json]:
        match event:
            case Spoke(calls=calls):
                whole = {call.id for call in calls}
                for id_ in [id_ for id_ in self._open if id_ not in whole]:
                    yield from self._drop(id_)
            case Judged(verdict="client"):
                yield from self._hand_over(self.run.state.calls[event.call])
            case Judged(verdict="question"):
                yield from self.progress.feed(ContentDelta(question_text(self.run.state.calls[event.call])))
            case Judged(verdict="run", approval=approval) if approval is not None:
                yield from self._ask(event.call, request_id(self.run.id, approval.id))
            case Judged(verdict="fault" | "repeat", text=text):
                yield from self._settle(event.call, text, is_good=event.verdict == "repeat")
            case Returned(text=text, outcome=outcome):
                yield from self._settle(event.call, text, is_good=outcome == "ok")

    def _ask(self, id_: str, request: str) -> Iterator[Json]:
        yield from self._drop(id_)
        state = self.run.state.calls[id_]
        fields = {"server_label": LABEL, "name": state.call.name, "arguments": state.call.arguments}
        shown = {key: approval_object(state)[key] for key in ("reasons", "provenance", "expires_at")}
        yield from self.progress.whole({"type": "mcp_approval_request", "id": request, **fields, "trammel": shown})

    def _hand_over(self, state: CallState) -> Iterator[Json]:
        yield from self._open_whole(state)
        opened = self._open.pop(state.call.id).item
        yield self.progress.done(opened | {"arguments": state.call.arguments, "status": "completed"})

    def _settle(self, id_: str, text: str, *, is_good: bool) -> Iterator[Json]:
        state = self.run.state.calls[id_]
        if id_ in self._open and not self._open[id_].is_ours:  # with a fault it is not the client's to make
            yield from self._drop(id_)
        yield from self._open_whole(state)
        approval = request_id(self.run.id, state.approval.id) if state.approval else None
        item = _server_item(state.call.name, state.call.arguments, approval) | {
            "id": self._open.pop(id_).item["id"],
            "output": text if is_good else None,
            "error": None if is_good else {"type": "mcp_tool_execution_error", "content": _content(text)},
            "status": "completed" if is_good else "failed",
        }
        yield self.progress.about(item["id"], {"type": f"response.mcp_call.{item['status']}"})
        yield self.progress.done(item)

    def _open_whole(self, state: CallState) -> Iterator[Json]:
        """A call that nobody was told of yet: one of an earlier stretch of the run, or that has been approved."""
        call = state.call
        if call.id not in self._open:
            is_ours = state.judged is None or state.judged.verdict != "client"
            yield from self._open_item(call.id, call.name, is_ours=is_ours)
            yield from self._argue(call.id, call.arguments)
            yield self._argued(call.id)

    def _drop(self, id_: str) -> Iterator[Json]:
        """Close an item that is no part of the output: a call that was cut short, or is another's to make."""
        call = self._open.pop(id_, None)
        if call is not None:
            item = call.item | {"arguments": call.arguments, "status": "incomplete"}
            yield self.progress.done(item, is_kept=False)


def list_item(tools: Mapping[str, ToolDefinition], names: Mapping[str, str]) -> Json:
    """The tools a run may use."""
    listed = [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": dict(tool.parameters),
            "annotations": {"readOnlyHint": tool.effect == "read", "destructiveHint": tool.effect == "destructive"},
        }
        for tool in tools.values()
        if tool.name in names
    ]
    return {"type": "mcp_list_tools", "id": new_item_id("mcp_list_tools"), "server_label": LABEL, "tools": listed}


def request_id(run: str, approval: str) -> str:
    """An approval's id that leads back to its run, so that an answer needs nothing else."""
    return f"mcpr_{run.removeprefix('run_')}_{approval.removeprefix('apr_')}"


def parts_of_request(id_: str) -> tuple[str, str] | None:
    """Run and approval of a `request_id`; None if it is none."""
    kind, _, rest = id_.partition("_")
    run, _, approval = rest.partition("_")
    return (f"run_{run}", f"apr_{approval}") if kind == "mcpr" and run and approval else None


def _server_item(name: str, arguments: str, approval: str | None) -> Json:
    return {
        "type": "mcp_call",
        "id": new_item_id("mcp_call"),
        "server_label": LABEL,
        "name": name,
        "arguments": arguments,
        "approval_request_id": approval,
        "output": None,
        "error": None,
        "status": "completed",
    }


def _content(text: str) -> list[Any]:
    return [{"type": "text", "text": text}]

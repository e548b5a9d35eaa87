"""A run's events as items of a response: calls of server-side tools, requests for approval, calls for the client."""

from collections.abc import Iterator, Mapping
from typing import Any

from server.agent.events import Event, Judged, Returned, Spoke
from server.agent.run import Run
from server.agent.state import CallState
from server.api.response_events import ResponseEvents
from server.api.response_items import new_item_id
from server.api.response_objects import Json, call_item
from server.api.run_objects import question_of
from server.chat.parser import ContentDelta
from server.tools.definition import ToolDefinition

LABEL = "trammel"


def tell_step(progress: ResponseEvents, run: Run, event: Event) -> Iterator[Json]:
    """The response's events for one of the run's."""
    match event:
        case Spoke(content=content) if content:
            yield from progress.feed(ContentDelta(content))
        case Judged(verdict="client"):
            yield from _client_call(progress, run.state.calls[event.call])
        case Judged(verdict="question"):
            if (question := question_of(run.state)) is not None:
                yield from progress.feed(ContentDelta(question["question"]))
        case Judged(verdict="run", approval=approval) if approval is not None:
            call = run.state.calls[event.call].call
            fields = {"server_label": LABEL, "name": call.name, "arguments": call.arguments}
            yield from progress.whole({"type": "mcp_approval_request", "id": request_id(run.id, approval.id), **fields})
        case Judged(verdict="fault" | "repeat", text=text):
            yield from _server_call(progress, run, event.call, text, is_good=event.verdict == "repeat")
        case Returned(text=text, outcome=outcome):
            yield from _server_call(progress, run, event.call, text, is_good=outcome == "ok")


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


def _server_call(progress: ResponseEvents, run: Run, id_: str, text: str, *, is_good: bool) -> Iterator[Json]:
    state = run.state.calls[id_]
    item: Json = {
        "type": "mcp_call",
        "id": new_item_id("mcp_call"),
        "server_label": LABEL,
        "name": state.call.name,
        "arguments": state.call.arguments,
        "approval_request_id": request_id(run.id, state.approval.id) if state.approval else None,
        "output": text if is_good else None,
        "error": None if is_good else {"type": "mcp_tool_execution_error", "content": _content(text)},
        "status": "completed" if is_good else "failed",
    }
    arguments = state.call.arguments
    between: list[Json] = [
        {"type": "response.mcp_call.in_progress"},
        {"type": "response.mcp_call_arguments.delta", "delta": arguments},
        {"type": "response.mcp_call_arguments.done", "arguments": arguments},
        {"type": f"response.mcp_call.{item['status']}"},
    ]
    begun = item | {"arguments": "", "output": None, "error": None, "status": "in_progress"}
    yield from progress.whole(item, *between, begun=begun)


def _client_call(progress: ResponseEvents, state: CallState) -> Iterator[Json]:
    call = state.call
    id_ = new_item_id("function_call")
    item = call_item(id_, "completed", call.id, call.name, call.arguments)
    between: list[Json] = [
        {"type": "response.function_call_arguments.delta", "delta": call.arguments},
        {"type": "response.function_call_arguments.done", "name": call.name, "arguments": call.arguments},
    ]
    yield from progress.whole(item, *between, begun=item | {"arguments": "", "status": "in_progress"})


def _content(text: str) -> list[Any]:
    return [{"type": "text", "text": text}]

"""Responses whose tools the server runs: a run of the loop told as OpenAI's items of server-side tools.

`{"type": "mcp", "server_label": "trammel"}` among the tools asks for it. A response ends when the run rests; the next
one, with `mcp_approval_response` items, a function's output or the user's answer, goes on with the same run.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from server.agent.events import Event, Spoke
from server.agent.run import Run
from server.agent.runs import Runs
from server.agent.speaker import Piece, with_whole_turns
from server.api.catalog import Catalog
from server.api.completion import ChoiceFinished
from server.api.departure import ClientGoneError, no_answer, while_connected
from server.api.errors import invalid
from server.api.response_events import ResponseEvents, new_response_id
from server.api.response_objects import Json, response_object
from server.api.response_request import as_chat_completion, as_response_error
from server.api.response_run import ResponseWriter, gather_items
from server.api.response_steps import StepTeller, list_item, parts_of_request
from server.api.response_wire import (
    AllowedToolsIn,
    ApprovalFilter,
    NamedTool,
    ResponseRequest,
    ServerToolChoice,
    ServerToolsIn,
)
from server.api.run_request import check_known, reach_of, read_run_request
from server.api.run_routes import failure_of, found, hand_over_place, refusals
from server.api.services import Services
from server.api.stream import AnswerStream
from server.api.wire import ChatCompletionRequest, TrammelOptions
from server.engine.types import Usage
from server.store.responses import ResponseStore, StoredResponse

Step = tuple[int, float, Event] | Piece
_DECISION = "mcp_approval_response"


async def concerns_a_run(body: ResponseRequest, runs: Runs, store: ResponseStore, owner: str) -> bool:
    """Whether the server's tools are wanted, or a run waits for what this request brings, tools named again or not."""
    decides = isinstance(body.input, list) and any(item.get("type") == _DECISION for item in body.input)
    return body.server_tools is not None or decides or await _left_by_previous(body, runs, store, owner) is not None


async def answer_with_server_tools(
    body: ResponseRequest,
    runs: Runs,
    catalog: Catalog,
    store: ResponseStore,
    owner: str,
    request: Request,
) -> Response:
    """Start a run or go on with one, and answer when it rests. Raises: ApiError."""
    earlier, new = await asyncio.to_thread(gather_items, body, store, owner)
    source = _Source(body, runs, catalog, store, owner)
    async with catalog.lend(body.model, Services) as services:
        run = await _waiting_run(source, new)
    if run is None:
        run = await _start(source, [*earlier, *new])
        told = runs.watch(run, to_rest=True)
    else:
        told = runs.watch(run, run.state.length - 1, to_rest=True)
        await _go_on(runs, run, new)
    hand_over_place(request)
    response = AgentResponse(source, services, run, told, tuple(new))
    if all(item["type"] != "mcp_list_tools" for item in (*earlier, *new)) and body.server_tools is not None:
        response.lists = list_item(runs.loop.tools, run.state.started.tools)
    if body.stream:
        return AnswerStream(response, ResponseWriter(response), {})
    try:
        return JSONResponse(await while_connected(request, response.whole()))
    except ClientGoneError:
        return no_answer()  # the run goes on


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a response comes from."""

    body: ResponseRequest
    runs: Runs
    catalog: Catalog
    store: ResponseStore
    owner: str


class AgentResponse:
    """A run from one rest to the next."""

    choices = 1

    def __init__(
        self, source: _Source, services: Services, run: Run, told: AsyncIterator[Step], new: tuple[Json, ...]
    ) -> None:
        """`told`: the run from here on."""
        self.services = services
        self.lists: Json | None = None
        """The item that lists the tools; None if the conversation has one."""
        self._source = source
        self._run = run
        self._told = told
        self._new = new
        defaults = services.engine.model.sampling_defaults
        body = response_object(source.body, new_response_id(), int(time.time()), defaults)
        self.progress = ResponseEvents(body | {"trammel": {"run": run.id}}, None)

    async def events(self, choice: int) -> AsyncIterator[Json]:  # noqa: ARG002 - there is one
        """The response's events; it is stored before the last. Raises: ApiError, if the run fails."""
        progress, run, runs = self.progress, self._run, self._source.runs
        teller = StepTeller(progress, self._run, runs.loop)
        spoken: list[Spoke] = []
        for told in progress.begin():
            yield told
        if self.lists is not None:
            kinds = ({"type": f"response.mcp_list_tools.{what}"} for what in ("in_progress", "completed"))
            for told in progress.whole(self.lists, *kinds, begun=self.lists | {"tools": []}):
                yield told
        async for step in with_whole_turns(self._told):
            spoken += [step[2]] if not isinstance(step, Piece) and isinstance(step[2], Spoke) else []
            for told in teller.tell(step):
                yield told
        for told in teller.end():
            yield told
        if (failure := failure_of(run)) is not None:
            raise failure
        is_cut = run.state.ended is not None and run.state.ended.status == "incomplete"
        for told in progress.feed(ChoiceFinished("length" if is_cut else "stop", _usage(spoken))):
            yield told
        progress.response["trammel"] |= {"status": run.status, "cap": run.state.ended.cap if run.state.ended else None}
        await self._keep()
        for told in progress.end():
            yield told

    async def whole(self) -> Json:
        """The response, when the run rests. Raises: ApiError."""
        async for _ in self.events(0):
            pass
        return self.progress.response

    async def cancel(self) -> None:
        """A run outlives its connection; `/v1/runs` can cancel it."""

    async def _keep(self) -> None:
        body = self._source.body
        if body.is_stored:
            stored = StoredResponse(self.progress.response, self._new, body.previous_response_id)
            await asyncio.to_thread(self._source.store.put, stored, self._source.owner)


async def _start(source: _Source, items: list[Json]) -> Run:
    try:
        options = _options(source)
        body = source.body.model_copy(update={"tool_choice": by_name(source.body.tool_choice, options.tools or [])})
        chat = await asyncio.to_thread(as_chat_completion, body, items)
        chat = chat.model_copy(update={"trammel": options})
        started = await read_run_request(_written_out(chat), source.runs, source.catalog, source.owner)
    except Exception as error:
        raise as_response_error(error) from error
    return await source.runs.start(started, source.owner)


def _written_out(chat: ChatCompletionRequest) -> ChatCompletionRequest:
    """As if it had come over the wire, with the fields that say something only: a run keeps them."""
    return ChatCompletionRequest.model_validate(chat.model_dump(mode="json", by_alias=True, exclude_none=True))


def _options(source: _Source) -> TrammelOptions:
    wanted = source.body.server_tools
    if wanted is None:
        raise invalid("No run waits for this approval.", "input")
    given = source.body.trammel or TrammelOptions()
    _check_names(source, wanted)
    names = wanted.names if wanted.names is not None else given.tools
    if names is None:
        names = reach_of(source.runs.loop.tools)
    elif given.tools is not None:
        names = [name for name in names if name in given.tools]  # what is said twice holds twice
    ceiling = source.runs.ceiling.calls if source.runs.ceiling else None
    calls = [most for most in (source.body.max_tool_calls, given.max_calls) if most is not None]
    if given.max_calls is None and calls and ceiling is not None:
        calls.append(ceiling)  # OpenAI's bound is no wish: a lower one keeps it
    narrower = {
        "run_tools": True,
        "run": None,
        "tools": names,
        "read_only": wanted.is_read_only or given.read_only,
        "approve": [*_to_approve(wanted, names), *given.approve],
        "max_calls": min(calls, default=None),
    }
    return given.model_copy(update=narrower)


def _check_names(source: _Source, wanted: ServerToolsIn) -> None:
    """Raises: ApiError, by the name that the field has here."""
    place = (source.body.tools or []).index(wanted)
    for field, names in (("allowed_tools", wanted.names or []), ("require_approval", _to_approve(wanted, []))):
        check_known(source.runs.loop.tools, names, f"tools[{place}].{field}")


def by_name(choice: Any, names: list[str]) -> Any:
    """A `tool_choice` with the server's own tools by their names, as if they were functions of the request."""

    def named(one: NamedTool | ServerToolChoice) -> list[NamedTool]:
        if isinstance(one, NamedTool):
            return [one]
        return [NamedTool(type="function", name=name) for name in ([one.name] if one.name else names)]

    if isinstance(choice, ServerToolChoice):
        if choice.name:
            return named(choice)[0]
        choice = AllowedToolsIn(type="allowed_tools", mode="required", tools=[choice])
    if isinstance(choice, AllowedToolsIn):
        return choice.model_copy(update={"tools": [tool for one in choice.tools for tool in named(one)]})
    return choice


def _to_approve(wanted: ServerToolsIn, names: list[str]) -> list[str]:
    approval = wanted.require_approval
    if isinstance(approval, ApprovalFilter):
        return (approval.always.tool_names or []) if approval.always else []
    return names if approval == "always" else []


async def _waiting_run(source: _Source, new: list[Json]) -> Run | None:
    """The run that this request goes on with: the one an approval names, or the one the previous response left."""
    for index, item in enumerate(new):
        if item["type"] == _DECISION:
            parts = parts_of_request(item["approval_request_id"])
            if parts is None:
                raise invalid("There is no such request for approval.", f"input[{index}].approval_request_id")
            return await found(source.runs, parts[0], source.owner)
    return await _left_by_previous(source.body, source.runs, source.store, source.owner)


async def _left_by_previous(body: ResponseRequest, runs: Runs, store: ResponseStore, owner: str) -> Run | None:
    previous = body.previous_response_id
    stored = await asyncio.to_thread(store.get, previous, owner) if previous else None
    identifier = stored.body.get("trammel", {}).get("run") if stored is not None else None
    if identifier is None:
        return None
    run = await runs.find(identifier, owner)
    return run if run is not None and run.status in ("waiting_for_client", "waiting_for_user") else None


async def _go_on(runs: Runs, run: Run, new: list[Json]) -> None:
    results: dict[str, str] = {}
    decisions: dict[str, bool] = {}
    for item in new:
        match item["type"]:
            case "mcp_approval_response":
                _, approval = parts_of_request(item["approval_request_id"]) or ("", "")
                decisions[approval] = item["approve"]
            case "function_call_output":
                output = item["output"]
                results[item["call_id"]] = output if isinstance(output, str) else "".join(p["text"] for p in output)
            case "message" if item["role"] == "user" and run.state.question is not None:
                results[run.state.question.call.id] = "".join(str(part.get("text", "")) for part in item["content"])
    if not decisions and not results:
        waiting = ", ".join(call.id for call in run.state.handed_over)
        raise invalid(f"No tool output found for function call {waiting}." if waiting else "No answer found.", "input")
    with refusals():
        for approval, approved in decisions.items():
            await runs.decide(run, approval, approved=approved)
        if results:
            await runs.receive(run, results)


def _usage(spoken: list[Spoke]) -> Usage:
    def total(name: str) -> int:
        return sum(getattr(one, name) for one in spoken)

    prompt, completion, cached = map(total, ("prompt_tokens", "completion_tokens", "cached_tokens"))
    return Usage(prompt, completion, cached, 0, total("reasoning_tokens"))

"""`/v1/runs`: runs of the server's own tools, started, listed, shown, streamed, approved, answered, cancelled."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from server.agent.run import Run
from server.agent.runs import RefusedError, Runs
from server.agent.speaker import Piece
from server.api.catalog import Catalog, catalog_of
from server.api.errors import ApiError
from server.api.key_gate import Place
from server.api.listing import TheOwner, listed
from server.api.run_objects import delta_object, event_object, run_object
from server.api.run_request import read_run_request
from server.api.sampling_fields import Wire
from server.api.stream import KEEP_ALIVE, UNBUFFERED
from server.api.wire import ChatCompletionRequest

router = APIRouter()
_DIGITS = 9
"""Of an event's number at most: what a client sends is compared with it in a database."""
_SILENCE = 10.0
"""Seconds after which a stream gets a comment."""


def runs_of(request: Request) -> Runs:
    """The runs of the app a request came to."""
    runs: Runs = request.app.state.runs
    return runs


def hand_over_place(request: Request) -> None:
    """The run that was set going counts for the key from now on; a request that only waits for it does not."""
    place: Place | None = getattr(request.state, "place", None)
    if place is not None:
        place.give_back()


TheCatalog = Annotated[Catalog, Depends(catalog_of)]
TheRuns = Annotated[Runs, Depends(runs_of)]


class Decision(Wire):
    """A person's word on one call."""

    approve: bool
    hash: str | None = None
    """Of the approval as it was shown; if given, it must still be that one."""


class ResultIn(Wire):
    """What came of a call that the client made, or the user's answer."""

    call_id: str
    content: str


class Results(Wire):
    results: list[ResultIn]


def failure_of(run: Run) -> ApiError | None:
    """Why a run that rests has no answer: it has failed, or nobody goes on with it here."""
    if run.state.ended is not None and run.state.ended.status == "failed":
        return ApiError(
            500, f"The run {run.id} failed: {run.state.ended.error}", kind="server_error", code="run_failed"
        )
    if run.is_interrupted and run.status == "running":
        message = f"The run {run.id} was interrupted and has not ended: see /v1/runs/{run.id}."
        headers = {"x-should-retry": "false"}  # OpenAI's clients would start another
        return ApiError(503, message, kind="server_error", code="run_interrupted", headers=headers)
    return None


@router.post("/v1/runs", status_code=201)
async def create_run(body: ChatCompletionRequest, runs: TheRuns, catalog: TheCatalog, owner: TheOwner) -> Any:
    """Start a run in the background. The body is a chat completion's."""
    run = await runs.start(await read_run_request(body, runs, catalog, owner), owner)
    return await _shown(runs, run)


@router.get("/v1/runs")
async def list_runs(
    runs: TheRuns, owner: TheOwner, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
) -> dict[str, Any]:
    """The newest first, without their steps."""
    before = None
    if after is not None and (before := await asyncio.to_thread(runs.store.get, after, owner)) is None:
        raise _not_found(after, "after")
    rows = await asyncio.to_thread(runs.store.latest, owner, limit=limit + 1, before=before)
    objects = [{"id": row.id, "object": "run", "created_at": int(row.created), "status": row.status} for row in rows]
    return listed(objects, limit)


@router.get("/v1/runs/{run_id}")
async def retrieve_run(run_id: str, runs: TheRuns, owner: TheOwner) -> dict[str, Any]:
    """One run with its steps and what it waits for."""
    return await _shown(runs, await found(runs, run_id, owner))


@router.delete("/v1/runs/{run_id}")
async def delete_run(run_id: str, runs: TheRuns, owner: TheOwner) -> dict[str, Any]:
    """Forget a run that has ended, with all that was said in it."""
    run = await found(runs, run_id, owner)
    with refusals():
        await runs.forget(run)
    return {"id": run_id, "object": "run", "deleted": True}


@router.get("/v1/runs/{run_id}/events")
async def stream_run(
    run_id: str,
    runs: TheRuns,
    owner: TheOwner,
    after: Annotated[int | None, Query(ge=-1, lt=10**_DIGITS)] = None,
    deltas: bool = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Its events as they come, from the first or from behind `Last-Event-ID`, to its end.

    Between them, as `delta`, what the model is saying.
    """
    run = await found(runs, run_id, owner)
    seen = _number(last_event_id) if last_event_id else None
    if seen is None:
        seen = -1 if after is None else after
    return StreamingResponse(
        with_keep_alive(_events(runs, run, seen, deltas=deltas)),
        media_type="text/event-stream",
        headers=UNBUFFERED,
    )


@router.post("/v1/runs/{run_id}/cancel")
async def cancel_run(run_id: str, runs: TheRuns, owner: TheOwner) -> dict[str, Any]:
    """End it now. What a tool has done is done."""
    run = await found(runs, run_id, owner)
    with refusals():
        await runs.cancel(run)
    return await _shown(runs, run)


@router.post("/v1/runs/{run_id}/approvals/{approval_id}")
async def decide(run_id: str, approval_id: str, body: Decision, runs: TheRuns, owner: TheOwner) -> dict[str, Any]:
    """Approve or deny one call, once."""
    run = await found(runs, run_id, owner)
    with refusals():
        await runs.decide(run, approval_id, approved=body.approve, bound=body.hash)
    return await _shown(runs, run)


@router.post("/v1/runs/{run_id}/results")
async def receive_results(run_id: str, body: Results, runs: TheRuns, owner: TheOwner) -> dict[str, Any]:
    """What the client's own calls gave, or what the user answered; the run goes on."""
    run = await found(runs, run_id, owner)
    with refusals():
        await runs.receive(run, {result.call_id: result.content for result in body.results})
    return await _shown(runs, run)


async def found(runs: Runs, run_id: str, owner: str, param: str = "run_id") -> Run:
    """`param`: where the request names it. Raises: ApiError, 404."""
    run = await runs.find(run_id, owner)
    if run is None:
        raise _not_found(run_id, param)
    return run


@contextlib.contextmanager
def refusals() -> Any:
    """What a run can't do as it stands is a conflict."""
    try:
        yield
    except RefusedError as error:
        raise ApiError(409, str(error), code="run_conflict") from error


async def created_at(runs: Runs, run: Run) -> float:
    row = await asyncio.to_thread(runs.store.get, run.id, run.owner)
    return row.created if row else 0.0


async def with_keep_alive(texts: AsyncIterator[str]) -> AsyncIterator[str]:
    """The texts, with a comment where nothing has come for a while."""
    upcoming = asyncio.ensure_future(anext(texts, None))
    try:
        while True:
            await asyncio.wait([upcoming], timeout=_SILENCE)
            if not upcoming.done():
                yield KEEP_ALIVE
                continue
            text = upcoming.result()
            if text is None:
                return
            yield text
            upcoming = asyncio.ensure_future(anext(texts, None))
    finally:
        upcoming.cancel()


def _number(text: str) -> int | None:
    """An event's number, None if it can't be one. `isdecimal` alone would let in digits that `int` refuses to read."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


async def _events(runs: Runs, run: Run, after: int, *, deltas: bool) -> AsyncIterator[str]:
    """Deltas have no id: who comes back with `Last-Event-ID` hears the turn under way from its beginning."""
    async for told in runs.watch(run, after):
        if isinstance(told, Piece):
            if deltas and (delta := delta_object(told)) is not None:
                yield f"event: delta\ndata: {json.dumps(delta, ensure_ascii=False)}\n\n"
            continue
        number, at, event = told
        text = json.dumps(event_object(number, at, event), ensure_ascii=False)
        yield f"id: {number}\nevent: {event.kind}\ndata: {text}\n\n"


async def _shown(runs: Runs, run: Run) -> dict[str, Any]:
    return run_object(run, await created_at(runs, run))


def _not_found(run_id: str, param: str) -> ApiError:
    return ApiError(404, f"There is no run '{run_id}'.", param=param, code="run_not_found")

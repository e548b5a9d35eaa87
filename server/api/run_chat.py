"""Chat completions whose tools the server runs: the final answer, and the run beside it under `trammel`.

A run outlives its connection: a client that leaves finds it at `/v1/runs`. One that waits (for approval, for the
client's own call, for the user's word) ends the completion; `"trammel": {"run": id}` with the results goes on with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from server.agent.events import Event, Judged, Spoke, read_event
from server.agent.run import Run
from server.agent.runs import Runs
from server.agent.speaker import Piece, with_whole_turns
from server.api.catalog import Catalog
from server.api.departure import ClientGoneError, no_answer, while_connected
from server.api.errors import invalid
from server.api.listing import owner_of
from server.api.run_objects import chat_message, delta_object, event_object, question_text, run_object, tokens_of
from server.api.run_request import read_run_request
from server.api.run_routes import created_at, failure_of, found, hand_over_place, refusals, with_keep_alive
from server.api.stream import DONE, UNBUFFERED, data
from server.api.wire import ChatCompletionRequest
from server.chat.parser import ContentDelta, ReasoningDelta

Json = dict[str, Any]
Step = tuple[int, float, Event] | Piece


async def answer_with_tools(body: ChatCompletionRequest, request: Request, runs: Runs, catalog: Catalog) -> Response:
    """Start a run, or go on with the one the request names, and answer when it comes to rest. Raises: ApiError."""
    owner = owner_of(request)
    options = body.trammel
    if options is not None and options.run is not None:
        run = await found(runs, options.run, owner, "trammel.run")
        told = runs.watch(run, run.state.length - 1, to_rest=True)
        await _go_on(body, runs, run)
    else:
        run = await runs.start(await read_run_request(body, runs, catalog, owner), owner)
        told = runs.watch(run, to_rest=True)
    hand_over_place(request)
    if body.stream:
        chunks = with_keep_alive(_chunks(body, runs, run, told))
        return StreamingResponse(chunks, media_type="text/event-stream", headers=UNBUFFERED)
    try:
        await while_connected(request, run.until_rest())
    except ClientGoneError:
        return no_answer()  # the run goes on
    return JSONResponse(await _completion(runs, run))


async def _go_on(body: ChatCompletionRequest, runs: Runs, run: Run) -> None:
    """Hand over the results at the end of the messages, or the user's last word if that is what is waited for."""
    question = run.state.question
    results = {}
    for message in reversed(body.messages):
        if message.role == "tool" and message.tool_call_id:
            results[message.tool_call_id] = message.text or ""
        elif message.role == "user" and question is not None and not results and not _was_said(body, run):
            results[question.call.id] = message.text or ""
        else:
            break
    if run.status in ("waiting_for_client", "waiting_for_user"):
        if not results:
            raise invalid(f"The run is {run.status}: end the messages with what it waits for.", "messages")
        with refusals():
            await runs.receive(run, results)


def _was_said(body: ChatCompletionRequest, run: Run) -> bool:
    """The run began with this very conversation: its last word is no answer to what was asked later."""
    begun = run.state.started.messages
    return len(body.messages) <= len(begun) and body.messages[-1].text == begun[-1].content


async def _completion(runs: Runs, run: Run) -> Json:
    if (failure := failure_of(run)) is not None:
        raise failure
    created = await created_at(runs, run)
    message, reason = chat_message(run.state)
    return {
        "id": f"chatcmpl-{run.id.removeprefix('run_')[:24]}",
        "object": "chat.completion",
        "created": int(created),
        "model": run.state.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": tokens_of(await asyncio.to_thread(_spoken, runs, run)),
        "service_tier": "default",
        "trammel": run_object(run, created),
    }


def _spoken(runs: Runs, run: Run) -> list[Spoke]:
    events = (read_event(body) for _, _, body in runs.store.events(run.id))
    return [event for event in events if isinstance(event, Spoke)]


def _question(run: Run, event: Event) -> str | None:
    if not isinstance(event, Judged) or event.verdict != "question":
        return None
    return question_text(run.state.calls[event.call])


@dataclass(slots=True)
class Gap:
    """A blank line between the texts of two turns."""

    is_due: bool = False
    has_text: bool = False

    def before(self, text: str) -> str:
        due, self.is_due, self.has_text = self.is_due, False, True
        return f"\n\n{text}" if due else text

    def see(self, event: Event) -> None:
        self.is_due = self.is_due or (isinstance(event, Spoke) and self.has_text)


async def _chunks(body: ChatCompletionRequest, runs: Runs, run: Run, told: AsyncIterator[Step]) -> AsyncIterator[str]:
    """What the model says as it says it, and a chunk for each step, with the step under `trammel`.

    Texts of several turns are one message's content: a blank line is between them.
    """
    frame: Json = {
        "id": f"chatcmpl-{run.id.removeprefix('run_')[:24]}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": run.state.model,
    }

    def chunk(delta: Json, reason: str | None = None, **fields: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return "".join(data({**frame, "choices": [choice], **fields}))

    yield chunk({"role": "assistant", "content": "", "refusal": None}, trammel={"run": run.id})
    gap = Gap()
    async for one in with_whole_turns(told):
        if not isinstance(one, Piece):
            gap.see(one[2])
            question = _question(run, one[2])
            said = {"content": gap.before(question)} if question else {}
            yield chunk(said, trammel=event_object(*one))
        elif isinstance(one.delta, ContentDelta):
            yield chunk({"content": gap.before(one.delta.text)})
        elif isinstance(one.delta, ReasoningDelta):
            yield chunk({"reasoning_content": one.delta.text})
        elif (delta := delta_object(one)) is not None:
            yield chunk({}, trammel=delta)
    message, reason = chat_message(run.state)
    if (failure := failure_of(run)) is not None:
        yield "".join(data(failure.body))
        return
    if calls := message.get("tool_calls"):
        yield chunk({"tool_calls": [{"index": index, **call} for index, call in enumerate(calls)]})
    yield chunk({}, reason, trammel=run_object(run, await created_at(runs, run)))
    if body.includes_usage:
        yield "".join(data({**frame, "choices": [], "usage": tokens_of(await asyncio.to_thread(_spoken, runs, run))}))
    yield DONE

"""A completion as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.api.completion import ChoiceEvent, ChoiceFinished, Completion
from server.api.errors import translate
from server.api.responses import ChunkWriter
from server.engine.types import Usage

_DONE = "data: [DONE]\n\n"
_KEEP_ALIVE = ": keep-alive\n\n"

_Item = tuple[int, ChoiceEvent | Exception]


class CompletionStream(StreamingResponse):
    """Sends a completion as it comes, and cancels it when the client has gone."""

    def __init__(self, completion: Completion, headers: Mapping[str, str], *, include_usage: bool) -> None:
        self._completion = completion
        events = stream_completion(completion, include_usage=include_usage)
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client may be gone before the first event is asked for; then `stream_completion` never runs."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._completion.cancel()


async def stream_completion(completion: Completion, *, include_usage: bool) -> AsyncIterator[str]:
    """The choices' chunks as they come, interleaved; an error in the middle is an event, and the last one."""
    writer = ChunkWriter(completion, include_usage=include_usage)
    queue: asyncio.Queue[_Item] = asyncio.Queue()
    readers = [asyncio.create_task(_read(completion, choice, queue)) for choice in range(completion.choices)]
    usages: dict[int, Usage] = {}
    try:
        for choice in range(completion.choices):
            yield _event(writer.role(choice))
        while len(usages) < completion.choices:
            try:
                choice, event = await asyncio.wait_for(queue.get(), completion.services.keep_alive)
            except TimeoutError:
                yield _KEEP_ALIVE
                continue
            if isinstance(event, Exception):
                yield _event(translate(event).body)
                return
            if isinstance(event, ChoiceFinished):
                usages[choice] = event.usage
            chunk = writer.event(choice, event)
            if chunk is not None:
                yield _event(chunk)
        if include_usage:
            yield _event(writer.usage([usages[choice] for choice in range(completion.choices)]))
        yield _DONE
    finally:
        for reader in readers:
            reader.cancel()


async def _read(completion: Completion, choice: int, queue: asyncio.Queue[_Item]) -> None:
    try:
        async for event in completion.events(choice):
            queue.put_nowait((choice, event))
    except Exception as error:
        queue.put_nowait((choice, error))


def _event(value: Any) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"

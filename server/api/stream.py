"""A completion as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.api.completion import ChoiceFinished, Completion
from server.api.errors import translate
from server.api.responses import ChunkWriter
from server.engine.types import Usage

_DONE = "data: [DONE]\n\n"
_KEEP_ALIVE = ": keep-alive\n\n"


class CompletionStream(StreamingResponse):
    """Sends a completion as it comes, its choices interleaved, and cancels it when the client has gone.

    An error in the middle is an event, and the last one. Every choice writes its own chunks: a queue between reading
    and writing would cost more than both.
    """

    def __init__(self, completion: Completion, headers: Mapping[str, str], *, include_usage: bool) -> None:
        super().__init__((), media_type="text/event-stream", headers={"cache-control": "no-store", **headers})
        self._completion = completion
        self._writer = ChunkWriter(completion, include_usage=include_usage)
        self._usages: dict[int, Usage] = {}
        self._include_usage = include_usage
        self._is_silent = True
        """Nothing has been sent since the last look."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client may be gone before the first event is asked for; then nothing else would cancel."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._completion.cancel()

    async def stream_response(self, send: Send) -> None:
        """Everything from the status line to the last chunk."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        keeper = asyncio.create_task(self._keep_alive(send))
        choices = range(self._completion.choices)
        try:
            await self._send(send, *map(self._writer.role, choices))
            speakers = [asyncio.create_task(self._speak(choice, send)) for choice in choices]
            try:
                await asyncio.gather(*speakers)
            finally:
                for speaker in speakers:
                    speaker.cancel()
        except Exception as error:
            await self._send(send, translate(error).body)
        else:
            if self._include_usage:
                await self._send(send, self._writer.usage([self._usages[choice] for choice in choices]))
            await _send_text(send, _DONE)
        finally:
            keeper.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _speak(self, choice: int, send: Send) -> None:
        async for event in self._completion.events(choice):
            if isinstance(event, ChoiceFinished):
                self._usages[choice] = event.usage
            chunk = self._writer.event(choice, event)
            if chunk is not None:
                await self._send(send, chunk)

    async def _send(self, send: Send, *payloads: Any) -> None:
        self._is_silent = False
        await _send_text(send, *_events(payloads))

    async def _keep_alive(self, send: Send) -> None:
        while True:
            self._is_silent = True
            await asyncio.sleep(self._completion.services.keep_alive)
            if self._is_silent:
                await _send_text(send, _KEEP_ALIVE)


def _events(payloads: Iterable[Any]) -> list[str]:
    return [f"data: {json.dumps(payload, ensure_ascii=False, separators=(',', ':'))}\n\n" for payload in payloads]


async def _send_text(send: Send, *events: str) -> None:
    await send({"type": "http.response.body", "body": "".join(events).encode(), "more_body": True})

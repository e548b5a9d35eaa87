"""Answers as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.api.services import Services

DONE = "data: [DONE]\n\n"
KEEP_ALIVE = ": keep-alive\n\n"
UNBUFFERED = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Of every stream: nginx would else keep chunks back until it has some kilobytes of them."""


class Running(Protocol):
    """An answer under way: one or several choices, each with events of its own."""

    services: Services

    @property
    def choices(self) -> int: ...
    def events(self, choice: int) -> AsyncIterator[Any]: ...
    async def cancel(self) -> None: ...


class Writer(Protocol):
    """Puts the events of an answer on the wire."""

    def begin(self) -> Iterable[str]: ...
    def event(self, choice: int, event: Any) -> Iterable[str]: ...
    def end(self) -> Iterable[str]: ...
    def failure(self, error: Exception) -> Iterable[str]:
        """The last events, if the answer breaks off."""
        ...


class AnswerStream(StreamingResponse):
    """Sends an answer as it comes, its choices interleaved, and cancels it when the client has gone.

    An error in the middle is an event, and the last one. Every choice writes its own chunks: a queue between reading
    and writing would cost more than both.
    """

    def __init__(self, running: Running, writer: Writer, headers: Mapping[str, str]) -> None:
        super().__init__((), media_type="text/event-stream", headers={**UNBUFFERED, **headers})
        self._running = running
        self._writer = writer
        self._is_silent = True
        """Nothing has been sent since the last look."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client may be gone before the first event is asked for; then nothing else would cancel."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.cancel()

    async def stream_response(self, send: Send) -> None:
        """Everything from the status line to the last chunk."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        keeper = asyncio.create_task(self._keep_alive(send))
        try:
            await self._send(send, self._writer.begin())
            speakers = [asyncio.create_task(self._speak(choice, send)) for choice in range(self._running.choices)]
            try:
                await asyncio.gather(*speakers)
            finally:
                for speaker in speakers:
                    speaker.cancel()
        except Exception as error:
            await self._send(send, self._writer.failure(error))
        else:
            await self._send(send, self._writer.end())
        finally:
            keeper.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _speak(self, choice: int, send: Send) -> None:
        async for event in self._running.events(choice):
            await self._send(send, self._writer.event(choice, event))

    async def _send(self, send: Send, texts: Iterable[str]) -> None:
        if text := "".join(texts):
            self._is_silent = False
            await _send_text(send, text)

    async def _keep_alive(self, send: Send) -> None:
        while True:
            self._is_silent = True
            await asyncio.sleep(self._running.services.keep_alive)
            if self._is_silent:
                await _send_text(send, KEEP_ALIVE)


def data(*payloads: Any) -> list[str]:
    """Events without a name."""
    return [f"data: {json.dumps(payload, ensure_ascii=False, separators=(',', ':'))}\n\n" for payload in payloads]


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

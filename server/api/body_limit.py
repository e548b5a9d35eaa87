"""Refuses request bodies beyond a limit, before they are in memory."""

from collections.abc import Mapping

from fastapi import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.errors import translate

_DISCARDED = 64 * 1024 * 1024
"""Bytes of a refused body that are still read: a connection closed in the middle of one is reset, and a client that is
sending would never see the answer."""


class BodyLimit:
    """ASGI middleware. Counts what arrives, because a Content-Length may be absent or wrong."""

    def __init__(self, app: ASGIApp, limit: int, others: Mapping[str, int] | None = None) -> None:
        """`limit`: bytes. `others`: limits of certain paths."""
        self._app = app
        self._limit = limit
        self._others = dict(others or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._others.get(scope["path"], self._limit)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await _discard(receive)
            error = translate(_error(limit))
            await JSONResponse(error.body, error.status)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body"):
                    await _discard(receive)
                raise _error(limit)
            return message

        await self._app(scope, counted, send)


def _error(limit: int) -> HTTPException:
    """FastAPI passes on this kind only; any other that interrupts reading a body becomes a 400."""
    return HTTPException(413, f"The request's body is larger than {limit:,} bytes.")


async def _discard(receive: Receive) -> None:
    """Read on to the body's end, or so far as is bearable."""
    left = _DISCARDED
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b"")) or 1
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return

"""A line in the log for every request, and an id that is in the line, in the answer and in all logged on the way.

The line says who asked what and what came of it, never what was said: prompts are logged only if the server is told to.
"""

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("trammel.access")

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""
_GIVEN_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_MOST_LOGGED = 64 * 1024
"""Bytes of a body."""


class RequestLog:
    """ASGI middleware; outermost, so that refusals are logged too."""

    def __init__(self, app: ASGIApp, *, log_prompts: bool) -> None:
        self._app = app
        self._log_prompts = log_prompts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _id_of(scope)
        token = REQUEST_ID.set(request_id)
        started = time.perf_counter()
        status = 0
        body = b""

        async def receive_and_look() -> Message:
            nonlocal body
            message = await receive()
            if self._log_prompts and len(body) < _MOST_LOGGED:
                body += message.get("body", b"")[: _MOST_LOGGED - len(body)]
            return message

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive_and_look, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            _log(scope, status, seconds, body if self._log_prompts else None)
            REQUEST_ID.reset(token)


def _id_of(scope: Scope) -> str:
    """The client's own id, if it is one that can stand in a log; or a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _GIVEN_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def _log(scope: Scope, status: int, seconds: float, body: bytes | None) -> None:
    fields: dict[str, object] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    if owner := scope.get("state", {}).get("owner"):
        fields["key"] = owner
    if body is not None:
        fields["body"] = body.decode("utf-8", "replace")
    text = " ".join(f"{name}={value!r}" if name == "body" else f"{name}={value}" for name, value in fields.items())
    logger.info("%s", text, extra={"fields": fields})

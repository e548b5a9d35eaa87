"""Lets requests in until the server is told to end, and counts those under way.

Reading (GET: health, metrics, models) goes on to the end, so that whoever watches can see it; work that comes too late
gets 503 with Retry-After, while what has begun is finished.
"""

import math
import time

from fastapi import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.errors import ApiError

_READING = ("GET", "HEAD", "OPTIONS")
_RESTART_SECONDS = 5
"""What a supervisor takes to start the next process, about."""


class Admission:
    """Whether new work is let in, and how much is under way."""

    def __init__(self) -> None:
        self.under_way = 0
        """Requests that have not been answered to the end."""
        self._ends_at: float | None = None

    @property
    def is_closed(self) -> bool:
        return self._ends_at is not None

    def close(self, seconds: float) -> None:
        """Let nobody in any more; what is under way has so many seconds left."""
        self._ends_at = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """For what is under way; without end while the server is open, 0 once it is over."""
        return math.inf if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def refusal(self) -> ApiError:
        """The answer to what comes too late."""
        return ApiError(
            503,
            "The server is shutting down and takes no new requests. Try again in a moment.",
            kind="server_error",
            code="shutting_down",
            headers={"retry-after": str(math.ceil(self.seconds_left) + _RESTART_SECONDS), "connection": "close"},
        )


def admission_of(request: Request) -> Admission:
    """The admission of the app a request came to."""
    admission: Admission = request.app.state.admission
    return admission


class AdmissionGate:
    """ASGI middleware; outermost, so that nothing is under way that it does not know of."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        if self._admission.is_closed:
            refusal = self._admission.refusal()
            await JSONResponse(refusal.body, refusal.status, refusal.headers)(scope, receive, send)
            return
        self._admission.under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._admission.under_way -= 1

"""How long requests take from their first byte to their last, by endpoint, model and status.

The endpoint is the route's own path and the model one that is served, so that no client can make new time series. Which
model a request means is known deep inside; it is noted on a stub that travels in the request's context.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as PrometheusHistogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(slots=True)
class _Stub:
    """What is found out about a request while it is answered."""

    model: str = ""
    code: int = 0


_stub: ContextVar[_Stub | None] = ContextVar("trammel_request", default=None)


def note_model(name: str) -> None:
    """The request that is being answered is for this model, which is served."""
    stub = _stub.get()
    if stub is not None:
        stub.model = name


class Durations:
    """The histogram of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._histogram = PrometheusHistogram(
            "trammel_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            ("endpoint", "model", "code"),
            buckets=_BOUNDS,
            registry=self.registry,
        )

    def observe(self, endpoint: str, model: str, code: int, seconds: float) -> None:
        self._histogram.labels(endpoint, model, str(code)).observe(seconds)


class Stopwatch:
    """ASGI middleware that times every request."""

    def __init__(self, app: ASGIApp, durations: Durations) -> None:
        self._app = app
        self._durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stub = _Stub()
        started = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                stub.code = message["status"]
            await send(message)

        token = _stub.set(stub)
        try:
            await self._app(scope, receive, note)
        finally:
            _stub.reset(token)
            endpoint = getattr(scope.get("route"), "path", "other")
            self._durations.observe(endpoint, stub.model, stub.code, time.perf_counter() - started)

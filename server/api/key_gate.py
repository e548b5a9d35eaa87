"""Lets in who has a key, as often as the key allows, and says whose a request is."""

import math

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.errors import ApiError
from server.api.keys import Allowance, KeyRing

_OPEN = ("/healthz", "/readyz")
"""What a supervisor asks, which has no key."""


class Place:
    """What a request holds of its key's concurrency."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._is_held = True

    def give_back(self) -> None:
        """At the end, or before it, once a run holds a place of its own for the same work."""
        if self._is_held:
            self._is_held = False
            self._allowance.give_back()


class KeyGate:
    """ASGI middleware. Reading (GET) and deciding about runs needs a key too, but counts for no limit."""

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        try:
            allowance = self._find(scope)
            counts = scope["method"] == "POST" and not scope["path"].startswith("/v1/runs/")
            if counts:
                _take(allowance)
        except ApiError as refusal:
            await JSONResponse(refusal.body, refusal.status, refusal.headers)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["owner"] = allowance.key.name
        if counts:
            state["place"] = Place(allowance)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(allowance.headers())
            await send(message)

        try:
            await self._app(scope, receive, send_with_limits)
        finally:
            if counts:
                state["place"].give_back()

    def _find(self, scope: Scope) -> Allowance:
        """Raises: ApiError, 401."""
        scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise _unknown("You didn't provide an API key. Send it as a header: `Authorization: Bearer YOUR_KEY`.")
        allowance = self._keys.find(secret.strip())
        if allowance is None:
            raise _unknown("Incorrect API key provided.")
        return allowance


def _take(allowance: Allowance) -> None:
    """Raises: ApiError, 429."""
    seconds = allowance.take()
    if not seconds:
        return
    if allowance.key.concurrency is not None and allowance.running >= allowance.key.concurrency:
        message = f"This API key has {allowance.running} requests under way, as many as it may have."
    else:
        message = f"This API key may make {allowance.key.rate} requests a minute. Try again in {math.ceil(seconds)} s."
    headers = {"retry-after": str(math.ceil(seconds)), **allowance.headers()}
    raise ApiError(429, message, kind="rate_limit_error", code="rate_limit_exceeded", headers=headers)


def _unknown(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})

"""Sends requests to one source: where it may, no more often than it may, and with its credentials put in last.

A call that may be repeated is tried again when nothing came of it; any other only if it never left. What is logged of a
call is its tool, method, host and path template: never an argument, never a header.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from server import __version__
from server.tools.definition import ToolError, UncertainError
from server.tools.gateway.address import ForbiddenError, Guard, GuardedTransport, place_of
from server.tools.gateway.answer import TooLargeError, as_data, read_bounded
from server.tools.gateway.credentials import CredentialError, Secrets, Shown, credentials_for
from server.tools.gateway.pace import Breaker, BusyError, Pace
from server.tools.gateway.request import Request
from server.tools.gateway.tally import GatewayTally

logger = logging.getLogger("trammel.gateway")

_PASSING = (429, 502, 503, 504)
"""Statuses that another attempt may not meet."""
_LONGEST_PAUSE = 5.0
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 3
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Of one source."""

    hosts: tuple[str, ...]
    """`host:port` that may be called."""
    internal: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    """Those that may be used; all, if none is named."""
    credentials: Mapping[str, str] = field(default_factory=dict)
    """Scheme of the document to the name of a secret."""
    concurrency: int = 8
    rate: int | None = None
    """Calls in a minute."""
    retries: int = 2
    response_limit: int = 4 * 2**20
    """Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")
    note: str | None = None
    """Why the body was not read."""
    shown: Shown = field(repr=False, default_factory=Shown)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def data(self) -> Any:
        """The body, without the credentials that the server may have said again. Without a body: the status."""
        if self.note is not None or not self.body:
            return {"status": self.status, **({"note": self.note} if self.note else {})}
        return _blotted(as_data(self.headers.get("content-type", ""), self.body), self.shown)


class _CredentialTransport(httpx.AsyncBaseTransport):
    """Puts credentials into a copy of the request: the client above, and its log, never see them."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        shown: Shown = request.extensions.get("trammel.shown", Shown())
        url, headers = request.url, request.headers.copy()
        if shown.query:
            added = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in shown.query)
            path = url.raw_path.decode("ascii")
            url = url.copy_with(raw_path=f"{path}{'&' if '?' in path else '?'}{added}".encode("ascii"))
        for name, value in shown.headers:
            headers[name] = value
        if shown.cookies:
            cookies = [f"{name}={value}" for name, value in shown.cookies]
            headers["cookie"] = "; ".join([*([headers["cookie"]] if "cookie" in headers else []), *cookies])
        extensions = {key: value for key, value in request.extensions.items() if key != "trammel.shown"}
        sent = httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Gateway:
    """One source's door. Close it at the end."""

    def __init__(
        self,
        source: str,
        settings: GatewaySettings,
        secrets: Secrets,
        tally: GatewayTally | None = None,
        *,
        breaker: Breaker | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`context`: who is believed to be whom; the system's, by default."""
        self.source = source
        self.settings = settings
        self._secrets = secrets
        self._tally = tally or GatewayTally()
        self._guard = Guard(frozenset(one.lower() for one in settings.hosts), settings.internal)
        self._pace = Pace(settings.concurrency, settings.rate)
        self._breaker = breaker or Breaker()
        transport = GuardedTransport(self._guard, connections=settings.concurrency, context=context)
        self._client = httpx.AsyncClient(
            transport=_CredentialTransport(transport),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # what one call was given is not another's
            headers={"user-agent": f"trammel/{__version__}", "accept-encoding": "gzip"},
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(
        self, request: Request, *, tool: str = "", label: str = "", may_repeat: bool = False, timeout: float = 30.0
    ) -> Answer:
        """`label`: the path as it is logged. `may_repeat`: doing it twice is doing it once. `timeout`: seconds, in all.

        Raises: ToolError, if nothing was done; UncertainError, if that is not known.
        """
        start, outcome, size = time.monotonic(), "failed", 0
        try:
            self._check(request)
            shown = credentials_for(request, self.settings.credentials, self._secrets)
            self._breaker.check()
            async with self._pace.turn():
                answer = await asyncio.wait_for(self._attempts(request, shown, may_repeat=may_repeat), timeout)
            outcome, size = f"{answer.status // 100}xx", len(answer.body)
            return answer
        except (ForbiddenError, CredentialError, BusyError) as error:
            outcome = "refused"
            raise ToolError(f"The call was not made: {error}.".replace("..", ".")) from error
        except TimeoutError as error:
            self._breaker.note(is_failure=True)
            raise UncertainError(f"No answer within {timeout:g} s.") from error
        finally:
            self._account(request, tool, label, outcome, time.monotonic() - start, size)

    def _check(self, request: Request) -> None:
        self._guard.check_url(request.url)
        if self.settings.methods and request.method not in self.settings.methods:
            raise ForbiddenError(f"the method {request.method} is not allowed for this source")

    async def _attempts(self, request: Request, shown: Shown, *, may_repeat: bool) -> Answer:
        has_left = False
        for attempt in range(self.settings.retries + 1):
            is_last = attempt == self.settings.retries
            pause = min(0.2 * 4**attempt, _LONGEST_PAUSE)
            try:
                answer = await self._follow(request, shown, may_repeat=may_repeat)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:  # it never left
                self._breaker.note(is_failure=True)
                if is_last or self._breaker.is_open:
                    kind = UncertainError if has_left else ToolError  # an earlier attempt may have done it
                    raise kind("The API can't be reached.") from error
            except httpx.HTTPError as error:
                has_left = True
                self._breaker.note(is_failure=True)
                if is_last or not may_repeat or self._breaker.is_open:
                    raise UncertainError(f"The connection broke off: {type(error).__name__}.") from error
            else:
                self._breaker.note(is_failure=answer.status >= 500)
                if is_last or not may_repeat or answer.status not in _PASSING or self._breaker.is_open:
                    return answer
                has_left = True
                pause = _asked_pause(answer, pause)
            self._tally.retries[self.source] += 1
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _follow(self, request: Request, shown: Shown, *, may_repeat: bool) -> Answer:
        """A read may be sent on to another place of the same source; nothing else is."""
        url = request.url
        is_read = may_repeat and request.method in ("GET", "HEAD")
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._once(request, url, shown, is_read=is_read)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or target is None:
                return answer
            if not is_read:
                raise UncertainError(f"HTTP {answer.status}: the API sends this call elsewhere, which is not followed.")
            url = _next_url(url, target)
            self._guard.check_url(url)
        raise ToolError("The API sends this call from place to place.")

    async def _once(self, request: Request, url: str, shown: Shown, *, is_read: bool) -> Answer:
        """Raises: ToolError, if a read has an answer that can't be read."""
        headers = [*request.headers, *([("cookie", "; ".join(request.cookies))] if request.cookies else [])]
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS)
        built = self._client.build_request(
            request.method,
            url,
            headers=headers,
            content=request.body or None,
            timeout=timeout,
            extensions={"trammel.shown": shown},
        )
        response = await self._client.send(built, stream=True)
        try:
            body, note = await read_bounded(response, self.settings.response_limit), None
        except TooLargeError as error:
            if is_read and response.is_success:
                raise ToolError(f"HTTP {response.status_code}, but {error}.") from error
            body, note = b"", str(error)  # the status alone says what has become of the call
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body, note, shown)

    def _account(self, request: Request, tool: str, label: str, outcome: str, seconds: float, size: int) -> None:
        self._tally.note(self.source, outcome, seconds, size)
        (self._tally.open_breakers.add if self._breaker.is_open else self._tally.open_breakers.discard)(self.source)
        host = urlsplit(request.url).hostname or ""
        fields = {
            "source": self.source,
            "tool": tool,
            "method": request.method,
            "host": host,
            "path": label,
            "outcome": outcome,
            "bytes": size,
            "seconds": round(seconds, 4),
        }
        text = "%s %s: %s %s%s: %s, %d bytes in %.3f s"
        logger.info(
            text, self.source, tool, request.method, host, label, outcome, size, seconds, extra={"fields": fields}
        )


def _blotted(data: Any, shown: Shown) -> Any:
    if isinstance(data, str):
        return shown.blot(data)
    if isinstance(data, list):
        return [_blotted(item, shown) for item in data]
    if isinstance(data, dict):
        return {shown.blot(key): _blotted(value, shown) for key, value in data.items()}
    return data


def _next_url(url: str, target: str) -> str:
    """Raises: ForbiddenError, if it would leave TLS."""
    found = urljoin(url, target)
    place_of(found)
    if url.startswith("https:") and not found.startswith("https:"):
        raise ForbiddenError("a redirect leaves TLS")
    return found


def _asked_pause(answer: Answer, pause: float) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), _LONGEST_PAUSE) if said.isdigit() else pause

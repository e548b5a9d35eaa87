"""How often and how much at once a source is asked, and when it is left alone because it does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_PATIENCE = 5.0
"""Seconds that a call waits for its turn."""


class BusyError(Exception):
    """The call was not made: too many are, or the source is down. Says when it may be."""


class Pace:
    """Concurrency and rate of one source. The rate is a bucket that fills evenly and holds a minute's worth."""

    def __init__(self, concurrency: int, rate: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: calls in a minute; None: any."""
        self._places = asyncio.Semaphore(concurrency)
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate or 0)
        self._filled = clock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises: BusyError, if it would not come within some seconds."""
        await self._take_token()
        try:
            await asyncio.wait_for(self._places.acquire(), _PATIENCE)
        except TimeoutError:
            raise BusyError("Too many calls of this API are under way. Try again later.") from None
        try:
            yield
        finally:
            self._places.release()

    async def _take_token(self) -> None:
        if self._rate is None:
            return
        now = self._clock()
        self._tokens = min(float(self._rate), self._tokens + (now - self._filled) * self._rate / 60)
        self._filled = now
        wait = (1 - self._tokens) * 60 / self._rate
        if wait > _PATIENCE:
            raise BusyError(f"This API may be called {self._rate} times a minute. Try again in {wait:.0f} s.")
        self._tokens -= 1  # below nothing: those that wait are in line
        if wait > 0:
            await asyncio.sleep(wait)


class Breaker:
    """Opens after some failures in a row; then one call is let through after a while, to see."""

    def __init__(self, failures: int = 5, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    def check(self) -> None:
        """Raises: BusyError, while it is open."""
        if self._opened is None:
            return
        left = self._opened + self._seconds - self._clock()
        if left > 0:
            raise BusyError(f"This API does not answer; it is not asked for another {left:.0f} s.")
        self._opened = self._clock()  # this one may try; the next waits again

    def note(self, *, is_failure: bool) -> None:
        """What came of a request that was made."""
        if not is_failure:
            self._failures, self._opened = 0, None
            return
        self._failures += 1
        if self._failures >= self._most:
            self._opened = self._clock()

"""Work for a client that may leave: a whole answer stops being made when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response

Result = TypeVar("Result")

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left; nobody reads it but the access log."""


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work gives. Raises: ClientGoneError, if the client leaves first; the work is then cancelled."""
    answer = asyncio.create_task(work)
    departure = asyncio.create_task(_until_disconnected(request))
    try:
        await asyncio.wait({answer, departure}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientGoneError
        return answer.result()
    finally:
        departure.cancel()
        answer.cancel()


def no_answer() -> Response:
    """For a client that has gone."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

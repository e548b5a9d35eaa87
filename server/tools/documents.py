"""Reads a source's document, and again only if it may have changed: by ETag and date, a file's time, its bytes."""

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.tools.definition import ToolError, UncertainError
from server.tools.gateway.address import ForbiddenError, Guard, place_of
from server.tools.gateway.credentials import Secrets
from server.tools.gateway.gateway import Gateway, GatewaySettings
from server.tools.gateway.request import Request
from server.tools.openapi.document import LARGEST, read_document
from server.tools.openapi.operation import Operation, Scheme
from server.tools.openapi.reading import Omission, read_operations
from server.tools.source import SourceError, SourceSettings

logger = logging.getLogger("trammel.tools")
Json = dict[str, Any]
_SECONDS = 30.0
_ACCEPTED = "application/json, application/yaml, text/yaml, */*;q=0.5"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, and what to ask with next time."""

    data: bytes | None
    """None: as it was."""
    marks: Json


def is_url(location: str) -> bool:
    return location.lower().startswith(("http://", "https://"))


def file_time(location: str) -> int | None:
    """When a file was written last, in nanoseconds; None if it is no file."""
    try:
        return Path(location).stat().st_mtime_ns
    except OSError:
        return None


async def read_location(location: str, settings: SourceSettings, secrets: Secrets, marks: Json) -> Reading:
    """`marks`: of the reading before, or nothing. Raises: SourceError."""
    if is_url(location):
        reading = await _fetch(location, settings, secrets, marks)
    else:
        reading = await asyncio.to_thread(_read_file, location)
    if reading.data is None:
        return reading
    digest = hashlib.sha256(reading.data).hexdigest()
    return Reading(None if digest == marks.get("digest") else reading.data, {**reading.marks, "digest": digest})


def _read_file(location: str) -> Reading:
    path = Path(location)
    try:
        time = path.stat().st_mtime_ns
        with path.open("rb") as file:
            return Reading(file.read(LARGEST + 1), {"time": time})
    except OSError as error:
        raise SourceError(f"{location} can't be read: {error.strerror}") from error


async def _fetch(location: str, settings: SourceSettings, secrets: Secrets, marks: Json) -> Reading:
    try:
        place = place_of(location)
    except ForbiddenError as error:
        raise SourceError(str(error)) from error
    conditions = {"if-none-match": marks.get("etag"), "if-modified-since": marks.get("modified")}
    headers = [("accept", _ACCEPTED), *((name, str(value)) for name, value in conditions.items() if value)]
    security = (("document",),) if "document" in settings.credentials else ((),)
    request = Request("GET", location, tuple(headers), security=security, schemes=(("document", Scheme("bearer")),))
    wanted = GatewaySettings((place,), settings.internal, ("GET",), settings.credentials, response_limit=LARGEST)
    gateway = Gateway("document", wanted, secrets)
    try:
        answer = await gateway.send(request, tool="document", may_repeat=True, timeout=_SECONDS)
    except (ToolError, UncertainError) as error:
        raise SourceError(f"the document can't be read: {error}") from error
    finally:
        await gateway.aclose()
    if answer.status == 304:
        return Reading(None, marks)
    if not answer.is_success:
        raise SourceError(f"the document can't be read: HTTP {answer.status}")
    found = {"etag": answer.headers.get("etag"), "modified": answer.headers.get("last-modified")}
    return Reading(answer.body, {name: value for name, value in found.items() if value})


def read_tools(data: bytes, location: str, settings: SourceSettings) -> tuple[list[Operation], list[Omission]]:
    """The operations of a document. Raises: DocumentError."""
    document = read_document(data, location if is_url(location) else "")
    return read_operations(document, settings.server)


async def check_hosts(settings: SourceSettings) -> None:
    """Refuse at once what no call could reach. A name that can't be found now is looked at when it is called.

    Raises: SourceError.
    """
    guard = Guard(frozenset(settings.hosts), settings.internal)
    for place in settings.hosts:
        host, _, port = place.rpartition(":")
        try:
            await guard.resolve(host, int(port))
        except ForbiddenError as error:
            raise SourceError(f"{error}; if that is meant, name it among the internal hosts") from error
        except ValueError as error:
            raise SourceError(f"{place!r} is not host:port") from error
        except OSError:
            logger.warning("the host %s of a source of tools can't be found just now", host)

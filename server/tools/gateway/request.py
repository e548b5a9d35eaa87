"""A request as it will be sent, but for the credentials: those are named here, and put in when it leaves.

It can be shown to a person who is to approve it, stored, and sent again, because nothing secret is in it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.tools.openapi.operation import Scheme

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    """`name=value`, escaped."""
    body: bytes = b""
    security: tuple[tuple[str, ...], ...] = ((),)
    """Alternatives of schemes, as in `Operation`."""
    schemes: tuple[tuple[str, Scheme], ...] = ()

    def show(self) -> Json:
        """For a person. Where a credential will stand, its scheme's name does."""
        headers = [f"{name}: {value}" for name, value in self.headers]
        if self.cookies:
            headers.append(f"cookie: {'; '.join(self.cookies)}")
        shown: Json = {"method": self.method, "url": self.url, "headers": headers}
        if self.body:
            shown["body"] = _readable(self.body)
        if any(self.security):
            shown["credentials"] = [list(names) for names in self.security]
        return shown


def _readable(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"


def header_of(headers: Mapping[str, str], name: str) -> str:
    """A header's value in lower case, empty if it is not there."""
    return next((value.strip().lower() for key, value in headers.items() if key.lower() == name), "")

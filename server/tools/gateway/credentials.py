"""Secrets of the operator's, and where a request shows them.

They come from variables TRAMMEL_SECRET_NAME or a TOML file, are read when a request leaves, and are in nothing that is
stored, logged, shown or handed to the model: a source knows their names only. What a server echoes of them is blotted.
"""

import base64
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from server.tools.gateway.request import Request
from server.tools.openapi.operation import Scheme
from server.tools.openapi.styles import UnwritableError, checked_header

VARIABLE = "TRAMMEL_SECRET_"
_SHORTEST_BLOTTED = 4
"""Characters; a shorter one would blot out half of every answer."""


class CredentialError(Exception):
    """A secret is missing or can't be used. Says which, not what it is."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The operator's, by name."""

    file: Path | None = None
    """`name = "value"`, for nobody else to read."""

    def get(self, name: str) -> str | None:
        """Raises: CredentialError, if the file can't be read or others may read it."""
        if (found := os.environ.get(f"{VARIABLE}{name.upper().replace('-', '_')}")) is not None:
            return found
        value = self._read().get(name)
        return None if value is None else str(value)

    def _read(self) -> Mapping[str, object]:
        if self.file is None:
            return {}
        try:
            if self.file.stat().st_mode & 0o077:
                raise CredentialError(f"others may read {self.file}: take their rights away (chmod 600)")
            return tomllib.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CredentialError(f"the secrets file {self.file} can't be read") from error


@dataclass(frozen=True, slots=True)
class Shown:
    """What goes with one request."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()
    """Every text that must not be seen in an answer."""

    def blot(self, text: str) -> str:
        for value in self.values:
            if len(value) >= _SHORTEST_BLOTTED:
                text = _spellings(value).sub("[secret]", text)
        return text


@lru_cache(64)
def _spellings(value: str) -> re.Pattern[str]:
    """A text as it is, and as URLs have it: any of its signs may be escaped there."""
    return re.compile("".join(map(_spellings_of_sign, value)))


def _spellings_of_sign(sign: str) -> str:
    if sign.isascii() and sign.isalnum():
        return sign
    escaped = "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "replace"))
    return f"(?:{re.escape(sign)}|(?i:{escaped}){'|[+]' if sign == ' ' else ''})"


def credentials_for(request: Request, names: Mapping[str, str], secrets: Secrets) -> Shown:
    """`names`: scheme to secret. The first alternative that all is known for. Raises: CredentialError."""
    schemes = dict(request.schemes)
    missing: list[str] = []
    # What needs credentials and can have them comes before what needs none.
    for alternative in sorted(request.security, key=lambda needed: not needed):
        found = [(schemes.get(one), secrets.get(names[one]) if one in names else None) for one in alternative]
        if all(scheme and scheme.kind != "unsupported" and secret for scheme, secret in found):
            return _show((scheme, secret) for scheme, secret in found if scheme and secret)
        missing += [one for one, (_, secret) in zip(alternative, found, strict=True) if not secret]
    wanted = ", ".join(dict.fromkeys(missing)) or "a scheme that is not supported"
    raise CredentialError(f"the operator has given no credentials for {wanted}")


def _show(found: Iterable[tuple[Scheme, str]]) -> Shown:
    headers, query, cookies, values = [], [], [], []
    for scheme, secret in found:
        shown = secret
        if scheme.kind == "basic":
            shown = base64.b64encode(secret.encode()).decode()
        if scheme.kind != "apiKey":
            headers.append(("authorization", f"{scheme.kind.capitalize()} {_clean(scheme, shown)}"))
        elif scheme.place == "query":
            query.append((scheme.name, secret))
        elif scheme.place == "cookie":
            cookies.append((scheme.name, _clean(scheme, secret)))
        else:
            headers.append((scheme.name, _clean(scheme, secret)))
        values += [secret, shown]
    return Shown(tuple(headers), tuple(query), tuple(cookies), tuple(dict.fromkeys(values)))


def _clean(scheme: Scheme, text: str) -> str:
    try:
        return checked_header(scheme.name, text)
    except UnwritableError:
        raise CredentialError(f"the secret for {scheme.name} can't stand in a header") from None

"""API keys: who may ask, and how much at once. Only a key's SHA-256 is kept, in memory and in files.

A key is 256 random bits, so a plain hash protects it: there is nothing to guess. Keys are compared in constant time.
"""

import hashlib
import hmac
import math
import secrets
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PREFIX = "sha256:"
_MINUTE = 60.0
_SHOWN = 12
"""Hex digits of a key's hash that are its name, where it has no other."""


class KeyFileError(ValueError):
    """The file of keys can't be read; the text says why, and never a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """Somebody who may ask."""

    name: str
    digest: bytes
    concurrency: int | None = None
    """Requests under way at once; None: as many as the server takes."""
    rate: int | None = None
    """Requests a minute; None: as many as come."""


@dataclass(slots=True)
class Allowance:
    """What a key has used of its limits. A bucket that fills up by `rate` a minute, and holds a minute's worth."""

    key: Key
    running: int = 0
    _level: float = field(init=False)
    _filled_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._level = float(self.key.rate or 0)

    def take(self) -> float:
        """Begin a request: 0 if it may run, else the seconds after which to try again."""
        if self.key.concurrency is not None and self.running >= self.key.concurrency:
            return 1.0
        if self.key.rate is not None:
            self._fill(self.key.rate)
            if self._level < 1:
                return (1 - self._level) * _MINUTE / self.key.rate
            self._level -= 1
        self.running += 1
        return 0.0

    def give_back(self) -> None:
        """A request is over."""
        self.running -= 1

    def headers(self) -> dict[str, str]:
        """OpenAI's headers about the rate; none where there is no limit."""
        rate = self.key.rate
        if rate is None:
            return {}
        return {
            "x-ratelimit-limit-requests": str(rate),
            "x-ratelimit-remaining-requests": str(int(self._level)),
            "x-ratelimit-reset-requests": f"{math.ceil((rate - self._level) * _MINUTE / rate)}s",
        }

    def _fill(self, rate: int) -> None:
        now = time.monotonic()
        self._level = min(float(rate), self._level + (now - self._filled_at) * rate / _MINUTE)
        self._filled_at = now


class KeyRing:
    """All keys of a server. What a key may have under way are requests, and runs that work."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._allowances = [Allowance(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._allowances)

    def take_place(self, owner: str) -> None:
        """A run of the key of that name works; it is not refused, but counts."""
        for allowance in self._named(owner):
            allowance.running += 1

    def free_place(self, owner: str) -> None:
        """It has ended, or waits for somebody."""
        for allowance in self._named(owner):
            allowance.give_back()

    def _named(self, owner: str) -> list[Allowance]:
        """One, or none if the key was taken away."""
        return [allowance for allowance in self._allowances if allowance.key.name == owner][:1]

    def find(self, secret: str) -> Allowance | None:
        """The key that a secret is, if it is one."""
        digest = hash_of(secret)
        found = None
        for allowance in self._allowances:  # all of them, so that the time tells nothing
            if hmac.compare_digest(allowance.key.digest, digest):
                found = allowance
        return found


def hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def new_key() -> tuple[str, str]:
    """A fresh key, and its hash as a key file has it."""
    secret = f"tr-{secrets.token_urlsafe(32)}"
    return secret, _PREFIX + hash_of(secret).hex()


def given_keys(texts: Iterable[str], concurrency: int | None, rate: int | None) -> list[Key]:
    """Keys of the settings, in clear or hashed; each is called key- and the first digits of its hash.

    By its place it would own what another had made, once one is taken away.
    """
    digests = map(_digest, texts)
    return [Key(f"key-{digest.hex()[:_SHOWN]}", digest, concurrency, rate) for digest in digests]


def read_key_file(path: Path, concurrency: int | None, rate: int | None) -> list[Key]:
    """Keys of a TOML file: a table for each name, with `hash`, and limits of its own or else the given ones.

    Raises: KeyFileError.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"the key file {path} can't be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"the key file {path} is no TOML: {error}") from error
    return [_key(name, table, path, Key(name, b"", concurrency, rate)) for name, table in tables.items()]


def _key(name: str, table: Any, path: Path, default: Key) -> Key:
    if not isinstance(table, dict) or not isinstance(table.get("hash"), str):
        raise KeyFileError(f"the key file {path} has no hash for {name!r}; `trammel key {name}` makes one")
    limits = {limit: table.get(limit, getattr(default, limit)) for limit in ("concurrency", "rate")}
    for limit, value in limits.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise KeyFileError(f"the key file {path} has a {limit} of {name!r} that is no number from 1 on")
    try:
        return Key(name, _digest(table["hash"], must_be_hashed=True), **limits)
    except ValueError as error:
        raise KeyFileError(f"the hash of {name!r} in the key file {path} is not sha256:<64 hex digits>") from error


def _digest(text: str, *, must_be_hashed: bool = False) -> bytes:
    if not text.startswith(_PREFIX):
        if must_be_hashed:
            raise ValueError
        return hash_of(text)
    digest = bytes.fromhex(text.removeprefix(_PREFIX))
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError
    return digest

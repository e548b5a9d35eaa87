"""Responses that clients may come back to: by id, as the start of the next one, or item by item.

A row holds a response as it was sent and the items that were new in its input. What came before them is found by
following `previous` from response to response, so a long conversation is stored once, not once a turn. Beyond a number
of responses the oldest leave.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from server.store.engine import DatabaseError

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, previous TEXT, created REAL NOT NULL,
    body TEXT NOT NULL, input TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS responses_created ON responses (created);
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS items_response ON items (response);
"""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response and the input items that were new with it, each with an id."""

    body: Json
    input: tuple[Json, ...]
    previous: str | None = None

    @property
    def id(self) -> str:
        return str(self.body["id"])


class ResponseStore:
    """Keeps responses of several owners apart. Thread-safe; every call is a transaction of its own."""

    def __init__(self, path: Path | None = None, limit: int = 10_000) -> None:
        """`path`: an SQLite file, made if need be; None keeps all in memory. `limit`: responses.

        Raises: DatabaseError.
        """
        self._limit = limit
        self._lock = Lock()
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            raise DatabaseError(f"the store {path} can't be opened: {error}") from error

    def put(self, response: StoredResponse, owner: str = "") -> None:
        """Keep a response, and let the oldest go if there are too many."""
        new_items = [*response.input, *response.body["output"]]
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)",
                (response.id, owner, response.previous, time.time(), _text(response.body), _text(response.input)),
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO items VALUES (?, ?, ?)",
                [(item["id"], response.id, _text(item)) for item in new_items],
            )
            self._connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY created DESC LIMIT -1 OFFSET ?)",
                (self._limit,),
            )

    def get(self, id_: str, owner: str = "") -> StoredResponse | None:
        """A response of that owner's."""
        with self._lock:
            row = self._connection.execute(
                "SELECT body, input, previous FROM responses WHERE id = ? AND owner = ?", (id_, owner)
            ).fetchone()
        return StoredResponse(json.loads(row[0]), tuple(json.loads(row[1])), row[2]) if row else None

    def delete(self, id_: str, owner: str = "") -> bool:
        """Forget a response and its items. False: there was none."""
        with self._lock, self._connection:
            cursor = self._connection.execute("DELETE FROM responses WHERE id = ? AND owner = ?", (id_, owner))
        return cursor.rowcount > 0

    def context(self, id_: str, owner: str = "") -> list[Json] | None:
        """All items up to and with a response's output, oldest first; None if it or one before it is not there."""
        turns: list[list[Json]] = []
        following: str | None = id_
        while following is not None:
            found = self.get(following, owner)
            if found is None:
                return None
            turns.append([*found.input, *found.body["output"]])
            following = found.previous
        return [item for turn in reversed(turns) for item in turn]

    def items(self, ids: Sequence[str], owner: str = "") -> dict[str, Json]:
        """Stored items by id; those that are not there are left out."""
        marks = ",".join("?" * len(ids))
        with self._lock:
            rows = self._connection.execute(
                f"SELECT items.id, items.body FROM items JOIN responses ON responses.id = items.response "  # noqa: S608
                f"WHERE items.id IN ({marks}) AND owner = ?",
                (*ids, owner),
            ).fetchall()
        return {id_: json.loads(body) for id_, body in rows}

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _open(path: Path | None) -> sqlite3.Connection:
    """Raises: sqlite3.Error."""
    connection = sqlite3.connect(path or ":memory:", check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(_SCHEMA)
    return connection


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

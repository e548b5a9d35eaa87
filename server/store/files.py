"""Uploaded files: a row for each, while what is in them lies in the home folder."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from server.store.home import Home
from server.store.pages import page

_metadata = sa.MetaData()
_files = sa.Table(
    "files",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String),
    sa.Column("created", sa.Float),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("filename", sa.Text),
    sa.Column("purpose", sa.String),
    sa.Column("expires", sa.Float),
)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as it is listed; times are seconds since the epoch."""

    id: str
    owner: str
    created: float
    bytes: int
    filename: str
    purpose: str
    expires: float | None


class FileStore:
    """Keeps files of several owners apart. Thread-safe; one that has expired is not there any more."""

    def __init__(self, engine: sa.Engine, home: Home) -> None:
        self._engine = engine
        self._home = home

    def new_place(self) -> tuple[str, Path]:
        """The id of a file to come, and where to write it."""
        id_ = f"file-{secrets.token_hex(12)}"
        return id_, self._home.upload(id_)

    def add(self, id_: str, owner: str, filename: str, purpose: str, expires: float | None = None) -> FileRow:
        """A file that has been written to its place. Raises: OSError."""
        size = self._home.upload(id_).stat().st_size
        row = FileRow(id_, owner, time.time(), size, filename, purpose, expires)
        with self._engine.begin() as connection:
            connection.execute(_files.insert().values({name: getattr(row, name) for name in FileRow.__slots__}))
        return row

    def get(self, id_: str, owner: str = "") -> FileRow | None:
        """A file of that owner's."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_files).where(_files.c.id == id_, _is_seen_by(owner))).one_or_none()
        return None if row is None else FileRow(*row)

    def path(self, id_: str) -> Path:
        """Where its bytes are."""
        return self._home.upload(id_)

    def latest(
        self,
        owner: str,
        limit: int,
        *,
        after: FileRow | None = None,
        purpose: str | None = None,
        ascending: bool = False,
    ) -> list[FileRow]:
        """A page of an owner's files, the newest first unless `ascending`."""
        query = sa.select(_files).where(_is_seen_by(owner))
        if purpose is not None:
            query = query.where(_files.c.purpose == purpose)
        seen = None if after is None else (after.created, after.id)
        with self._engine.connect() as connection:
            return [FileRow(*row) for row in connection.execute(page(query, _files, seen, limit, ascending=ascending))]

    def delete(self, id_: str, owner: str = "") -> bool:
        """Forget a file and remove its bytes. False: there was none."""
        with self._engine.begin() as connection:
            found = connection.execute(_files.delete().where(_files.c.id == id_, _files.c.owner == owner)).rowcount > 0
        if found:
            self._home.upload(id_).unlink(missing_ok=True)
        return found

    def remove_expired(self, is_needed: Callable[[str], object] = lambda _: None) -> int:
        """Give back the space of files that have expired, but of those still needed; how many they were."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(_files.c.id, _files.c.owner).where(_files.c.expires <= time.time())
            ).all()
        return sum(self.delete(id_, owner) for id_, owner in rows if not is_needed(id_))


def _is_seen_by(owner: str) -> sa.ColumnElement[bool]:
    is_there = sa.or_(_files.c.expires.is_(None), _files.c.expires > time.time())
    return sa.and_(_files.c.owner == owner, is_there)

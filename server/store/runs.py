"""Runs and their events, in order. An event's number is its place: two writers can't both have the next one."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

Json = dict[str, Any]
OPEN = "open"
"""The status of a run that has not ended."""

_metadata = sa.MetaData()
_runs = sa.Table(
    "runs",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String),
    sa.Column("created", sa.Float),
    sa.Column("status", sa.String),
)
_events = sa.Table(
    "run_events",
    _metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float),
    sa.Column("body", sa.Text),
)


class ConflictError(Exception):
    """Another process has written the run's next event."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is listed."""

    id: str
    owner: str
    created: float
    """Seconds since the epoch."""
    status: str


class RunStore:
    """Thread-safe; every call is a transaction of its own, durable when it returns."""

    def __init__(self, engine: sa.Engine) -> None:
        """`engine`: of `open_database`."""
        self._engine = engine

    def create(self, id_: str, owner: str, body: Mapping[str, Any]) -> None:
        """A run with its first event."""
        now = time.time()
        with self._engine.begin() as connection:
            connection.execute(_runs.insert().values(id=id_, owner=owner, created=now, status=OPEN))
            connection.execute(_events.insert().values(run=id_, number=0, at=now, body=json.dumps(body)))

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        """Raises: ConflictError."""
        try:
            with self._engine.begin() as connection:
                row = {"run": run, "number": number, "at": time.time(), "body": json.dumps(body)}
                connection.execute(_events.insert().values(**row))
                if status != OPEN:
                    connection.execute(_runs.update().where(_runs.c.id == run).values(status=status))
        except IntegrityError as error:
            raise ConflictError(f"the run {run} has an event {number} already") from error

    def get(self, id_: str, owner: str = "") -> RunRow | None:
        """A run of that owner's."""
        query = sa.select(_runs).where(_runs.c.id == id_, _runs.c.owner == owner)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else RunRow(*row)

    def events(self, run: str, after: int = -1) -> list[tuple[int, float, Json]]:
        """Number, time and body of the events behind `after`."""
        query = (
            sa.select(_events.c.number, _events.c.at, _events.c.body)
            .where(_events.c.run == run, _events.c.number > after)
            .order_by(_events.c.number)
        )
        with self._engine.connect() as connection:
            return [(number, at, json.loads(body)) for number, at, body in connection.execute(query)]

    def latest(self, owner: str = "", *, limit: int = 20, before: RunRow | None = None) -> list[RunRow]:
        """Newest first."""
        query = sa.select(_runs).where(_runs.c.owner == owner).order_by(_runs.c.created.desc(), _runs.c.id).limit(limit)
        if before is not None:
            same = sa.and_(_runs.c.created == before.created, _runs.c.id > before.id)
            query = query.where(sa.or_(_runs.c.created < before.created, same))
        with self._engine.connect() as connection:
            return [RunRow(*row) for row in connection.execute(query)]

    def delete(self, id_: str) -> None:
        """Forget a run and its events."""
        with self._engine.begin() as connection:
            connection.execute(_events.delete().where(_events.c.run == id_))
            connection.execute(_runs.delete().where(_runs.c.id == id_))

    def open_runs(self) -> list[RunRow]:
        """Those that have not ended, oldest first."""
        query = sa.select(_runs).where(_runs.c.status == OPEN).order_by(_runs.c.created)
        with self._engine.connect() as connection:
            return [RunRow(*row) for row in connection.execute(query)]

    def close(self) -> None:
        self._engine.dispose()

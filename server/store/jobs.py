"""Fine-tuning jobs: what was asked, how far it has come, what happened on the way.

A job is changed by those who ask (cancel, pause, resume) and by the worker that holds its lease
(`server.store.leases`). Every change begins with an UPDATE of the job's row, which lets one writer in at a time; so
events are numbered in order.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from server.store.pages import page

Json = dict[str, Any]
Status = Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
Method = Literal["supervised", "dpo"]
Level = Literal["info", "warn", "error"]
WORKABLE: tuple[Status, ...] = ("validating_files", "queued", "running")
"""Statuses of a job that wants a worker, or has one."""

_metadata = sa.MetaData()
jobs_table = sa.Table(
    "fine_tuning_jobs",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String),
    sa.Column("created", sa.Float),
    sa.Column("request", sa.Text),
    sa.Column("status", sa.String),
    sa.Column("progress", sa.Text),
    sa.Column("lease", sa.String),
    sa.Column("leased_until", sa.Float),
    sa.Column("attempts", sa.Integer),
)


def _table_of_job(name: str, number: str) -> sa.Table:
    return sa.Table(
        name,
        _metadata,
        sa.Column("job", sa.String, primary_key=True),
        sa.Column(number, sa.Integer, primary_key=True),
        sa.Column("at", sa.Float),
        sa.Column("body", sa.Text),
    )


_events = _table_of_job("fine_tuning_events", "number")
_checkpoints = _table_of_job("fine_tuning_checkpoints", "step")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What was asked."""

    model: str
    base: str
    """The model's file, as the server knows it."""
    training_file: str
    validation_file: str | None = None
    method: Method = "supervised"
    hyperparameters: Mapping[str, int | float | str] = field(default_factory=dict)
    """Those that were given; a worker chooses the others, and those that are `auto`."""
    suffix: str | None = None
    seed: int = 0
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; times are seconds since the epoch."""

    hyperparameters: Mapping[str, int | float] = field(default_factory=dict)
    """As they were chosen; empty before that."""
    step: int = 0
    steps: int | None = None
    trained_tokens: int | None = None
    estimated_finish: float | None = None
    finished: float | None = None
    fine_tuned_model: str | None = None
    result_files: Sequence[str] = field(default_factory=list)
    error: Mapping[str, str | None] | None = None
    """`code`, `message`, `param`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A row."""

    id: str
    owner: str
    created: float
    request: JobRequest
    status: Status
    progress: Progress
    attempts: int
    """Times that it was begun or gone on with since it last came further."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event or a checkpoint: its place in the job's list, when it came, and what it says."""

    number: int
    at: float
    body: Json


class JobStore:
    """Keeps jobs of several owners apart. Thread-safe; every call is a transaction of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, id_: str, owner: str, request: JobRequest, messages: Sequence[str]) -> Job:
        """A job for a worker to find, and its first events."""
        job = Job(id_, owner, time.time(), request, "validating_files", Progress(), 0)
        with self._engine.begin() as connection:
            connection.execute(
                jobs_table.insert().values(
                    id=id_,
                    owner=owner,
                    created=job.created,
                    request=json.dumps(asdict(request)),
                    status=job.status,
                    progress=json.dumps(asdict(job.progress)),
                    attempts=0,
                )
            )
            for message in messages:
                add_event(connection, id_, message_body(message))
        return job

    def get(self, id_: str, owner: str | None = "") -> Job | None:
        """A job of that owner's; None: whosever it is."""
        query = _select().where(jobs_table.c.id == id_)
        if owner is not None:
            query = query.where(jobs_table.c.owner == owner)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _job(row)

    def latest(self, owner: str, limit: int, *, after: Job | None = None) -> list[Job]:
        """A page of an owner's jobs, the newest first."""
        query = _select().where(jobs_table.c.owner == owner)
        seen = None if after is None else (after.created, after.id)
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(page(query, jobs_table, seen, limit))]

    def move(self, id_: str, to: Status, among: Collection[Status], message: str) -> bool:
        """Change the status if it is one of `among`, and say so in an event. False: it is another."""
        change = jobs_table.update().where(jobs_table.c.id == id_, jobs_table.c.status.in_(among))
        with self._engine.begin() as connection:
            if connection.execute(change.values(status=to, attempts=0)).rowcount == 0:
                return False
            add_event(connection, id_, message_body(message))
        return True

    def events(self, job: str, limit: int, before: int | None = None) -> list[Entry]:
        """The newest first; those numbered below `before`."""
        return self._entries(_events, _events.c.number, job, limit, before)

    def checkpoints(self, job: str, limit: int, before: int | None = None) -> list[Entry]:
        """The newest first, numbered by their steps; those below `before`."""
        return self._entries(_checkpoints, _checkpoints.c.step, job, limit, before)

    def _entries(
        self, table: sa.Table, number: sa.Column[int], job: str, limit: int, before: int | None
    ) -> list[Entry]:
        query = sa.select(number, table.c.at, table.c.body).where(table.c.job == job)
        if before is not None:
            query = query.where(number < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(number.desc()).limit(limit))
            return [Entry(place, at, json.loads(body)) for place, at, body in rows]

    def training_on(self, file: str) -> str | None:
        """A job that has not ended and needs a file."""
        query = _select().where(jobs_table.c.status.in_((*WORKABLE, "paused")))
        with self._engine.connect() as connection:
            jobs = map(_job, connection.execute(query))
            return next((j.id for j in jobs if file in (j.request.training_file, j.request.validation_file)), None)

    def counts(self) -> dict[str, int]:
        """Jobs by status."""
        query = sa.select(jobs_table.c.status, sa.func.count()).group_by(jobs_table.c.status)
        with self._engine.connect() as connection:
            return {str(status): int(count) for status, count in connection.execute(query)}


def message_body(message: str, level: Level = "info") -> Json:
    """An event that is to be read."""
    return {"level": level, "type": "message", "message": message}


def add_event(connection: sa.Connection, job: str, body: Json) -> None:
    """The next of a job whose row the transaction has changed."""
    last = sa.select(sa.func.max(_events.c.number)).where(_events.c.job == job)
    number = connection.scalar(last)
    values = {"job": job, "number": 0 if number is None else number + 1, "at": time.time(), "body": json.dumps(body)}
    connection.execute(_events.insert().values(values))


def put_checkpoint(connection: sa.Connection, job: str, step: int, body: Json) -> None:
    """One of a job whose row the transaction has changed; the same step once more takes the place of the first."""
    connection.execute(_checkpoints.delete().where(_checkpoints.c.job == job, _checkpoints.c.step == step))
    connection.execute(_checkpoints.insert().values(job=job, step=step, at=time.time(), body=json.dumps(body)))


def drop_old_checkpoints(connection: sa.Connection, job: str, kept: int) -> list[Json]:
    """Forget all but the newest; what the others said."""
    query = sa.select(_checkpoints.c.step, _checkpoints.c.body).where(_checkpoints.c.job == job)
    old = connection.execute(query.order_by(_checkpoints.c.step.desc()).offset(kept)).all()
    steps = [step for step, _ in old]
    connection.execute(_checkpoints.delete().where(_checkpoints.c.job == job, _checkpoints.c.step.in_(steps)))
    return [json.loads(body) for _, body in old]


def _select() -> sa.Select[Any]:
    c = jobs_table.c
    return sa.select(c.id, c.owner, c.created, c.request, c.status, c.progress, c.attempts)


def _job(row: Any) -> Job:
    id_, owner, created, request, status, progress, attempts = row
    return Job(
        id_, owner, created, JobRequest(**json.loads(request)), status, Progress(**json.loads(progress)), attempts
    )

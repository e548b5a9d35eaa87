"""Who works on a job. A worker takes a lease and renews it while it lives; one that dies lets it run out.

Whatever a worker writes is written only if the lease is still its own, in the same transaction: one that was thought
dead (stopped, swapped out, cut off) and wakes up finds the door shut. Time is the database's, so that clocks need not
agree.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from server.store.fine_tuned import FineTunedModel, drop_models, put_model
from server.store.jobs import (
    WORKABLE,
    Job,
    JobStore,
    Json,
    Level,
    Progress,
    Status,
    add_event,
    drop_old_checkpoints,
    jobs_table,
    message_body,
    put_checkpoint,
)

CHECKPOINTS_KEPT = 3
"""Of a job; OpenAI keeps as many."""
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
}


class LeaseLostError(Exception):
    """Another worker has the job by now."""


class NotWantedError(Exception):
    """The job was cancelled or paused meanwhile."""


class Leases:
    """Hands out jobs, each to one worker."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._jobs = JobStore(engine)
        self._now: sa.ColumnElement[float] = sa.literal_column(_NOW[engine.dialect.name], sa.Float)

    def take(self, seconds: float) -> "Lease | None":
        """The oldest job that wants a worker and has none that lives; None if there is none."""
        c = jobs_table.c
        free = sa.and_(c.status.in_(WORKABLE), sa.or_(c.lease.is_(None), c.leased_until < self._now))
        token = secrets.token_hex(12)
        with self._engine.connect() as connection:
            waiting = connection.execute(sa.select(c.id, c.lease).where(free).order_by(c.created, c.id)).all()
        for id_, earlier in waiting:
            values = {"lease": token, "leased_until": self._now + seconds, "attempts": c.attempts + 1}
            with self._engine.begin() as connection:
                taken = connection.execute(jobs_table.update().where(c.id == id_, free).values(values)).rowcount
            if taken and (job := self._jobs.get(id_, owner=None)) is not None:
                return Lease(self._engine, job, token, seconds, self._now, was_lost=earlier is not None)
        return None

    def given_up(self, ids: Collection[str]) -> list[str]:
        """Those of the jobs that were cancelled and have no worker that lives."""
        c = jobs_table.c
        over = sa.and_(c.status == "cancelled", sa.or_(c.lease.is_(None), c.leased_until < self._now))
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(c.id).where(c.id.in_(ids), over)).scalars())


class Lease:
    """A job that is ours as long as we renew. Thread-safe."""

    def __init__(
        self,
        engine: sa.Engine,
        job: Job,
        token: str,
        seconds: float,
        now: sa.ColumnElement[float],
        *,
        was_lost: bool = False,
    ) -> None:
        self.job = job
        """As it was when the lease was taken."""
        self.was_lost = was_lost
        """The worker before let its lease run out."""
        self.seconds = seconds
        self._engine = engine
        self._token = token
        self._now = now

    def renew(self) -> Status:
        """The job's status. Raises: LeaseLostError."""
        with self._engine.begin() as connection:
            self._change(connection, {"leased_until": self._now + self.seconds})
            status: Status = connection.scalars(
                sa.select(jobs_table.c.status).where(jobs_table.c.id == self.job.id)
            ).one()
        return status

    def release(self, *, counts: bool = True) -> None:
        """Give the job back; another worker, or this one, may take it. Raises: LeaseLostError.

        `counts`: as an attempt at it.
        """
        attempts = jobs_table.c.attempts - (0 if counts else 1)
        with self._engine.begin() as connection:
            self._change(connection, {"lease": None, "leased_until": None, "attempts": attempts})

    def tell(self, message: str, level: Level = "info") -> None:
        """An event. Raises: LeaseLostError."""
        self.write(message_body(message, level))

    def write(self, body: Json, progress: Progress | None = None) -> None:
        """An event, and how far it is now. Raises: LeaseLostError.

        A job that was paused and resumed before we heard of it is running, whatever it was set to.
        """
        status = jobs_table.c.status
        running = {"status": sa.case((status == "queued", "running"), else_=status)}
        with self._engine.begin() as connection:
            self._change(
                connection, {"lease": self._token} if progress is None else {"progress": _text(progress), **running}
            )
            add_event(connection, self.job.id, body)

    def enter(self, status: Status, progress: Progress, message: str, level: Level = "info") -> None:
        """Go on to another status. Raises: LeaseLostError; NotWantedError, if the job was cancelled or paused."""
        with self._engine.begin() as connection:
            self._enter(connection, status, progress)
            add_event(connection, self.job.id, message_body(message, level))

    def save(self, step: int, model: FineTunedModel, metrics: Json, message: str) -> list[FineTunedModel]:
        """A checkpoint, and the model it may be used as. Raises: LeaseLostError.

        Returns the models of checkpoints that are too old to be kept; they are forgotten.
        """
        body = {"fine_tuned_model_checkpoint": model.name, "metrics": metrics}
        with self._engine.begin() as connection:
            self._change(connection, {"attempts": 0})
            put_checkpoint(connection, self.job.id, step, body)
            put_model(connection, model)
            add_event(connection, self.job.id, message_body(message))
            old = drop_old_checkpoints(connection, self.job.id, CHECKPOINTS_KEPT)
            return drop_models(connection, [body["fine_tuned_model_checkpoint"] for body in old])

    def succeed(self, progress: Progress, model: FineTunedModel) -> None:
        """The end, and the model that came of it, at once. Raises: LeaseLostError, NotWantedError."""
        with self._engine.begin() as connection:
            self._enter(connection, "succeeded", progress)
            put_model(connection, model)
            add_event(connection, self.job.id, message_body(f"New fine-tuned model created: {model.name}"))
            add_event(connection, self.job.id, message_body("The job has successfully completed"))

    def _enter(self, connection: sa.Connection, status: Status, progress: Progress) -> None:
        values = {"status": status, "progress": _text(progress)}
        self._change(connection, {"lease": self._token})
        wanted = jobs_table.c.id == self.job.id, jobs_table.c.status.in_(WORKABLE)
        if connection.execute(jobs_table.update().where(*wanted).values(values)).rowcount == 0:
            raise NotWantedError(self.job.id)

    def _change(self, connection: sa.Connection, values: dict[str, Any]) -> None:
        ours = jobs_table.c.id == self.job.id, jobs_table.c.lease == self._token
        if connection.execute(jobs_table.update().where(*ours).values(values)).rowcount == 0:
            raise LeaseLostError(self.job.id)


def _text(progress: Progress) -> str:
    return json.dumps(asdict(progress))

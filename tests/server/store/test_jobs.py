"""Jobs, leases and what they make, on both databases."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.store.engine import open_database
from server.store.fine_tuned import FineTunedModel, FineTunedStore
from server.store.jobs import JobRequest, JobStore, Progress, message_body
from server.store.leases import Lease, LeaseLostError, Leases, NotWantedError

REQUEST = JobRequest("tiny", "/models/tiny.gguf", "file-1", metadata={"a": "b"})
MODEL = FineTunedModel("ft:tiny:x:1", "", 1.0, "tiny", "ftjob-1", "adapters/ftjob-1.gguf")


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    file = tmp_path_factory.mktemp("jobs") / "jobs.db"
    engine = open_database(f"sqlite:///{file}" if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield engine
    with engine.begin() as connection:
        for table in ("fine_tuned_models", "fine_tuning_jobs"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    engine.dispose()


@pytest.fixture
def jobs(engine: sa.Engine) -> JobStore:
    return JobStore(engine)


def taken(engine: sa.Engine, seconds: float = 30) -> Lease:
    lease = Leases(engine).take(seconds)
    assert lease
    return lease


def told(jobs: JobStore, id_: str) -> list[str]:
    return [entry.body["message"] for entry in reversed(jobs.events(id_, 100))]


def test_a_job_is_kept_as_it_was_asked_for(jobs: JobStore) -> None:
    made = jobs.create("ftjob-1", "ann", REQUEST, ["made", "checked"])
    assert jobs.get("ftjob-1", "ann") == made
    assert jobs.get("ftjob-1", "bob") is None
    assert jobs.get("ftjob-1", None) == made
    assert told(jobs, "ftjob-1") == ["made", "checked"]
    assert jobs.training_on("file-1") == "ftjob-1"
    assert jobs.training_on("file-2") is None
    assert jobs.counts() == {"validating_files": 1}


def test_jobs_and_events_come_in_pages(jobs: JobStore) -> None:
    for number in range(5):
        jobs.create(f"ftjob-{number}", "", REQUEST, [str(one) for one in range(4)])
    first = jobs.latest("", 3)
    assert [job.id for job in first] == ["ftjob-4", "ftjob-3", "ftjob-2"]
    assert [job.id for job in jobs.latest("", 3, after=first[-1])] == ["ftjob-1", "ftjob-0"]
    assert [entry.number for entry in jobs.events("ftjob-0", 2)] == [3, 2]
    assert [entry.number for entry in jobs.events("ftjob-0", 10, before=2)] == [1, 0]


def test_a_job_is_leased_once_until_its_lease_runs_out(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "", REQUEST, [])
    first = taken(engine, 0.2)
    assert Leases(engine).take(30) is None
    assert first.renew() == "validating_files"
    time.sleep(0.3)
    second = taken(engine)
    assert second.job.attempts == 2
    assert (first.was_lost, second.was_lost) == (False, True)
    for refused in (first.renew, lambda: first.tell("late"), first.release, lambda: first.succeed(Progress(), MODEL)):
        with pytest.raises(LeaseLostError):
            refused()
    assert told(jobs, "ftjob-1") == []
    second.release()
    third = taken(engine)
    assert (third.job.attempts, third.was_lost) == (3, False)


def test_of_many_workers_one_gets_a_job(engine: sa.Engine, jobs: JobStore) -> None:
    for number in range(3):
        jobs.create(f"ftjob-{number}", "", REQUEST, [])
    got: list[str] = []

    def take() -> None:
        while (lease := Leases(engine).take(30)) is not None:
            got.append(lease.job.id)

    workers = [threading.Thread(target=take) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(got) == ["ftjob-0", "ftjob-1", "ftjob-2"]


def test_events_of_several_writers_are_numbered_one_by_one(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "", REQUEST, [])
    lease = taken(engine)

    def write(name: str) -> None:
        for number in range(10):
            if name == "worker":
                lease.tell(f"{name} {number}")
            else:
                jobs.move("ftjob-1", "queued", ("validating_files", "queued"), f"{name} {number}")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("worker", "server", "server")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [entry.number for entry in jobs.events("ftjob-1", 100)] == list(range(29, -1, -1))


def test_what_was_cancelled_or_paused_is_not_gone_on_with(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "", REQUEST, [])
    lease = taken(engine)
    lease.enter("running", Progress(step=1), "begun")
    assert jobs.move("ftjob-1", "paused", ("running",), "rest")
    assert lease.renew() == "paused"
    for refused in (lambda: lease.enter("failed", Progress(), "x"), lambda: lease.succeed(Progress(), MODEL)):
        with pytest.raises(NotWantedError):
            refused()
    assert FineTunedStore(engine).of("tiny") == []
    lease.release()
    assert Leases(engine).take(30) is None
    assert jobs.move("ftjob-1", "queued", ("paused",), "on")
    assert not jobs.move("ftjob-1", "queued", ("paused",), "on")
    again = taken(engine)
    assert (again.job.progress.step, again.job.attempts) == (1, 1)
    again.enter("running", again.job.progress, "begun again")
    assert jobs.move("ftjob-1", "paused", ("running",), "rest")
    assert jobs.move("ftjob-1", "queued", ("paused",), "on")
    again.write(message_body("a step, as if nothing had been"), Progress(step=2))
    assert again.renew() == "running"
    assert jobs.move("ftjob-1", "cancelled", ("running",), "no more")
    again.write(message_body("another"), Progress(step=3))
    assert again.renew() == "cancelled"
    assert told(jobs, "ftjob-1")[:3] == ["begun", "rest", "on"]


def test_success_and_the_model_come_at_once(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "ann", REQUEST, [])
    lease = taken(engine)
    at_four = FineTunedModel("ft:tiny:x:1:ckpt-step-4", "ann", 1.0, "tiny", "ftjob-1", "adapters/four.gguf")
    for step in (2, 4, 4):
        assert lease.save(step, at_four, {"step": step}, "saved") == []
    assert [entry.number for entry in jobs.checkpoints("ftjob-1", 9)] == [4, 2]
    lease.write(message_body("careful", "warn"), Progress(step=4))
    lease.succeed(Progress(fine_tuned_model=MODEL.name, result_files=["file-2"]), MODEL)
    ended = jobs.get("ftjob-1", "ann")
    assert ended
    assert (ended.status, ended.progress.fine_tuned_model, ended.attempts) == ("succeeded", MODEL.name, 0)
    store = FineTunedStore(engine)
    assert {model.name for model in store.of("tiny")} == {MODEL.name, at_four.name}
    assert store.get(MODEL.name) == MODEL
    assert store.delete(MODEL.name)
    assert not store.delete(MODEL.name)
    lease.release()
    assert Leases(engine).take(30) is None


def test_the_last_checkpoints_are_kept_and_the_files_of_others_told(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "", REQUEST, [])
    lease = taken(engine)
    models = {step: replace(MODEL, name=f"at-{step}", file=f"{step}.gguf") for step in range(5)}
    dropped = [lease.save(step, model, {}, "") for step, model in models.items()]
    assert dropped == [[], [], [], [models[0]], [models[1]]]
    assert [entry.number for entry in jobs.checkpoints("ftjob-1", 9)] == [4, 3, 2]
    assert {model.name for model in FineTunedStore(engine).of("tiny")} == {"at-2", "at-3", "at-4"}


def test_an_attempt_that_was_given_back_does_not_count(engine: sa.Engine, jobs: JobStore) -> None:
    jobs.create("ftjob-1", "", REQUEST, [])
    taken(engine).release(counts=False)
    taken(engine).release()
    assert taken(engine).job.attempts == 2

"""The store of runs, by itself, and two processes' worth of runs on one database."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from server.agent.loop import Loop
from server.agent.runs import RefusedError, Runs
from server.store.engine import DatabaseError, open_database
from server.store.runs import ConflictError, RunStore
from tests.conftest import ROOT
from tests.server.agent.script import Script, defined, played


@pytest.fixture
def store() -> RunStore:
    return RunStore(open_database("sqlite://"))


def test_events_are_kept_in_order_and_each_number_is_had_once(store: RunStore) -> None:
    store.create("run_a", "ann", {"kind": "started"})
    store.append("run_a", 1, {"text": "ü \x00 \ud800"}, "open")
    with pytest.raises(ConflictError, match="run_a has an event 1"):
        store.append("run_a", 1, {}, "open")
    store.append("run_a", 2, {}, "completed")
    assert [(number, body) for number, _, body in store.events("run_a", 0)] == [(1, {"text": "ü \x00 \ud800"}), (2, {})]
    assert store.open_runs() == []
    found = store.get("run_a", "ann")
    assert found
    assert found.status == "completed"


def test_owners_see_their_own_runs_only_and_page_through_them(store: RunStore) -> None:
    for name in "abc":
        store.create(f"run_{name}", "ann", {})
    store.create("run_x", "bob", {})
    assert store.get("run_a", "bob") is None
    first = store.latest("ann", limit=2)
    rest = store.latest("ann", limit=2, before=first[-1])
    assert {row.id for row in (*first, *rest)} == {"run_a", "run_b", "run_c"}
    assert (len(first), len(rest)) == (2, 1)
    assert len(store.open_runs()) == 4


def test_a_forgotten_run_leaves_nothing(store: RunStore) -> None:
    store.create("run_a", "", {})
    store.delete("run_a")
    assert store.get("run_a") is None
    assert store.events("run_a") == []


def test_a_database_is_brought_to_the_newest_schema_once(tmp_path: Path) -> None:
    for _ in range(2):
        open_database(f"sqlite:///{tmp_path}/runs.db").dispose()
    connection = sqlite3.connect(tmp_path / "runs.db")
    assert connection.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]
    connection.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_start_together_make_the_schema_once(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in reversed(sa.inspect(connection).get_table_names()):
            connection.execute(sa.text(f"DROP TABLE {table}" + (" CASCADE" if kind == "postgres" else "")))
    engine.dispose()
    code = "import sys; from server.store.engine import open_database; open_database(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite:////no/such/folder/runs.db", "nodb://x", "postgresql+psycopg://u:secret@127.0.0.1:1/x"]
)
def test_a_database_that_can_not_be_opened_says_why_and_no_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_connection_that_the_database_has_ended_is_not_used_again(postgres: str) -> None:
    store = RunStore(open_database(postgres))
    store.create("run_idle", "", {})
    killer = sa.create_engine(postgres)
    with killer.begin() as connection:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        )
    killer.dispose()
    assert store.get("run_idle") is not None
    store.close()


def test_an_error_of_the_database_does_not_say_what_was_to_be_stored() -> None:
    engine = open_database("sqlite://")
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE run_events"))
    with pytest.raises(OperationalError) as caught:
        RunStore(engine).append("run_a", 1, {"text": "a private word"}, "open")
    assert "private" not in str(caught.value)


async def test_two_processes_do_not_take_the_same_step(tmp_path: Path) -> None:
    done: list[object] = []
    tool = defined("rm", lambda a: done.append(a), effect="destructive")
    loop = Loop({"rm": tool}, Script([("rm", {})]))
    one, other = (Runs(RunStore(open_database(f"sqlite:///{tmp_path}/runs.db")), loop) for _ in range(2))
    first = await played(one)
    await other.resume()
    second = await other.find(first.id)
    assert second
    approval = first.state.approvals[0].approval
    assert approval
    decided = await asyncio.gather(
        *(runs.decide(run, approval.id, approved=True) for runs, run in ((one, first), (other, second))),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, RefusedError) for outcome in decided) == 1
    for runs in (one, other):
        if (run := await runs.find(first.id)) is not None:
            await asyncio.wait_for(run.until_rest(), 5)
    assert len(done) == 1
    for runs in (one, other):
        await runs.close()
        runs.store.close()

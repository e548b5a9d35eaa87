"""kill -9 at every boundary of a run: no write is made twice, no approval is lost, and the run comes to its end.

The loop in a process by itself, and a whole server over HTTP; on SQLite, and on a PostgreSQL that the test starts.
A few boundaries by default, all with TRAMMEL_KILLS=all.
"""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ROOT

WRITES = ("put 3", "put 4", "delete 6")


def killed_runs(how: str, url: str, folder: Path, first: int, step: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", f"tests.server.agent.{how}", url, str(folder), str(first), str(step)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(runs: list[dict[str, Any]], step: int) -> None:
    assert len(runs) * step > 60
    print("kills:", sum(run["kills"] for run in runs))
    for run in runs:
        assert run["status"] == "completed", run
        assert all(run["acts"].get(write, 0) <= 1 for write in WRITES), run
        assert run["keys"] == 1, "a repeated idempotent write has the key of the first"
    whole = [run for run in runs if all(run["acts"].get(write) == 1 for write in WRITES)]
    assert len(whole) >= len(runs) * 0.6, "only a kill in the middle of a write may cost that write"


@pytest.fixture
def database(postgres: str) -> str:
    """One of the test's own: whoever starts goes on with all runs there are."""
    name = f"kills_{uuid.uuid4().hex}"
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(postgres).set(database=name).render_as_string(hide_password=False)


def slices(first: int, step: int) -> list[tuple[int, int]]:
    """The boundaries that are tried, as first and step: a few, or all in nine parts."""
    return [(n, 9) for n in range(1, 10)] if os.environ.get("TRAMMEL_KILLS") == "all" else [(first, step)]


@pytest.mark.parametrize(("first", "step"), slices(1, 9))
def test_a_run_survives_kills_on_sqlite(tmp_path: Path, first: int, step: int) -> None:
    check(killed_runs("killing", f"sqlite:///{tmp_path}/runs.db", tmp_path, first, step), step)


@pytest.mark.parametrize(("first", "step"), slices(3, 23))
def test_a_run_survives_kills_on_postgresql(tmp_path: Path, database: str, first: int, step: int) -> None:
    check(killed_runs("killing", database, tmp_path, first, step), step)


@pytest.mark.parametrize(("first", "step"), slices(20, 70))
def test_a_whole_server_survives_kills_on_sqlite(tmp_path: Path, first: int, step: int) -> None:
    check(killed_runs("killing_server", f"sqlite:///{tmp_path}/runs.db", tmp_path, first, step), step)


@pytest.mark.parametrize(("first", "step"), slices(37, 70))
def test_a_whole_server_survives_kills_on_postgresql(tmp_path: Path, database: str, first: int, step: int) -> None:
    check(killed_runs("killing_server", database, tmp_path, first, step), step)

"""kill -9 at every boundary of a run: no write is made twice, no approval is lost, and the run comes to its end.

A few boundaries by default, on SQLite and on a PostgreSQL that the test starts; all with TRAMMEL_KILLS=all.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

WRITES = ("put 3", "put 4", "delete 6")


def killed_runs(url: str, folder: Path, first: int, step: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.server.agent.killing", url, str(folder), str(first), str(step)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(runs: list[dict[str, Any]]) -> None:
    for run in runs:
        assert run["status"] == "completed", run
        assert all(run["acts"].get(write, 0) <= 1 for write in WRITES), run
        assert run["keys"] == 1, "a repeated idempotent write has the key of the first"
    whole = [run for run in runs if all(run["acts"].get(write) == 1 for write in WRITES)]
    assert len(whole) >= len(runs) * 0.7, "only a kill in the middle of a write may cost that write"


def stride(usual: int) -> int:
    return 1 if os.environ.get("TRAMMEL_KILLS") == "all" else usual


def test_a_run_survives_kills_on_sqlite(tmp_path: Path) -> None:
    runs = killed_runs(f"sqlite:///{tmp_path}/runs.db", tmp_path, 1, stride(9))
    assert len(runs) * stride(9) > 60
    check(runs)


def test_a_run_survives_kills_on_postgresql(tmp_path: Path, postgres: str) -> None:
    runs = killed_runs(postgres, tmp_path, 3, stride(23))
    assert len(runs) * stride(23) > 60
    check(runs)

"""What the grammar is for, measured at a real server: no call is malformed and no name is invented."""

from pathlib import Path

import pytest

from evals.record import Record
from evals.run import Settings
from evals.suites.catalog import draw
from evals.suites.scenarios import read_scenarios
from evals.summary import summarise
from tests.evals.test_run import run


@pytest.mark.timeout(180)
async def test_calls_that_are_required_are_well_formed_and_of_names_that_exist(server_url: str, tmp_path: Path) -> None:
    cases = draw(read_scenarios(), 30, seed=1)
    settings = Settings(choice="required", temperature=1.0, max_tokens=256)
    episodes = await run(f"{server_url}/v1", tmp_path / "answers.jsonl", cases, settings)
    (summary,) = summarise(map(Record.of, episodes))
    assert (summary.errors, summary.calls >= 20) == (0, True)
    for metric in ("syntax errors", "invented names", "invented keys"):
        assert summary.shares[metric].value == 0

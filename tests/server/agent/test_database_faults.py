"""A database that fails for a while in the middle of a run, and one that stays away."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from server.agent.run import Run
from server.agent.runs import Runs
from server.api.errors import ApiError
from server.api.run_chat import _chunks, _completion
from server.api.wire import ChatCompletionRequest
from server.store.runs import RunStore
from tests.server.agent.script import defined, results, runs_of, started

BODY = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})


class FailingStore(RunStore):
    """Fails at the events whose kinds are in `faults`, once for each; before it has stored them or after."""

    faults: list[str]
    is_late = False
    is_away = False

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        fails = body["kind"] in self.faults
        if fails:
            self.faults.remove(body["kind"])
        if self.is_late or not (fails or self.is_away):
            super().append(run, number, body, status)
        if fails or self.is_away:
            raise OperationalError("INSERT", {"body": "a private word"}, Exception("server closed the connection"))


def failing(*faults: str, turns: Any, **options: Any) -> tuple[Runs, FailingStore, list[int]]:
    done: list[int] = []
    runs, _ = runs_of(turns, defined("put", lambda _: done.append(1), effect="write", **options))
    store = FailingStore(runs.store._engine)
    store.faults = list(faults)
    return Runs(store, runs.loop), store, done


async def rested(runs: Runs) -> Run:
    run = await runs.start(started(runs))
    await asyncio.wait_for(run.until_rest(), 20)
    return run


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.agent.runs._AWAY", (0.01, 0.01, 0.01))


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("faults", [("spoke",), ("judged", "begun"), ("ended",), ("spoke", "spoke", "spoke")])
async def test_a_run_outlasts_a_database_that_fails_for_a_moment(faults: tuple[str, ...], *, is_late: bool) -> None:
    runs, store, done = failing(*faults, turns=[("put", {}), "done"])
    store.is_late = is_late
    run = await rested(runs)
    assert run.status == "completed"
    assert len(done) <= 1, "a write is not made twice"
    assert run.state.length == len(store.events(run.id))
    if faults != ("judged", "begun") or not is_late:
        assert done == [1]


async def test_a_write_whose_result_could_not_be_stored_is_not_made_again() -> None:
    runs, _, done = failing("returned", turns=[("put", {}), "done"])
    run = await rested(runs)
    assert (run.status, done) == ("completed", [1])
    assert "not known" in results(run)[0]["error"]


async def test_an_approval_that_was_stored_though_the_database_failed_is_not_lost() -> None:
    runs, store, done = failing("decided", turns=[("put", {}), "done"], approval="always")
    store.is_late = True
    run = await rested(runs)
    approval = run.state.approvals[0].approval
    assert approval
    with pytest.raises(OperationalError):
        await runs.decide(run, approval.id, approved=True)
    with pytest.raises(Exception, match="Look at it again"):
        await runs.decide(run, approval.id, approved=True)
    async with asyncio.timeout(20):
        while run.state.ended is None:
            await asyncio.sleep(0.01)
    assert (run.status, done) == ("completed", [1])


async def test_who_waits_for_a_run_whose_database_stays_away_is_told_that_it_is_not_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs, store, _ = failing(turns=["done"])
    store.is_away = True
    run = await runs.start(started(runs))
    told = runs.watch(run, to_rest=True)
    await asyncio.wait_for(run.until_rest(), 20)
    assert run.status == "running"
    with pytest.raises(ApiError) as caught:
        await _completion(runs, run)
    assert (caught.value.status, caught.value.body["error"]["code"]) == (503, "run_interrupted")
    assert run.id in caught.value.body["error"]["message"]
    chunks = [chunk async for chunk in _chunks(BODY, runs, run, told)]
    assert json.loads(chunks[-1].removeprefix("data: "))["error"]["code"] == "run_interrupted"
    await asyncio.sleep(0)
    assert "broke off" in caplog.text


async def test_a_run_that_is_cancelled_or_waits_is_not_called_interrupted() -> None:
    runs, _, _ = failing(turns=[("put", {})], approval="always")
    run = await rested(runs)
    assert (await _completion(runs, run))["trammel"]["status"] == "waiting_for_approval"
    await runs.cancel(run)
    assert (await _completion(runs, run))["trammel"]["status"] == "cancelled"


async def test_a_failing_database_is_told_without_what_was_to_be_stored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    runs, _, _ = failing("spoke", turns=["done"])
    await rested(runs)
    assert "waits for its database: OperationalError" in caplog.text
    assert "a private word" not in caplog.text

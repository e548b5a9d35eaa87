"""An event of a killed process that its database stores only after the next process has read the run."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from server.agent.events import Decided, Event, Returned, Spoke, write_event
from server.agent.loop import Loop
from server.agent.runs import RefusedError, Runs
from server.store.runs import RunStore
from tests.server.agent.script import Script, defined, results, runs_of, started

TURNS: list[Any] = [("put", {}), "done"]


class LateStore(RunStore):
    """Before the first events of this process are stored, so many of another's are."""

    late: list[Callable[[], Event]]

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        if self.late:
            super().append(run, number, write_event(self.late.pop(0)()), status)
        super().append(run, number, body, status)


class SlowStore(RunStore):
    """Has stored a result for a while before it says so to who asked for it."""

    stored: threading.Event

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        super().append(run, number, body, status)
        if body["kind"] == "returned":
            self.stored.set()
            time.sleep(0.3)


async def test_a_run_can_be_cancelled_while_an_event_is_being_stored() -> None:
    script, _ = runs_of([("get", {}), "done"], defined("get"))
    store = SlowStore(script.store._engine)
    store.stored = threading.Event()
    runs = Runs(store, script.loop)
    run = await runs.start(started(runs))
    while not store.stored.is_set():
        await asyncio.sleep(0.005)
    await runs.cancel(run)
    assert run.status == "cancelled"
    read = await Runs(store, script.loop).find(run.id)
    assert read
    assert (read.status, read.state.length) == ("cancelled", run.state.length)


async def killed_while_writing() -> tuple[RunStore, str, str, list[int]]:
    """Its store, the run, the call that had begun, and how often it was made."""
    made: list[int] = []

    async def put(_: object) -> None:
        made.append(1)
        await asyncio.sleep(60)

    runs, _ = runs_of(TURNS, defined("put", put, effect="write"))
    run = await runs.start(started(runs))
    while not made:
        await asyncio.sleep(0.01)
    await runs.close()
    return runs.store, run.id, run.state.turn[0], made


async def resumed(store: RunStore, id_: str, made: list[int], *late: Callable[[], Event]) -> Any:
    put = defined("put", lambda _: made.append(1), effect="write")
    later = LateStore(store._engine)
    later.late = list(late)
    runs = Runs(later, Loop({"put": put}, Script(TURNS)))
    await runs.resume()
    run = await runs.find(id_)
    assert run
    await asyncio.wait_for(run.until_rest(), 20)
    return run


async def test_a_result_that_was_stored_late_is_found_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.agent.runs._RELOADS", (0.01, 0.01))
    store, id_, call, made = await killed_while_writing()
    run = await resumed(store, id_, made, lambda: Returned(call, "ok", '{"tool": "put", "data": "written"}'))
    assert run.status == "completed"
    assert results(run)[0]["data"] == "written"
    assert len(made) == 1


async def test_an_approval_that_was_stored_late_is_not_lost() -> None:
    done: list[int] = []
    rm = defined("rm", lambda _: done.append(1), effect="destructive")
    runs, _ = runs_of([("rm", {})], rm)
    run = await runs.start(started(runs))
    await run.until_rest()
    await runs.close()
    waiting = run.state.approvals[0].approval
    assert waiting
    later = LateStore(runs.store._engine)
    later.late = [lambda: Decided(waiting.id, approved=True)]
    again = Runs(later, Loop({"rm": rm}, Script([("rm", {})])))
    await again.resume()
    found = await again.find(run.id)
    assert found
    await found.until_rest()
    with pytest.raises(RefusedError, match="Look at it again"):
        await again.decide(found, waiting.id, approved=True)
    async with asyncio.timeout(20):
        while found.state.ended is None:
            await asyncio.sleep(0.01)
    assert (found.status, done) == ("completed", [1])


async def test_a_run_that_another_process_works_on_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.agent.runs._RELOADS", (0.01, 0.01))
    store, id_, call, made = await killed_while_writing()
    turns = [lambda: Returned(call, "ok", '{"tool": "put"}'), *[lambda: Spoke("", ())] * 5]
    run = await resumed(store, id_, made, *turns)
    assert run.status == "running", "as far as is known here"
    assert len(made) == 1

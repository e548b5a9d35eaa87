"""The tools of a run are those it began with, in the versions it began with, whatever a later process has."""

from typing import Any

from server.agent.loop import Loop
from server.agent.run import Run
from server.agent.runs import Runs
from server.tools.definition import ToolDefinition
from tests.server.agent.script import Script, defined, played, results, runs_of

NAME = {"name": {"type": "string"}}


async def restarted(runs: Runs, run: Run, *tools: ToolDefinition, turns: Any) -> tuple[Runs, Run]:
    """Another process goes on with the run, and has these tools."""
    await runs.close()
    later = Runs(runs.store, Loop({tool.name: tool for tool in tools}, Script(turns)))
    await later.resume()
    found = await later.find(run.id)
    assert found
    return later, found


async def approve(runs: Runs, run: Run) -> None:
    waiting = run.state.approvals[0].approval
    assert waiting
    await runs.decide(run, waiting.id, approved=True)
    await run.until_rest()


async def test_an_approval_is_lost_on_a_tool_that_has_changed_since() -> None:
    done: list[Any] = []
    turns = [("rm", {"name": "x"})]
    runs, _ = runs_of(turns, defined("rm", done.append, NAME, effect="destructive"))
    run = await played(runs)
    changed = defined("rm", done.append, NAME, effect="destructive", source_text="it does more now")
    later, run = await restarted(runs, run, changed, turns=turns)
    await approve(later, run)
    assert not done
    assert "The tool has changed since this run began." in results(run)[0]["error"]
    assert run.status == "completed"


async def test_an_approval_survives_a_restart_and_serves_once() -> None:
    done: list[Any] = []
    turns = [("rm", {"name": "x"})]
    rm = defined("rm", done.append, NAME, effect="destructive")
    runs, _ = runs_of(turns, rm)
    run = await played(runs)
    waiting = run.state.approvals[0].approval
    later, run = await restarted(runs, run, rm, turns=turns)
    assert run.state.approvals[0].approval == waiting
    await approve(later, run)
    later, run = await restarted(later, run, rm, turns=turns)
    assert run.status == "completed"
    assert done == [{"name": "x"}]


async def test_a_tool_that_came_later_can_neither_be_named_nor_called() -> None:
    turns = [("rm", {}), ("new", {})]
    rm = defined("rm", effect="destructive")
    runs, _ = runs_of(turns, rm)
    run = await played(runs)
    later, run = await restarted(runs, run, rm, defined("new", effect="write"), turns=turns)
    await approve(later, run)
    assert isinstance(later.loop.speaker, Script)
    assert later.loop.speaker.named == [("rm",), ("rm",)]
    assert results(run)[1]["error"] == "There is no tool new. There are: rm."


async def test_a_tool_that_changed_or_went_is_done_without() -> None:
    turns = [("rm", {}), ("get", {}), ("put", {})]
    rm, get, put = defined("rm", effect="destructive"), defined("get"), defined("put", effect="write")
    runs, _ = runs_of(turns, rm, get, put)
    run = await played(runs)
    later, run = await restarted(runs, run, rm, defined("get", trust="untrusted"), turns=turns)
    assert isinstance(later.loop.speaker, Script)
    later.loop.speaker.is_bound = False
    await approve(later, run)
    assert later.loop.speaker.named[0] == ("rm",)
    assert "The tool get has changed since this run began." in results(run)[1]["error"]
    assert "There is no tool put." in results(run)[2]["error"]


async def test_an_approval_is_for_one_principal() -> None:
    done: list[Any] = []
    rm = defined("rm", done.append, NAME, effect="destructive")
    hashes = []
    for principal in ("ann", "bob"):
        runs, _ = runs_of([("rm", {"name": "x"})], rm)
        run = await played(runs, principal=principal)
        waiting = run.state.approvals[0].approval
        assert waiting
        hashes.append(waiting.hash)
        await runs.close()
    assert hashes[0] != hashes[1]

"""Tools of sources that connect only after the server has started, and runs that had begun with them before."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from server.agent.loop import Loop
from server.agent.run import Run
from server.agent.runs import Runs
from server.store.engine import open_database
from server.store.runs import RunStore
from server.store.tools import ToolStore
from server.tools.api_tool import definition_of
from server.tools.definition import ToolDefinition
from server.tools.openapi.operation import Operation
from server.tools.registry import Registry
from server.tools.source import Overrides, SourceSettings
from tests.server.agent.script import Script, results, started

TURNS: list[Any] = [("put", {}), ("rm", {}), ("put", {}), "done"]
SETTINGS = SourceSettings(trust="trusted", texts="trusted")
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
OPERATIONS = [Operation("put", "MCP", "mcp:x", SCHEMA, "Put"), Operation("rm", "MCP", "mcp:x", SCHEMA, "Remove")]


@dataclass
class Process:
    """A server's registry and runs; `connect` is what an MCP server does in its own time."""

    database: sa.Engine
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.has_told = asyncio.Event()
        self.registry = Registry(ToolStore(self.database))
        self.registry.load()
        loop = Loop(self.registry, Script(TURNS))
        self.runs = Runs(RunStore(self.database), loop, sources=[self.has_told])

    async def connect(self) -> None:
        await self.registry.announce("notes", SETTINGS, OPERATIONS, [], self._define)
        self.has_told.set()

    def _define(self, name: str, operation: Operation, said: Overrides, settings: SourceSettings) -> ToolDefinition:
        async def execute(*_: Any) -> str:
            self.done.append(name)
            return "did it"

        effect = "write" if name == "put" else "destructive"
        return definition_of(name, operation, said, settings, execute, effect=effect)  # type: ignore[arg-type]


async def stopped() -> tuple[Process, str]:
    """A process that has ended while a call waited for approval, one write done; and its run."""
    first = Process(open_database("sqlite://"))
    await first.connect()
    run = await first.runs.start(started(first.runs))
    await run.until_rest()
    assert (run.status, first.done) == ("waiting_for_approval", ["put"])
    await first.runs.close()
    return first, run.id


async def approved(process: Process, id_: str) -> Run:
    run = await process.runs.find(id_)
    assert run
    approval = run.state.approvals[0].approval
    assert approval
    await process.runs.decide(run, approval.id, approved=True)
    return run


async def until_ended(run: Run) -> None:
    async with asyncio.timeout(20):
        while run.state.ended is None:
            await asyncio.sleep(0.01)


async def test_a_run_that_goes_on_waits_for_tools_that_are_yet_to_come() -> None:
    first, id_ = await stopped()
    second = Process(first.database)
    assert await asyncio.wait_for(second.runs.resume(), 5) == 1
    run = await approved(second, id_)
    await asyncio.sleep(0.1)
    assert run.state.ended is None
    await second.connect()
    await until_ended(run)
    assert (run.status, second.done) == ("completed", ["rm"])
    assert ["data" in result for result in results(run)[:2]] == [True, True]
    await second.runs.close()


async def test_a_tool_that_comes_while_the_run_waits_knows_what_was_done_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.agent.runs._TOOL_SECONDS", 0.01)
    first, id_ = await stopped()
    second = Process(first.database)
    await second.runs.resume()
    await asyncio.sleep(0.1)
    await second.connect()
    run = await approved(second, id_)
    await until_ended(run)
    assert second.done == ["rm"], "the write of before is not made again"


async def test_a_run_does_not_wait_for_ever_for_a_tool_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.agent.runs._TOOL_SECONDS", 0.05)
    first, id_ = await stopped()
    second = Process(first.database)
    await second.runs.resume()
    run = await approved(second, id_)
    await until_ended(run)
    assert "no such tool" in results(run)[1]["error"]
    assert second.done == []

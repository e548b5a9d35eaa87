"""A run in a process that is killed (SIGKILL) at one boundary, and another process that goes on with it.

`python -m tests.server.agent.killing URL FOLDER FIRST STEP` forks two processes for each boundary, and two more for a
second kill on the way back, and prints one line of JSON for each kill. Boundaries are: before and after every event is
stored, and before, within and after what a tool does. Nothing in the server knows of it: the store and the tools are
wrapped. A fork, because starting Python anew would take most of the time.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.agent.loop import Loop
from server.agent.run import Run
from server.agent.runs import Runs
from server.store.engine import open_database
from server.store.runs import RunStore
from server.tools.definition import CallContext, ToolDefinition
from tests.server.agent.script import Script, Turn, defined, started

TURNS: list[Turn] = [
    [("look", {"n": 1}), ("look", {"n": 2})],
    ("put", {"n": 3}),
    ("read_mail", {}),
    [("put", {"n": 4}), ("sync", {"n": 5})],
    ("delete", {"n": 6}),
    ("put", {"n": 3}),
]


@dataclass
class Fuse:
    """Kills the process at the n-th boundary; 0: never."""

    left: int

    def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class DangerousStore(RunStore):
    """Boundaries on both sides of what is stored."""

    fuse: Fuse

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        self.fuse.pass_by()
        super().append(run, number, body, status)
        self.fuse.pass_by()


def tools(tally: Path, fuse: Fuse) -> dict[str, ToolDefinition]:
    """Each writes a line for what it does to the world, durably."""

    def acting(name: str, **options: Any) -> ToolDefinition:
        async def execute(arguments: dict[str, Any], context: CallContext) -> Any:
            fuse.pass_by()
            note(tally, {"tool": name, "n": arguments.get("n"), "key": context.key})
            fuse.pass_by()
            await asyncio.sleep(0)
            return {"did": name}

        base = defined(name, properties={"n": {"type": "integer"}}, **options)
        return ToolDefinition(
            name, base.parameters, execute, effect=base.effect, trust=base.trust, is_idempotent=base.is_idempotent
        )

    listed = [
        acting("look"),
        acting("put", effect="write"),
        acting("read_mail", trust="untrusted"),
        acting("sync", effect="write", is_idempotent=True),
        acting("delete", effect="destructive"),
    ]
    return {tool.name: tool for tool in listed}


def note(path: Path, fact: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(fact) + "\n")
        file.flush()
        os.fsync(file.fileno())


def facts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def live(url: str, tally: Path, kill_at: int, id_: str | None) -> None:
    """Start a run, or go on with one, approve whatever waits, and see it to its end."""
    fuse = Fuse(kill_at)
    store = DangerousStore(open_database(url))
    store.fuse = fuse
    runs = Runs(store, Loop(tools(tally, fuse), Script(TURNS)))
    await runs.resume()
    run = await (runs.find(id_) if id_ else runs.start(started(runs)))
    assert run
    note(tally, {"run": run.id})
    while run.state.ended is None:
        await run.until_rest()
        assert run.state.ended or run.state.approvals, "the run rests, and waits for nobody"
        await approve_all(runs, run, tally)
    note(tally, {"status": run.status})
    await runs.close()
    store.close()


async def approve_all(runs: Runs, run: Run, tally: Path) -> None:
    for call in run.state.approvals:
        assert call.approval
        assert call.approval.id not in {fact.get("approved") for fact in facts(tally)}, "an approval was lost"
        await runs.decide(run, call.approval.id, approved=True)
        note(tally, {"approved": call.approval.id})


def in_child(url: str, tally: Path, kill_at: int) -> bool:
    """Whether the child was killed. It fails loudly in any other way."""
    child = os.fork()
    if not child:
        id_ = next((fact["run"] for fact in facts(tally) if "run" in fact), None)
        try:
            asyncio.run(asyncio.wait_for(live(url, tally, kill_at, id_), 30))
        finally:
            code = 1 if sys.exc_info()[0] else 0
            if code:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"killed at {kill_at}: see above")
    return False


def account(tally: Path) -> dict[str, Any]:
    """What has happened to the world, and how the run ended."""
    seen = facts(tally)
    acts = Counter(f"{fact['tool']} {fact['n']}" for fact in seen if "tool" in fact)
    keys = {fact["key"] for fact in seen if fact.get("tool") == "sync"}
    return {"acts": acts, "keys": len(keys), "status": seen[-1].get("status")}


def main(url: str, folder: Path, first: int, step: int) -> None:
    kill_at = first
    while True:
        tally = folder / f"{kill_at}.jsonl"
        if not in_child(url, tally, kill_at):
            return
        kills = 1 + in_child(url, tally, 1 + kill_at % 7)
        while in_child(url, tally, 0):
            pass
        print(json.dumps({"kill_at": kill_at, "kills": kills, **account(tally)}), flush=True)
        kill_at += step


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

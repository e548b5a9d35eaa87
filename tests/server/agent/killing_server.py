"""A whole server that is killed (SIGKILL) at one boundary of a run, and another one that goes on with it, over HTTP.

`python -m tests.server.agent.killing_server URL FOLDER FIRST STEP`. The server is `create_app`'s, behind uvicorn on a
socket of its own; only the model's words come from a script, and tools and store know when to kill, as in `killing`.
Each server is forked from one process that has loaded everything, because loading would take most of the time.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import sqlalchemy as sa
import uvicorn

import server.app as application
from server.api.services import EmbeddingServices, Services
from server.settings import DEFAULT_MODEL, Settings
from tests.server.agent.killing import TURNS, DangerousStore, Fuse, account, facts, note, tools
from tests.server.agent.script import Script

QUESTION = [{"role": "user", "content": "Hello"}]
_LONGEST_LIFE = 60.0


def serve(loaded: Services | EmbeddingServices, url: str, tally: Path, kill_at: int, listener: socket.socket) -> None:
    """To the death. The patches are this process' own, a fork's."""
    fuse = Fuse(kill_at)

    def store(engine: sa.Engine) -> DangerousStore:
        made = DangerousStore(engine)
        made.fuse = fuse
        return made

    Services.start = lambda _: None  # type: ignore[method-assign] # nobody generates
    application.load_services = lambda *_, **__: loaded
    application.RunStore = store  # type: ignore[misc,assignment]
    application.EngineSpeaker = lambda _: Script(TURNS)  # type: ignore[misc,assignment]
    application.load_tools = lambda _: tuple(tools(tally, fuse).values())
    app = application.create_app(Settings(tools="scripted", runs=url, threads=1))
    uvicorn.Server(uvicorn.Config(app, fd=listener.fileno(), log_level="critical", lifespan="on")).run()


@contextlib.contextmanager
def forked(loaded: Services | EmbeddingServices, url: str, tally: Path, kill_at: int) -> Iterator[tuple[int, str]]:
    """Process and address of a server. It is dead in the end, by itself or by us."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        child = os.fork()
        if not child:
            try:
                serve(loaded, url, tally, kill_at, listener)
            finally:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(1)
    try:
        yield child, address
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def live(client: httpx.Client, tally: Path) -> str:
    """Start the run or find it, approve whatever waits, and see it to its end. Raises: httpx.TransportError."""
    begun = client.get("/v1/runs").raise_for_status().json()["data"]
    mine = {fact["run"] for fact in facts(tally) if "run" in fact}
    known = [row["id"] for row in begun if row["id"] in mine or row["status"] == "open"]
    if not known:
        body = {"model": DEFAULT_MODEL.stem, "messages": QUESTION, "trammel": {"run_tools": True}}
        known = [client.post("/v1/runs", json=body).raise_for_status().json()["id"]]
    note(tally, {"run": known[0]})
    end = time.monotonic() + _LONGEST_LIFE
    while time.monotonic() < end:
        run = client.get(f"/v1/runs/{known[0]}").raise_for_status().json()
        for approval in run["approvals"]:
            assert approval["id"] not in {fact.get("approved") for fact in facts(tally)}, "an approval was lost"
            place = f"/v1/runs/{known[0]}/approvals/{approval['id']}"
            client.post(place, json={"approve": True, "hash": approval["hash"]}).raise_for_status()
            note(tally, {"approved": approval["id"]})
        if run["status"] in ("completed", "incomplete", "failed", "cancelled"):
            return str(run["status"])
        time.sleep(0.005)
    raise RuntimeError(f"the run has no end: {run}")


def was_killed(loaded: Services | EmbeddingServices, url: str, tally: Path, kill_at: int) -> bool:
    """One server's life: whether it was killed at its boundary, rather than by us once the run was over."""
    with forked(loaded, url, tally, kill_at) as (child, address), httpx.Client(base_url=address, timeout=30) as client:
        try:
            note(tally, {"status": live(client, tally)})
        except httpx.TransportError as error:
            if not died_by_kill(child):
                raise RuntimeError("the server did not answer, and was not killed") from error
            return True
    return False


def died_by_kill(child: int) -> bool:
    """A socket may be closed a little before the process is gone."""
    for _ in range(200):
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        time.sleep(0.01)
    return False


def main(url: str, folder: Path, first: int, step: int) -> None:
    loaded = application.load_services(DEFAULT_MODEL.stem, DEFAULT_MODEL, Settings(threads=1))
    kill_at = first
    while True:
        tally = folder / f"{kill_at}.jsonl"
        if not was_killed(loaded, url, tally, kill_at):
            return
        kills = 1 + was_killed(loaded, url, tally, 1 + kill_at % 7)
        if was_killed(loaded, url, tally, 0):
            raise RuntimeError("a server was killed that should live")
        print(json.dumps({"kill_at": kill_at, "kills": kills, **account(tally)}), flush=True)
        kill_at += step


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

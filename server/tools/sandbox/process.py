"""Starts a sandbox's process, feeds it, and ends it with all its children at the first bound it passes."""

import asyncio
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from server.tools.sandbox.bounds import Ended, Job, Outcome
from server.tools.sandbox.watch import broken_bound

PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for: a sandbox's own environment can be read in it."""
_LOOK = 0.05
"""Seconds between two looks at what a job takes."""
_GRACE = 3.0
"""Seconds for a launcher to end its children."""


async def run_bounded(argv: list[str], job: Job, *, ending: signal.Signals, scratch: Path | None = None) -> Outcome:
    """Run `argv`, which is to confine `job`; `ending` is the signal upon which it ends with all its children.

    Raises: OSError, if it can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=PIPE if job.stdin else DEVNULL, stdout=PIPE, stderr=PIPE, env={"PATH": PROGRAMS}
    )
    room = _Room(job.bounds.output)
    streams = asyncio.gather(_feed(process, job.stdin), room.read(process.stdout), room.read(process.stderr))
    try:
        ended = await _watch(process, job, room, scratch)
        if ended != "exit":
            return Outcome(ended, -signal.SIGKILL, *room.kept)
        _, stdout, stderr = await asyncio.wait_for(streams, _GRACE)
        if room.is_full.is_set():  # its last words were still under way when it ended
            return Outcome("output", -signal.SIGKILL, stdout, stderr)
        return Outcome(ended, process.returncode or 0, stdout, stderr)
    finally:
        await _end(process, ending)
        streams.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await streams


class _Room:
    """Bytes of output that may still come; both streams share them."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._parts: list[bytearray] = []
        self.is_full = asyncio.Event()

    @property
    def kept(self) -> tuple[bytes, bytes]:
        stdout, stderr = self._parts
        return bytes(stdout), bytes(stderr)

    async def read(self, stream: asyncio.StreamReader | None) -> bytes:
        assert stream is not None
        kept = bytearray()
        self._parts.append(kept)
        while piece := await stream.read(65_536):
            kept += piece[: self._left]
            self._left -= len(piece)
            if self._left < 0:
                self._left = 0
                self.is_full.set()
        return bytes(kept)


async def _feed(process: Process, data: bytes) -> None:
    if process.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # it need not read what it is given
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _watch(process: Process, job: Job, room: _Room, scratch: Path | None) -> Ended:
    deadline = time.monotonic() + job.bounds.seconds
    waiting = asyncio.ensure_future(process.wait())
    try:
        while True:
            left = deadline - time.monotonic()
            await asyncio.wait({waiting}, timeout=max(0.0, min(_LOOK, left)))
            if room.is_full.is_set():
                return "output"
            if waiting.done():
                return "exit"
            if left <= 0:
                return "time"
            if broken := await asyncio.to_thread(broken_bound, process.pid, job.bounds, scratch):
                return broken
    finally:
        waiting.cancel()


async def _end(process: Process, ending: signal.Signals) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(ending)
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

"""`trammel worker` as a child of the server, for `trammel serve --worker`: started again when it dies.

It reads a pipe from us to its end, which is ours however we end; so it never outlives the server.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

logger = logging.getLogger("trammel.worker")

_COMMAND = ("-c", "from server.cli import main; main()", "worker", "--beside-server")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before it is started again; doubled each time."""
_CLOSING_SECONDS = 10.0
_WRONG_USE = 2
"""The exit code of a command that can't begin, such as without PyTorch."""


class WorkerProcess:
    """Of one server. Lives in the event loop."""

    def __init__(self, home: Path, store: str | None) -> None:
        """`store`: the server's database, where it is not the home folder's."""
        threads = max(1, (os.cpu_count() or 2) // 2)  # all of them would get in each other's way with llama.cpp's
        self._arguments = [*_COMMAND, "--home", str(home), "--threads", str(threads)]
        self._environment = {**os.environ, **({"TRAMMEL_STORE": store} if store else {})}
        """Where the database's password is not seen by others, as it would be among the arguments."""
        self._process: asyncio.subprocess.Process | None = None

    async def watch(self) -> None:
        """Keep one running, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._arguments, stdin=asyncio.subprocess.PIPE, env=self._environment
            )
            code = await process.wait()
            if code == _WRONG_USE:
                logger.error("there is no worker: it could not begin")
                return
            logger.warning("the worker has ended with code %s; the next one starts in %.0f s", code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Let it give its job back; not for long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _CLOSING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

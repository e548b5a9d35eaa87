"""Servers as processes, of which only one is awake at a time.

llama.cpp's threads spin while they wait for each other, so two busy servers on one machine slow each other many times
over. Whoever is not being measured is stopped by a signal and keeps its memory.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_READY_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Setup:
    """How to start a server. `command` holds `{port}` where the port goes."""

    name: str
    command: tuple[str, ...]
    health: str = "/health"
    directory: Path | None = None
    environment: tuple[tuple[str, str], ...] = ()


class Process:
    """A running server."""

    def __init__(self, setup: Setup) -> None:
        """Start it and wait until it answers. Raises: RuntimeError, with the end of its log."""
        self.setup = setup
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [part.replace("{port}", str(self.port)) for part in setup.command],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=setup.directory,
            env={**os.environ, **dict(setup.environment)},
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    @property
    def peak_memory(self) -> int:
        """The most bytes it has had resident so far (VmHWM of proc(5))."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

    @property
    def processor_seconds(self) -> float:
        """Processor time it has used so far, of all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)
        self._log.close()

    def log(self) -> str:
        """The last lines it wrote."""
        self._log.seek(0)
        return "".join(self._log.readlines()[-15:])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.setup.name} ended at once:\n{self.log()}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + self.setup.health, timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{self.setup.name} did not come up in {_READY_SECONDS} s:\n{self.log()}")


class Stage:
    """Keeps the servers that have been asked for, all but one of them paused."""

    def __init__(self) -> None:
        self._processes: dict[Setup, Process] = {}

    @contextmanager
    def only(self, setup: Setup) -> Iterator[Process]:
        """A server awake alone; started on its first call."""
        process = self._processes.get(setup)
        if process is None:
            process = self._processes[setup] = Process(setup)
        process.resume()
        try:
            yield process
        finally:
            process.pause()

    def dismiss(self, setup: Setup) -> None:
        """End a server; asking for it again starts a fresh one."""
        process = self._processes.pop(setup, None)
        if process is not None:
            process.end()

    def close(self) -> None:
        for setup in list(self._processes):
            self.dismiss(setup)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

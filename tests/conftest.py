"""A real server, in a process of its own, on a real port, with the model that ships."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "trammel-tiny.gguf"

settings.register_profile("default", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("explore", max_examples=5_000, deadline=None, print_blob=True)
settings.load_profile("default")
if "explore" not in sys.argv and hasattr(providers, "_get_local_constants"):
    # It also draws constants it finds in loaded modules; which those are depends on the tests that ran before.
    setattr(providers, "_get_local_constants", lambda nothing=providers._local_constants: nothing)  # noqa: B010

QUIET = ("--log-level", "warning", "--threads", "1")
"""One thread: llama.cpp's threads spin while they wait for each other, which is very slow beside other work."""


class ServerProcess:
    """`trammel serve` with the given flags."""

    def __init__(self, *flags: str, launcher: Sequence[str] = ("-c", "from server.cli import main; main()")) -> None:
        """`launcher`: what Python is to run in the place of the console command."""
        self.port = free_port()
        command = [sys.executable, *launcher, "serve", "--port", str(self.port), *flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self.url = f"http{'s' if '--tls-certificate' in flags else ''}://127.0.0.1:{self.port}"

    def wait_until_ready(self, verify: ssl.SSLContext | bool = True) -> None:
        """`verify`: whose certificates are believed."""
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.process.stderr and self.process.stderr.read()}")
            try:
                if httpx.get(f"{self.url}/healthz", verify=verify).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError("the server did not come up in 30 seconds")

    def stop(self) -> str:
        """Stop it and return its log."""
        self.process.terminate()
        _, log = self.process.communicate(timeout=20)
        return log


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(*flags: str) -> Iterator[ServerProcess]:
    server = ServerProcess(*QUIET, *flags)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """One server for all tests that only talk to it."""
    with running_server() as server:
        yield server.url


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers of a test's own, and stops them."""
    started: list[ServerProcess] = []

    def start(*flags: str) -> ServerProcess:
        server = ServerProcess(*QUIET, *flags)
        started.append(server)
        server.wait_until_ready()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own, as the user postgres if we are root, on a socket in its folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("there is no PostgreSQL (Debian: apt install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="trammel-pg-"))
    as_user: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user["user"] = "postgres"
    initdb = [found[-1] / "initdb", "-D", folder / "data", "-U", "postgres", "--auth", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, **as_user)
    server = subprocess.Popen([found[-1] / "postgres", "-D", folder / "data", "-k", folder, "-h", ""], **as_user)
    try:
        for _ in range(100):
            if (folder / ".s.PGSQL.5432").exists():
                break
            time.sleep(0.1)
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(folder)

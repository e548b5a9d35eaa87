"""Which sandbox this machine has: the first that really runs something, or none, and then nothing is run."""

import asyncio
from typing import Protocol

from server.tools.sandbox.bounds import Job, Outcome
from server.tools.sandbox.bubblewrap import Bubblewrap
from server.tools.sandbox.docker import Docker
from server.tools.sandbox.landlock import Landlock


class NoSandboxError(Exception):
    """Nothing here can confine a command. Says what to install."""


class Sandbox(Protocol):
    """Runs a job where it can read but the system's files, write but its scratch folder, and speak to nobody."""

    @property
    def name(self) -> str: ...

    async def run(self, job: Job) -> Outcome:
        """Raises: OSError, if it can't be started."""
        ...


async def find_sandbox(name: str = "auto", image: str | None = None) -> Sandbox:
    """`name`: bubblewrap, landlock or docker; auto tries them in this order, docker only with an `image`.

    Raises: NoSandboxError.
    """
    candidates: list[Sandbox] = [Bubblewrap()] if Bubblewrap.is_here() else []
    candidates += [Landlock()] if Landlock.is_here() else []
    candidates += [Docker(image)] if image is not None and Docker.is_here() else []
    for sandbox in candidates:
        if name in ("auto", sandbox.name) and await _works(sandbox):
            return sandbox
    wanted = "no sandbox works here" if name == "auto" else f"the sandbox {name} does not work here"
    raise NoSandboxError(
        f"{wanted}: commands are not run without one. Install bubblewrap (and allow user namespaces), use a kernel "
        "with Landlock 6 (Linux 6.12), or name a Docker image."
    )


async def _works(sandbox: Sandbox) -> bool:
    try:
        outcome = await asyncio.wait_for(sandbox.run(Job(("true",))), 20)
    except (OSError, TimeoutError):
        return False
    return outcome.ended == "exit" and outcome.exit_code == 0

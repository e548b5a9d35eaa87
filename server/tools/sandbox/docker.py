"""Docker, or Podman under its name: each job in a container without network."""

import asyncio
import secrets
import shutil
import signal
from asyncio.subprocess import DEVNULL

from server.tools.sandbox.bounds import Job, Outcome
from server.tools.sandbox.process import PROGRAMS, run_bounded


class Docker:
    """Runs each job in a container of an image that is on the machine already; nothing is pulled."""

    name = "docker"

    def __init__(self, image: str) -> None:
        self.image = image

    @staticmethod
    def is_here() -> bool:
        return shutil.which("docker") is not None

    async def run(self, job: Job) -> Outcome:
        """Raises: OSError."""
        name = f"trammel-{secrets.token_hex(12)}"
        try:
            return await run_bounded(self.launch(job, name), job, ending=signal.SIGTERM)
        finally:
            await _remove(name)

    def launch(self, job: Job, name: str) -> list[str]:
        """The whole command line."""
        bounds = job.bounds
        readable = [part for path in job.readable for part in ("--volume", f"{path}:{path}:ro")]
        variables = [part for name, value in job.environment.items() for part in ("--env", f"{name}={value}")]
        scratch = f"/scratch:size={bounds.disk},mode=0777,nosuid,nodev"
        return [
            *(
                "docker",
                "run",
                "--name",
                name,
                "--rm",
                "--interactive",
                "--init",
                "--pull",
                "never",
                "--network",
                "none",
                "--read-only",
            ),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65534:65534"),
            *("--memory", str(bounds.memory), "--memory-swap", str(bounds.memory)),
            *("--pids-limit", str(bounds.processes), "--ulimit", f"fsize={bounds.disk}", "--ulimit", "core=0"),
            *("--ulimit", f"cpu={int(bounds.seconds) + 1}"),  # holds if the server is gone
            *("--tmpfs", scratch, "--workdir", "/scratch", *readable, *variables, self.image, *job.command),
        ]


async def _remove(name: str) -> None:
    """The client's end is not its container's: a job may ignore SIGTERM, and run on when the client is killed."""
    process = await asyncio.create_subprocess_exec(
        "docker", "rm", "--force", name, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env={"PATH": PROGRAMS}
    )
    await process.wait()

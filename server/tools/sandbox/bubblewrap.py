"""Bubblewrap: namespaces of the kernel, without network, users or processes of the host (bwrap(1)).

A server that runs as root first becomes a user that nobody else is: the kernel doesn't limit the number of root's
processes (fork(2), EAGAIN), and a user namespace of root's still maps to root.
"""

import os
import secrets
import shutil
import signal
from pathlib import Path

from server.tools.sandbox.bounds import Job, Outcome
from server.tools.sandbox.process import PROGRAMS, run_bounded

_SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/alternatives")
_OPEN_FILES = 256


class Bubblewrap:
    """Runs each job in namespaces of its own; its scratch folder is memory."""

    name = "bubblewrap"

    @staticmethod
    def is_here() -> bool:
        return all(shutil.which(program, path=PROGRAMS) for program in ("bwrap", "prlimit", "setpriv"))

    async def run(self, job: Job) -> Outcome:
        """Raises: OSError."""
        return await run_bounded(self.launch(job), job, ending=signal.SIGKILL)

    def launch(self, job: Job) -> list[str]:
        """The whole command line."""
        bounds = job.bounds
        system = [part for path in _SYSTEM for part in ("--ro-bind-try", path, path)]
        readable = [part for path in job.readable for part in ("--ro-bind", str(path), str(path))]
        variables = [part for name, value in job.environment.items() for part in ("--setenv", name, value)]
        return [
            *_unprivileged(),
            *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            *("--ro-bind", "/usr", "/usr", *system, *readable),
            *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
            *("--size", str(bounds.disk), "--tmpfs", "/scratch", "--chdir", "/scratch", "--remount-ro", "/"),
            *("--hostname", "sandbox", "--clearenv"),
            *("--setenv", "PATH", PROGRAMS, "--setenv", "HOME", "/scratch", *variables, "--"),
            *("prlimit", f"--nproc={bounds.processes}", f"--as={bounds.memory}", f"--fsize={bounds.disk}"),
            *(f"--cpu={_whole(bounds.seconds)}", f"--nofile={_OPEN_FILES}", "--core=0", "--", *job.command),
        ]


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = str(fresh_user())
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--"]


def fresh_user() -> int:
    """An id of a user that nobody else is."""
    return 2**30 + secrets.randbelow(2**29)


def _whole(seconds: float) -> int:
    """Processor seconds of one process: the time is bounded from outside, this holds if the server is gone."""
    return int(seconds) + 1


def paths_of(job: Job) -> tuple[Path, ...]:
    """What a job may read on a Linux system as installed."""
    return (Path("/usr"), *(Path(path) for path in _SYSTEM if Path(path).exists()), *job.readable)

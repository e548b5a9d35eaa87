"""Landlock: the kernel takes away the files, the network and the signals of a process and all its children.

The work is done by `confine.py`, a program of its own. Landlock says nothing about UDP, shared memory or the modes of
files, so a seccomp filter refuses the system calls for them.
Source: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from server.tools.sandbox import confine
from server.tools.sandbox.bounds import Job, Outcome
from server.tools.sandbox.bubblewrap import fresh_user, paths_of
from server.tools.sandbox.process import PROGRAMS, run_bounded

_SIGNALS_SCOPED = 6
"""The first version of Landlock that keeps a process from sending signals to others."""


class Landlock:
    """Runs each job as a process without rights; its scratch folder is on disk."""

    name = "landlock"

    @staticmethod
    def is_here() -> bool:
        version = ctypes.CDLL(None).syscall(confine.CREATE_RULESET, None, 0, 1) if sys.platform == "linux" else -1
        return version >= _SIGNALS_SCOPED and platform.machine() in confine.REFUSED_CALLS

    async def run(self, job: Job) -> Outcome:
        """Raises: OSError."""
        user = fresh_user() if os.geteuid() == 0 else None
        scratch = Path(tempfile.mkdtemp(prefix="trammel-sandbox-"))
        try:
            if user is not None:
                os.chown(scratch, user, user)
            return await run_bounded(self.launch(job, scratch, user), job, ending=signal.SIGTERM, scratch=scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @staticmethod
    def launch(job: Job, scratch: Path, user: int | None) -> list[str]:
        """The whole command line."""
        bounds = job.bounds
        plan = {
            "command": job.command,
            "scratch": str(scratch),
            "readable": [str(path) for path in paths_of(job)],
            "user": user,
            "environment": {"PATH": PROGRAMS, "HOME": str(scratch), **job.environment},
            "processes": bounds.processes,
            "memory": bounds.memory,
            "disk": bounds.disk,
            "seconds": int(bounds.seconds) + 1,
        }
        return [sys.executable, "-I", "-S", str(Path(confine.__file__)), json.dumps(plan)]

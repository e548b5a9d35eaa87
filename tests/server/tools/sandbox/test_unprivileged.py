"""Landlock on a server that isn't root: its jobs are of its own user, so the kernel would let them do more to it."""

import os
import subprocess
import sys
import textwrap

import pytest

from server.tools.sandbox.landlock import Landlock

pytestmark = pytest.mark.skipif(not Landlock.is_here(), reason="no Landlock here: jobs of its own user are NOT tried")
_ATTACK = """
    import os, resource, sys
    other = int(sys.argv[1])
    for change in (
        lambda: resource.prlimit(other, resource.RLIMIT_CPU, (1, 1)),
        lambda: os.setpriority(os.PRIO_PROCESS, other, 19),
        lambda: os.sched_setaffinity(other, {0}),
        lambda: os.sched_setscheduler(other, os.SCHED_IDLE, os.sched_param(0)),
    ):
        try:
            change()
        except PermissionError:
            print("refused")
    resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
_SERVER = """
    import asyncio, concurrent.futures.thread, os, resource, sys
    from server.tools.sandbox import Job
    from server.tools.sandbox.landlock import Landlock

    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    sys.executable = "/usr/bin/python3"  # root's own may be where nobody else can read
    job = Job(("/usr/bin/python3", "-I", "-", str(os.getpid())), sys.argv[1].encode())
    outcome = asyncio.run(Landlock().run(job))
    print(outcome.stdout.decode() + outcome.stderr.decode(), end="")
    print(resource.getrlimit(resource.RLIMIT_CPU) == (-1, -1), os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_a_job_changes_its_own_limits_and_nobody_elses() -> None:
    command = [sys.executable, "-c", textwrap.dedent(_SERVER), textwrap.dedent(_ATTACK)]
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "can't open file" in done.stdout:
        pytest.skip("nobody else can read this checkout: jobs of the server's own user are NOT tried")
    assert done.stdout.splitlines() == [*["refused"] * 4, "(9, 9)", f"True {priority}"], done.stderr

"""A program that takes its rights away and becomes a command; it imports nothing of ours.

It stays behind as the command's parent, outside the confinement, and ends all that the command has started when the
command ends, when it is told to (SIGTERM), or when the server is gone. Exit code: the command's, or 128 + its signal.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_READ_FILE = 1 << 0 | 1 << 2
_WRITE = (1 << 16) - 1 - (1 << 6 | 1 << 11 | 1 << 15)  # everything but devices and their ioctl
_ALL = (1 << 16) - 1
_NET = 0b11  # bind and connect, TCP
_SCOPED = 0b11  # abstract sockets, signals
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")

REFUSED_CALLS = {
    # socket io_uring_setup ptrace process_vm_readv process_vm_writev unshare setns mount bpf perf_event_open
    # userfaultfd keyctl add_key shmget msgget semget mq_open; chmod chown xattr utime in all their forms;
    # of all processes of the user: setpriority ioprio_set sched_setaffinity sched_setscheduler sched_setparam
    # sched_setattr
    "x86_64": (
        *(41, 425, 101, 310, 311, 272, 308, 165, 321, 298, 323, 250, 248, 29, 68, 64, 240),
        *(90, 91, 268, 452, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199, 132, 235, 261, 280),
        *(141, 251, 203, 144, 142, 314),
    ),
    "aarch64": (
        *(198, 425, 117, 270, 271, 97, 268, 40, 280, 241, 282, 219, 217, 194, 186, 190, 180),
        *(52, 53, 452, 54, 55, 5, 6, 7, 14, 15, 16, 88),
        *(140, 30, 122, 119, 118, 274),
    ),
}
_LIMITS_CALL = {"x86_64": 302, "aarch64": 261}
"""prlimit64: of the process itself, 0, it is let through; another's limits would be a way to end the server."""
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FIRST_ARGUMENT = 16
"""Where its lower half is in `struct seccomp_data`; a process id has no more."""
_PDEATHSIG, _SUBREAPER, _NO_NEW_PRIVS, _SECCOMP = 1, 36, 38, 22

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Take the plan from the command line, and carry it out."""
    plan = json.loads(sys.argv[1])
    server = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    _prctl(_PDEATHSIG, signal.SIGTERM)
    _prctl(_SUBREAPER, 1)
    if os.getppid() != server:
        sys.exit(1)
    child = os.fork()
    if child == 0:
        _become(plan)
    status = _wait_for(child)
    _end_children()
    sys.exit(status)


def _become(plan: dict[str, Any]) -> None:
    """In the child: never returns."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.chdir(plan["scratch"])
        _drop(plan["user"])
        _bound(plan)
        _prctl(_PDEATHSIG, signal.SIGKILL)
        _prctl(_NO_NEW_PRIVS, 1)
        _restrict_files(plan["readable"], plan["scratch"])
        _refuse_calls()
        os.execvpe(plan["command"][0], plan["command"], plan["environment"])  # noqa: S606 - no shell is meant
    except OSError as error:
        os.write(2, f"sandbox: {error}\n".encode())
    finally:
        os._exit(126)


def _drop(user: int | None) -> None:
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _bound(plan: dict[str, Any]) -> None:
    others = 0 if plan["user"] is not None else _tasks_of(os.getuid())
    for kind, value in (
        (resource.RLIMIT_NPROC, others + plan["processes"]),
        (resource.RLIMIT_AS, plan["memory"]),
        (resource.RLIMIT_FSIZE, plan["disk"]),
        (resource.RLIMIT_CPU, plan["seconds"]),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _tasks_of(user: int) -> int:
    """Threads that a user has already: the kernel counts them against the limit."""
    count = 0
    for place in Path("/proc").iterdir():
        with suppress(OSError):
            if place.name.isdigit() and place.stat().st_uid == user:
                count += len(list((place / "task").iterdir()))
    return count


def _restrict_files(readable: list[str], scratch: str) -> None:
    """Landlock: nothing but these paths, no TCP, no signals to others."""
    ruleset = _syscall(CREATE_RULESET, ctypes.create_string_buffer(struct.pack("QQQ", _ALL, _NET, _SCOPED), 24), 24, 0)
    for path in readable:
        _allow(ruleset, path, _READ if Path(path).is_dir() else _READ_FILE)
    for path in _DEVICES:
        _allow(ruleset, path, 1 << 1 | 1 << 2)
    _allow(ruleset, scratch, _WRITE)
    _syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _syscall(ADD_RULE, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12), 0)
    finally:
        os.close(place)


def _refuse_calls() -> None:
    """Seccomp: these system calls answer EPERM, another architecture's end the process (seccomp(2), bpf(4))."""
    machine = platform.machine()
    calls = REFUSED_CALLS[machine]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    kill, refuse, allow = 0x80000000, 0x00050001, 0x7FFF0000
    program = [  # a jump counts from the next line: over the rest of the calls and all up to `allow`
        (load, 0, 0, 4),
        (equal, 1, 0, _ARCHITECTURES[machine]),
        (give, 0, 0, kill),
        (load, 0, 0, 0),
        (at_least, len(calls) + 4, 0, 0x40000000),  # x32's numbers
        *((equal, len(calls) + 3 - index, 0, number) for index, number in enumerate(calls)),
        (equal, 0, 2, _LIMITS_CALL[machine]),
        (load, 0, 0, _FIRST_ARGUMENT),
        (equal, 0, 1, 0),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    _prctl(_SECCOMP, 2, ctypes.cast(header, ctypes.c_void_p))


def _wait_for(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    _end_children()
    os._exit(128 + number)


def _end_children() -> None:
    """Stop them all before killing them, so that none escapes by forking; then bury them."""
    while True:
        children = _children()
        if not children:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.002)


def _children() -> list[int]:
    """All below this process."""
    found, waiting = [], [os.getpid()]
    while waiting:
        with suppress(OSError):
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                below = [int(child) for child in (task / "children").read_text().split()]
                found += below
                waiting += below
    return found


def _prctl(*arguments: Any) -> None:
    if _libc.prctl(*arguments, *(0 for _ in range(5 - len(arguments)))) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {arguments[0]} failed")


def _syscall(*arguments: Any) -> int:
    result = int(_libc.syscall(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {arguments[0]} failed")
    return result


if __name__ == "__main__":
    main()

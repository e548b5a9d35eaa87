"""Ways out of a sandbox, tried on every kind that this machine has."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from server.tools.sandbox import Bounds, Job, Outcome, Sandbox
from server.tools.sandbox.bubblewrap import Bubblewrap
from server.tools.sandbox.landlock import Landlock
from server.tools.sandbox.process import _Room

QUICK = Bounds(seconds=5, memory=256 * 1024 * 1024, processes=16, disk=4 * 1024 * 1024, output=64 * 1024)


@pytest.fixture(params=[Bubblewrap, Landlock], ids=["bubblewrap", "landlock"], scope="module")
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    made: Sandbox = request.param()
    if not request.param.is_here() or asyncio.run(made.run(Job(("true",)))).exit_code != 0:
        pytest.skip(f"{made.name} does not work on this machine: its escapes are NOT tried")
    return made


async def python(sandbox: Sandbox, code: str, bounds: Bounds = QUICK) -> Outcome:
    return await sandbox.run(Job(("/usr/bin/python3", "-I", "-"), textwrap.dedent(code).encode(), bounds))


def is_running(mark: str) -> bool:
    """Whether any process has the mark on its command line."""
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and mark.encode() in (place / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


async def test_a_command_answers(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(Job(("sh", "-c", "cat; pwd; echo made > file; cat file; exit 3"), b"given\n", QUICK))
    assert outcome.ended == "exit"
    assert outcome.exit_code == 3
    assert outcome.stdout.startswith(b"given\n/")
    assert outcome.stdout.endswith(b"made\n")


async def test_files_of_the_host_can_not_be_read(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAMMEL_SECRET", "hunter3")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    code = """
        import os
        for path in (%r, "/etc/passwd", "/root", "/home", "/proc/1/environ", "/proc/%d/environ", "/etc/shadow"):
            try:
                print("read", path, os.listdir(path) if os.path.isdir(path) else open(path).read())
            except OSError:
                pass
    """
    outcome = await python(sandbox, code % (str(secret), os.getpid()))
    assert b"hunter2" not in outcome.stdout
    assert b"hunter3" not in outcome.stdout
    assert b"root:" not in outcome.stdout


async def test_a_readable_file_can_be_read_and_not_changed(sandbox: Sandbox, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("words")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    job = Job(("sh", "-c", f"cat {given}; echo more >> {given}; chmod 777 {given}"), bounds=QUICK, readable=(given,))
    outcome = await sandbox.run(job)
    assert outcome.stdout == b"words"
    assert given.read_text() == "words"
    assert given.stat().st_mode & 0o777 != 0o777


async def test_a_symbolic_link_does_not_lead_out(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    outcome = await sandbox.run(Job(("sh", "-c", f"ln -s {secret} link; cat link; echo x > link"), bounds=QUICK))
    assert b"hunter2" not in outcome.stdout
    assert secret.read_text() == "hunter2"


async def test_nothing_is_written_outside_the_scratch_folder(sandbox: Sandbox) -> None:
    code = """
        import os
        for folder in "/ /usr /usr/lib /tmp /var/tmp /dev /dev/shm /etc /run /proc/sys/kernel".split():
            try:
                open(os.path.join(folder, "trammel-escape"), "w").close()
                print("wrote", folder)
            except OSError:
                pass
    """
    outcome = await python(sandbox, code)
    assert outcome.stdout == b""
    assert outcome.exit_code == 0


async def test_there_is_no_network(sandbox: Sandbox) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mailbox,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        mailbox.bind(server.getsockname())
        name = f"trammel-{os.getpid()}-{server.getsockname()[1]}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        code = f"""
            import socket
            def attempt(what, *kind):
                try:
                    made = socket.socket(*kind)
                    what(made)
                except OSError:
                    pass
            port = {server.getsockname()[1]}
            attempt(lambda made: made.connect(("127.0.0.1", port)), socket.AF_INET, socket.SOCK_STREAM)
            attempt(lambda made: made.sendto(b"x", ("127.0.0.1", port)), socket.AF_INET, socket.SOCK_DGRAM)
            attempt(lambda made: made.connect("\\0{name}"), socket.AF_UNIX, socket.SOCK_STREAM)
            attempt(lambda made: made.connect("/run/dbus/system_bus_socket"), socket.AF_UNIX, socket.SOCK_STREAM)
        """
        outcome = await python(sandbox, code)
        for listener in (server, mailbox, abstract):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.recv(1) if listener is mailbox else listener.accept()
    assert outcome.exit_code == 0


async def test_the_environment_is_not_the_servers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAMMEL_SECRET", "hunter2")
    outcome = await sandbox.run(Job(("env",), bounds=QUICK, environment={"GIVEN": "yes"}))
    assert b"hunter2" not in outcome.stdout
    assert b"GIVEN=yes" in outcome.stdout


async def test_a_fork_bomb_is_ended_with_all_it_made(sandbox: Sandbox) -> None:
    code = """
        import os, sys
        sys.argv[0] = "bomb"
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """
    outcome = await python(sandbox, code, Bounds(seconds=1.0, processes=16))
    assert outcome.ended in ("time", "processes")
    again = await sandbox.run(Job(("echo", "alive"), bounds=QUICK))
    assert again.stdout == b"alive\n"


async def test_memory_is_bounded_for_one_process_and_for_all(sandbox: Sandbox) -> None:
    one = await python(sandbox, "x = bytearray(1 << 30)")
    assert one.exit_code != 0
    code = """
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                kept = b"x" * (100 << 20)
                time.sleep(20)
        time.sleep(20)
    """
    many = await python(sandbox, code)
    assert many.ended == "memory"


async def test_the_scratch_folder_is_bounded_and_gone_afterwards(sandbox: Sandbox) -> None:
    code = """
        import os, time
        print(os.getcwd(), flush=True)
        for number in range(200):
            try:
                with open(str(number), "wb") as file:
                    file.write(b"x" * (1 << 20))
            except OSError:
                break
        time.sleep(0.5)
        print(sum(os.stat(name).st_size for name in os.listdir(".")), flush=True)
    """
    outcome = await python(sandbox, code)
    lines = outcome.stdout.decode().split()
    assert outcome.ended == "disk" or int(lines[1]) <= QUICK.disk
    assert not (Path(lines[0]) / "0").exists()


async def test_output_is_bounded(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(Job(("yes",), bounds=QUICK))
    assert outcome.ended == "output"
    assert len(outcome.stdout) <= QUICK.output


async def test_time_is_bounded_and_daemons_end_too(sandbox: Sandbox) -> None:
    mark = f"86{os.getpid()}{time.monotonic_ns() % 10**6}"
    bounds = Bounds(seconds=0.5)
    outcome = await sandbox.run(Job(("sh", "-c", f"setsid sleep {mark} & setsid sleep {mark}1; true"), bounds=bounds))
    assert outcome.ended == "time"
    assert not is_running(mark)


async def test_what_a_command_leaves_behind_ends_with_it(sandbox: Sandbox) -> None:
    mark = f"87{os.getpid()}{time.monotonic_ns() % 10**6}"
    left = f"(setsid sleep {mark} >/dev/null 2>&1 &) ; echo done"
    outcome = await sandbox.run(Job(("sh", "-c", left), bounds=QUICK))
    assert outcome.stdout == b"done\n"
    for _ in range(100):  # the kernel clears a namespace a moment after its first process
        if not is_running(mark):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it runs on")


async def test_other_processes_can_not_be_killed(sandbox: Sandbox) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        code = f"""
            import os, signal
            for pid in ({os.getpid()}, {bystander.pid}, os.getppid(), -1):
                try:
                    os.kill(pid, signal.SIGKILL if pid != {os.getpid()} else signal.SIGUSR1)
                except OSError:
                    pass
        """
        taken: list[int] = []
        previous = signal.signal(signal.SIGUSR1, lambda number, frame: taken.append(number))
        await python(sandbox, code)
        signal.signal(signal.SIGUSR1, previous)
        assert bystander.poll() is None
        assert taken == []
    finally:
        bystander.kill()
        bystander.wait()


async def test_other_processes_can_not_be_traced_and_no_memory_is_left_to_others(sandbox: Sandbox) -> None:
    code = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.ptrace(16, {os.getpid()}, None, None))
        libc.shmget(0x7a11, 4096, 0o1666)
    """
    outcome = await python(sandbox, code)
    assert outcome.stdout == b"-1\n"
    assert "00007a11" not in subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout


async def test_a_job_ends_with_a_server_that_is_killed(sandbox: Sandbox) -> None:
    mark = f"88{os.getpid()}{time.monotonic_ns() % 10**6}"
    program = f"""
        import asyncio
        from server.tools.sandbox import Job, Bounds
        from server.tools.sandbox.{sandbox.name} import {type(sandbox).__name__}
        asyncio.run({type(sandbox).__name__}().run(Job(("sh", "-c", "setsid sleep {mark} & sleep {mark}1"))))
    """
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=Path(__file__).parents[4])
    await _until(lambda: is_running(f"{mark}1"))
    server.kill()
    server.wait()
    await _until(lambda: not is_running(mark))


async def _until(holds: object) -> None:
    for _ in range(200):
        if holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to pass within 10 s")


async def test_the_last_words_of_a_job_that_ends_count_too(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the bound may be read only when the job is over."""
    read = _Room.read

    async def read_late(room: _Room, stream: asyncio.StreamReader | None) -> bytes:
        await asyncio.sleep(0.5)
        return await read(room, stream)

    monkeypatch.setattr(_Room, "read", read_late)
    outcome = await sandbox.run(Job(("echo", "[1, 2, 3]"), bounds=Bounds(output=4)))
    assert (outcome.ended, outcome.stdout) == ("output", b"[1, ")

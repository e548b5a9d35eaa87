"""A job's processes from outside: how many there are and what they take, as /proc tells (proc(5))."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from server.tools.sandbox.bounds import Bounds, Ended

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRIES = 10_000
"""Files in a scratch folder, at most."""


def broken_bound(root: int, bounds: Bounds, scratch: Path | None) -> Ended | None:
    """The bound that the processes below `root` have passed, if any."""
    threads = resident = 0
    for pid in descendants(root):
        with suppress(OSError, ValueError):
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
            resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    if resident > bounds.memory:
        return "memory"
    if threads > bounds.processes + 4:  # the sandbox's own
        return "processes"
    if scratch is not None and _is_over(scratch, bounds.disk):
        return "disk"
    return None


def descendants(root: int) -> Iterator[int]:
    """Ids of the processes below a process, as far as they stand still."""
    waiting = [root]
    while waiting:
        with suppress(OSError):
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                found = [int(child) for child in (task / "children").read_text().split()]
                yield from found
                waiting += found


def _is_over(folder: Path, limit: int) -> bool:
    taken = entries = 0
    for place, _, names in os.walk(folder):
        for name in names:
            entries += 1
            with suppress(OSError):
                taken += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - hot, and no link followed
            if taken > limit or entries > _ENTRIES:
                return True
    return False

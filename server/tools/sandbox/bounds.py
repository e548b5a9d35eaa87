"""What is run in a sandbox, how much it may take, and what came of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Ended = Literal["exit", "time", "output", "memory", "processes", "disk"]
"""Why it ended: by itself, or by the bound it reached."""

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a job may take, all its processes together."""

    seconds: float = 10.0
    memory: int = 512 * MIB
    """Bytes: of address space for one process, resident for all of them."""
    processes: int = 32
    """Processes and threads."""
    disk: int = 64 * MIB
    """Bytes in the scratch folder, which is gone afterwards."""
    output: int = 1 * MIB
    """Bytes of output and error output together."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command, without a shell. It starts in an empty scratch folder, with a cleared environment and no network."""

    command: tuple[str, ...]
    stdin: bytes = b""
    bounds: Bounds = Bounds()
    readable: tuple[Path, ...] = ()
    """Files and folders that it may read beside the system's programs and libraries."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job left."""

    ended: Ended
    exit_code: int
    """Negative: the signal that ended it."""
    stdout: bytes
    stderr: bytes

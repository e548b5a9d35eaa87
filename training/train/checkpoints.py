"""Checkpoints that are whole: a folder counts once it is marked, so a kill while it is written costs nothing."""

import shutil
from pathlib import Path

_MARK = ".complete"


def mark_complete(checkpoint: Path) -> None:
    (checkpoint / _MARK).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The latest whole one."""
    return max((path for path in folder.glob("checkpoint-*") if (path / _MARK).exists()), key=step_of, default=None)


def remove_broken(folder: Path) -> None:
    """What a kill left half written."""
    for path in folder.glob("checkpoint-*"):
        if not (path / _MARK).exists():
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])

"""Checkpoints that are whole: a folder counts once it is marked, so a kill while it is written costs nothing."""

import shutil
from pathlib import Path

_MARK = ".complete"


def mark_complete(checkpoint: Path) -> None:
    (checkpoint / _MARK).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The latest whole one; broken ones are removed."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if (path / _MARK).exists():
            whole.append(path)
        else:
            shutil.rmtree(path)
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])

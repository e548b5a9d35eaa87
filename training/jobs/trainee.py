"""The training process as its worker sees it: started, read line by line, told to stop, killed."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from training.jobs.messages import Message, read_message

_LAST_WORDS = 600
"""Characters of its log that are told when it breaks down."""


class Trainee:
    """One run of `training.jobs.child`. Thread-safe."""

    def __init__(self, recipe: Path, home: Path, log: Path, patience: float) -> None:
        """`log`: what it and its libraries write besides messages. `patience`: seconds it goes on without a word."""
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "training.jobs.child", str(recipe), str(home), str(patience)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )

    def messages(self) -> Iterator[Message]:
        """As they come, until it ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the half line of one that was killed
                yield read_message(line)

    def go_on(self) -> None:
        """The job is still ours."""
        self._say("on\n")

    def stop(self) -> None:
        """After the step under way, with a checkpoint."""
        self._say("stop\n")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self._process.stdin.write(word)
            self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Wait for its end, which is near."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def last_words(self) -> str:
        """How it ended, and the end of its log."""
        code = self._process.returncode
        how = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip()[-_LAST_WORDS:].splitlines()
        return f"The training process ended {how}" + (f"; its last words: {lines[-1]}" if lines and code > 0 else "")

"""Every answer ever given in a run, on disk as it comes: a run broken off goes on where it was, and asks nothing twice.

Answers are keyed by what was asked of whom. Errors are not kept, so that resuming tries them again. A last line that
was cut short by the break is dropped.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Self

from evals.case import Json
from evals.endpoint import Answer, Endpoint


class JournalError(Exception):
    """The file is no journal; the text says where."""


class Journal:
    """An append-only file of answers."""

    def __init__(self, path: Path) -> None:
        """Raises: JournalError, OSError."""
        self._path = path
        self._answers: dict[str, Answer] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._load()
        self._file = path.open("a", encoding="utf-8")

    def __len__(self) -> int:
        return len(self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, endpoint: Endpoint, body: Json) -> Answer | None:
        """What this endpoint has answered to exactly this request."""
        return self._answers.get(_key(endpoint, body))

    def keep(self, endpoint: Endpoint, body: Json, answer: Answer) -> None:
        """On disk when this returns, unless it is an error."""
        if answer.error:
            return
        key = _key(endpoint, body)
        self._answers[key] = answer
        self._file.write(json.dumps({"key": key, **dataclasses.asdict(answer)}, ensure_ascii=False) + "\n")
        self._file.flush()

    def _load(self) -> None:
        """Reads what is whole, and cuts the file there."""
        whole = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    fields = json.loads(line)
                    key = fields.pop("key")
                    self._answers[key] = Answer(**fields)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise JournalError(f"{self._path}, line {number} is no answer: {error}") from error
                whole += len(line)
        with self._path.open("r+b") as file:
            file.truncate(whole)


def _key(endpoint: Endpoint, body: Json) -> str:
    text = json.dumps([endpoint.name, endpoint.url, body], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

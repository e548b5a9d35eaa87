"""The run's log: a JSON object a line, steps and evaluations. What follows the checkpoint resumed from is taken out."""

import json
from pathlib import Path
from typing import Any

LOG = "log.jsonl"


class RunLog:
    """Appended to line by line; whoever kills the run loses nothing."""

    def __init__(self, output: Path) -> None:
        self.path = output / LOG

    def write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def trim(self, step: int) -> None:
        """Forget what came after a step: it will be done again."""
        kept = [record for record in self.read() if record["step"] <= step]
        written = self.path.with_suffix(".new")
        written.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        written.replace(self.path)

    def read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [record for line in lines if (record := _read(line)) is not None]


def _read(line: str) -> dict[str, Any] | None:
    """None for a line that a kill cut off."""
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return record

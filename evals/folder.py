"""The folder of a run: answers as they come, results, and the reports.

answers.jsonl   every answer, keyed by its question; what a resumed run goes on from
results.jsonl   one record a line: a case at an endpoint, with its scores
summary.json    the figures
report.md       the figures as tables
report.html     the same with plots, in one file
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from evals.journal import Journal
from evals.record import Record
from evals.report.content import Section, sections
from evals.report.markdown import markdown
from evals.report.page import page
from evals.summary import Price


class FolderError(Exception):
    """A folder holds no run; the text says which and why."""


class RunFolder:
    """A run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def journal(self, *, fresh: bool = False) -> Journal:
        """The answers so far; none where `fresh`. Raises: JournalError, OSError."""
        path = self.path / "answers.jsonl"
        if fresh:
            path.unlink(missing_ok=True)
        return Journal(path)

    def write(
        self, records: Sequence[Record], settings: Sequence[tuple[str, str]], prices: dict[str, Price] | None = None
    ) -> list[Section]:
        """Results and reports, replacing earlier ones. Returns what the reports say."""
        found = sections(records, prices)
        lines = [json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n" for record in records]
        (self.path / "results.jsonl").write_text("".join(lines), encoding="utf-8")
        figures = {
            "settings": dict(settings),
            "suites": {
                section.suite: {
                    "columns": [dataclasses.asdict(summary) for summary in section.summaries],
                    "differences": [
                        dataclasses.asdict(difference)
                        for comparison in section.comparisons
                        for difference in comparison.differences
                    ],
                }
                for section in found
            },
        }
        (self.path / "summary.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")
        heading = f"Tool use: {', '.join(section.suite for section in found)}"
        (self.path / "report.md").write_text(markdown(found, heading), encoding="utf-8")
        (self.path / "report.html").write_text(page(found, heading, settings), encoding="utf-8")
        return found

    def records(self) -> list[Record]:
        """What was written. Raises: FolderError."""
        path = self.path / "results.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            records = [Record.read(json.loads(line)) for line in lines]
        except OSError as error:
            raise FolderError(f"{self.path} holds no finished run: {path.name} can't be read") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(f"{path} is no result of a run: {error}") from error
        if not records:
            raise FolderError(f"{path} is empty")
        return records

"""A run as people watch it: the audit as a table with an example in colour, a bar with the time left, the outcome."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from training.train.audit import MaskAudit
from training.train.events import Audited, Evaluated, Event, Exported, Outcome, Said, Saved, Stepped
from training.train.recipe import TrainingRecipe

_EXAMPLE = 1500
"""Characters of the example shown."""
_LINES = 5
"""Line numbers named."""


class Screen:
    """Takes the events of a run."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self._console,
        )  # fmt: skip
        self._task = self._bar.add_task("train", total=None, loss="", visible=False)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Said(text):
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            case Audited():
                self._show_audit(event)
            case Stepped():
                self._bar.start()
                self._bar.update(
                    self._task, total=event.steps, completed=event.step, visible=True, loss=f"loss {event.loss:.3f}"
                )
            case Evaluated():
                shown = "  ".join(f"{name} {value:.3f}" for name, value in event.metrics.items())
                self._console.print(f"step {event.step}: {shown}{'  (best)' if event.is_best else ''}", highlight=False)
            case Saved() | Exported():
                pass

    def end(self, outcome: Outcome, recipe: TrainingRecipe, base: Path | None) -> None:
        """What to do with it now. `base`: None for the model that is served if none is named."""
        self._bar.stop()
        if not outcome.is_finished:
            self._console.print(f"stopped at step {outcome.step}; the same command goes on from there")
        elif outcome.gguf is not None:
            for line in _serving(outcome.gguf, recipe, base):
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show_audit(self, event: Audited) -> None:
        audit = event.audit
        table = Table("category", "rows", "tokens", "learnt", "share", title="What is learnt")
        for category, rows in audit.rows.most_common():
            tokens, learnt = audit.tokens[category], audit.supervised[category]
            table.add_row(category, f"{rows:,}", f"{tokens:,}", f"{learnt:,}", f"{learnt / tokens:.1%}")
        for number in range(1, len(table.columns)):
            table.columns[number].justify = "right"
        self._console.print(table)
        for line in audit_lines(audit):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        text, room = Text("\n"), _EXAMPLE
        for part, is_learnt in reversed(event.example):
            shown = part if len(part) <= room else "…" + part[len(part) - room :]
            text = Text(shown, "bold green" if is_learnt else "dim") + text
            room -= len(shown)
            if room <= 0:
                break
        self._console.print(text)


def _serving(made: Path, recipe: TrainingRecipe, base: Path | None) -> Iterator[str]:
    """The commands that serve what was made."""
    if recipe.adapter is None:
        yield f"trammel serve --model {made}"
        return
    if base is not None and base.is_dir():
        yield f"trammel export {base} base.gguf"
        base = Path("base.gguf")
    yield f"trammel serve{f' --model {base}' if base else ''} --adapter {made.stem}={made}"


def audit_lines(audit: MaskAudit) -> list[str]:
    """What is noteworthy about what will be learnt."""
    tokens, answers = (sum(lost) for lost in zip(*audit.cut.values(), strict=True)) if audit.cut else (0, 0)
    lines = [f"{audit.answers} answers; the end of {audit.answers - audit.endless} is learnt too"]
    if audit.cut:
        lines.append(
            f"{len(audit.cut)} rows are cut, and lose {tokens} tokens and {answers} answers{_named(audit.cut)}"
        )
    if audit.unlearnt:
        lines.append(f"of {len(audit.unlearnt)} lines nothing is learnt{_named(audit.unlearnt)}")
    for line, reason in list(audit.unreadable.items())[:_LINES]:
        lines.append(f"line {line} is left out: {reason}")
    return lines


def _named(lines: "dict[int, tuple[int, int]] | list[int]") -> str:
    shown = ", ".join(str(line) for line in list(lines)[:_LINES])
    return f" (lines {shown}{', …' if len(lines) > _LINES else ''})"

"""A report as tables in the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evals.comparison import Comparison
from evals.report.content import Row, Section, answer_text, difference_text


def print_sections(sections: Iterable[Section], console: Console) -> None:
    """The figures and groups of every suite, and what differs beyond chance."""
    for section in sections:
        _print_table(section.suite, section.columns, section.figures, console)
        if section.groups:
            _print_table(f"{section.suite}, by group", section.columns, section.groups, console)
        for comparison in section.comparisons:
            _print_comparison(comparison, console)


def print_changes(comparison: Comparison, limit: int, console: Console) -> None:
    """Case by case what was answered, at most `limit` better ones and as many worse."""
    for verdict in ("better", "worse"):
        for change in [change for change in comparison.changes if change.verdict == verdict][:limit]:
            _print(console, f"\n{verdict}: {change.metric}, {change.first.suite} {change.first.case}", "bold")
            _print(console, f"  asked   {change.first.asked}")
            _print(console, f"  first   {answer_text(change.first)}")
            _print(console, f"  second  {answer_text(change.second)}")
            if change.first.gold:
                _print(console, f"  right   {change.first.gold}")


def _print_comparison(comparison: Comparison, console: Console) -> None:
    _print(
        console,
        f"{comparison.second} against {comparison.first}, {comparison.cases} cases: "
        f"{comparison.count('better')} better, {comparison.count('worse')} worse",
    )
    for d in comparison.differences:
        if d.verdict:
            _print(console, f"  {d.verdict:6} {d.metric} {difference_text(d)} (p = {d.p:.4f})")


def _print(console: Console, text: str, style: str | None = None) -> None:
    """Text as it is: models write square brackets that are no markup."""
    console.print(text, style=style, markup=False, highlight=False)


def _print_table(title: str, columns: Iterable[str], rows: Iterable[Row], console: Console) -> None:
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    table.add_column("")
    for column in columns:
        table.add_column(escape(column), justify="right")
    for row in rows:
        table.add_row(escape(row.title), *map(escape, row.cells))
    console.print(table)

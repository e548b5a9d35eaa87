"""A report as Markdown."""

from collections.abc import Iterable, Sequence

from evals.comparison import Comparison
from evals.report.content import Row, Section, difference_text


def markdown(sections: Iterable[Section], heading: str) -> str:
    """Tables for figures, groups and tools, and the columns against the first."""
    lines = [f"# {heading}", "", "Shares in percent, with the 95 % interval over the cases."]
    for section in sections:
        lines += ["", f"## {_plain(section.suite)}", "", *_table(section.columns, section.figures)]
        if section.groups:
            lines += ["", "### By group", "", *_table(section.columns, section.groups)]
        if section.tools:
            lines += ["", "### Arguments given rightly, where called", "", *_table(section.columns, section.tools)]
        for comparison in section.comparisons:
            lines += ["", *_comparison(comparison)]
    return "\n".join(lines) + "\n"


def _comparison(comparison: Comparison) -> list[str]:
    head = f"### {_plain(comparison.second)} against {_plain(comparison.first)}"
    told = (
        f"{comparison.cases} cases, {comparison.count('better')} better and {comparison.count('worse')} worse. "
        "p: paired sign-flip test, Holm's correction."
    )
    rows = [
        Row(d.metric, (difference_text(d), f"{d.p:.4f}", d.verdict))
        for d in comparison.differences
        if d.change or d.verdict
    ]
    table = ["", *_table(("change", "p", "verdict"), rows)] if rows else []
    return [head, "", told, *table]


def _table(columns: Sequence[str], rows: Iterable[Row]) -> list[str]:
    lines = [_line(["", *columns]), "|" + "---|" * (len(columns) + 1)]
    return lines + [_line([row.title, *row.cells]) for row in rows]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text that a Markdown table can't mistake for its own marks."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("_", "\\_")

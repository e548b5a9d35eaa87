"""What a report says: per suite every column's figures, by group, by tool, and each column against the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from evals.comparison import DECIDING, Comparison, compare
from evals.figures import Share
from evals.record import Record
from evals.summary import METRICS, PLAIN, Difference, Price, Summary, group_by, summarise, tool_shares


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: one cell a column, in the columns' order."""

    title: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One suite."""

    suite: str
    columns: tuple[str, ...]
    summaries: tuple[Summary, ...]
    figures: tuple[Row, ...]
    groups: tuple[Row, ...]
    """The first deciding metric that each group has."""
    tools: tuple[Row, ...]
    """Arguments given rightly, where the endpoint called at all."""
    comparisons: tuple[Comparison, ...]
    """Every later column against the first."""


def sections(records: Sequence[Record], prices: dict[str, Price] | None = None) -> list[Section]:
    """In the order in which the suites come first."""
    return [_section(suite, group, prices) for suite, group in group_by(records, lambda r: r.suite).items()]


def share_text(share: Share | None) -> str:
    """In percent, with the 95 % interval."""
    if share is None:
        return "–"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def figure_text(metric: str, share: Share | None) -> str:
    """A share, or a plain number where the metric is none."""
    if share is None or metric not in PLAIN:
        return share_text(share)
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"


def difference_text(difference: Difference) -> str:
    """In percentage points, or in the metric's own unit where it is no share."""
    if difference.metric in PLAIN:
        return f"{difference.change:+.3f}"
    return f"{100 * difference.change:+.1f} points"


def answer_text(record: Record) -> str:
    """What was answered, in one text: calls as name(arguments)."""
    texts = []
    for message in record.answers:
        calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
        texts += [f"{call.get('name')}({call.get('arguments')})" for call in calls]
        texts += [str(message["content"])] if message.get("content") else []
    return "\n".join(texts) or record.error or "(nothing)"


def _section(suite: str, records: Sequence[Record], prices: dict[str, Price] | None) -> Section:
    summaries = summarise(records, prices)
    columns = group_by(records, lambda record: record.column)
    first, *others = columns.values()
    return Section(
        suite=suite,
        columns=tuple(columns),
        summaries=tuple(summaries),
        figures=tuple(_figures(summaries)),
        groups=tuple(_groups(records, tuple(columns))),
        tools=tuple(_tools(columns)),
        comparisons=tuple(compare(first, other) for other in others),
    )


def _figures(summaries: Sequence[Summary]) -> list[Row]:
    rows = [
        Row(metric, tuple(figure_text(metric, summary.shares.get(metric)) for summary in summaries))
        for metric in METRICS
        if any(metric in summary.shares for summary in summaries)
    ]
    return [
        *rows,
        Row("cases", tuple(f"{s.cases:,}" for s in summaries)),
        Row("without an answer", tuple(f"{s.errors:,}" for s in summaries)),
        Row("calls", tuple(f"{s.calls:,}" for s in summaries)),
        Row("latency p50 / p95, s", tuple(f"{s.latency_p50:.2f} / {s.latency_p95:.2f}" for s in summaries)),
        Row("tokens in / out", tuple(f"{s.prompt_tokens:,} / {s.completion_tokens:,}" for s in summaries)),
        Row("cost per 1,000 calls", tuple(f"{s.cost_per_1000_calls:.2f}" for s in summaries)),
    ]


def _groups(records: Sequence[Record], columns: tuple[str, ...]) -> list[Row]:
    """Every level of the groups' names; nothing where there is but one."""
    groups: dict[str, list[Record]] = {}
    for group, members in group_by(records, lambda record: record.group).items():
        for level in accumulate(group.split("/"), "{}/{}".format):
            groups.setdefault(level, []).extend(members)
    if len(groups) < 2:
        return []
    rows = []
    for group, members in groups.items():
        summaries = {summary.column: summary for summary in summarise(members)}
        metric = next((m for m in DECIDING if any(m in summary.shares for summary in summaries.values())), None)
        if metric:
            cells = [share_text(summaries[name].shares.get(metric)) if name in summaries else "–" for name in columns]
            rows.append(Row(f"{group}: {metric}", tuple(cells)))
    return rows


def _tools(columns: dict[str, list[Record]]) -> list[Row]:
    shares = [tool_shares(records) for records in columns.values()]
    tools = sorted({tool for column in shares for tool in column})
    return [Row(tool, tuple(share_text(column.get(tool)) for column in shares)) for tool in tools]

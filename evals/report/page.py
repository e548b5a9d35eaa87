"""A report as one HTML page that needs nothing beside it: tables, and plots as SVG drawn from the same figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader

from evals.report.content import Section, answer_text, difference_text
from evals.summary import METRICS, PLAIN

_COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#4b5563", "#0891b2", "#b91c1c")
_LEFT, _WIDTH, _LANE, _GAP = 190, 520, 12, 10
"""Pixels: room for names, width from 0 to 100 %, height of a column's dot, space between metrics."""
_SHOWN = 30
"""Changes shown of a comparison."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A column's share of one metric, with its interval as a line."""

    x: float
    low: float
    high: float
    y: float
    colour: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A metric in a plot."""

    name: str
    y: float
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Shares of all metrics side by side, or latencies."""

    title: str
    height: float
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    left: float = _LEFT
    right: float = _LEFT + _WIDTH


def page(sections: Sequence[Section], heading: str, settings: Sequence[tuple[str, str]]) -> str:
    """The whole page."""
    environment = Environment(loader=PackageLoader("evals.report", "."), autoescape=True, trim_blocks=True)
    environment.filters["change"] = difference_text
    environment.globals.update(colour=colour, answer_text=answer_text, shown=_SHOWN)
    return environment.get_template("page.html.jinja").render(
        heading=heading,
        settings=settings,
        sections=[(section, share_plot(section), latency_plot(section)) for section in sections],
    )


def colour(index: int) -> str:
    """Of the column at this place."""
    return _COLOURS[index % len(_COLOURS)]


def share_plot(section: Section) -> Plot:
    """A dot and its 95 % interval for every metric and column."""
    lanes: list[Lane] = []
    top = float(_GAP)
    for metric in (name for name in METRICS if name not in PLAIN):
        shares = [summary.shares.get(metric) for summary in section.summaries]
        if not any(shares):
            continue
        dots = tuple(
            Dot(
                x=_LEFT + _WIDTH * share.value,
                low=_LEFT + _WIDTH * share.low,
                high=_LEFT + _WIDTH * share.high,
                y=top + _LANE * (place + 0.5),
                colour=colour(place),
                title=f"{section.columns[place]}: {100 * share.value:.1f} %",
            )
            for place, share in enumerate(shares)
            if share
        )
        lanes.append(Lane(metric, top + _LANE * len(shares) / 2, dots))
        top += _LANE * len(shares) + _GAP
    ticks = tuple((_LEFT + _WIDTH * step / 4, f"{25 * step} %") for step in range(5))
    return Plot("Shares", top, tuple(lanes), ticks)


def latency_plot(section: Section) -> Plot:
    """From the median to the 95th percentile of every column."""
    longest = max((summary.latency_p95 for summary in section.summaries), default=0) or 1.0
    lanes = []
    for place, summary in enumerate(section.summaries):
        median = _LEFT + _WIDTH * summary.latency_p50 / longest
        dot = Dot(
            x=median,
            low=median,
            high=_LEFT + _WIDTH * summary.latency_p95 / longest,
            y=_GAP + (place + 0.5) * 2 * _LANE,
            colour=colour(place),
            title=f"{summary.column}: {summary.latency_p50:.2f} s, p95 {summary.latency_p95:.2f} s",
        )
        lanes.append(Lane(summary.column, dot.y, (dot,)))
    ticks = tuple((_LEFT + _WIDTH * step / 4, f"{longest * step / 4:.2g} s") for step in range(5))
    return Plot("Latency of a request, p50 to p95", 2 * _GAP + 2 * _LANE * len(lanes), tuple(lanes), ticks)

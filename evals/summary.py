"""Records to figures: one column an endpoint (with or without grammar), one row a metric."""

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, TypeAdapter

from evals.figures import Share, holm, paired_p, percentile, share_of
from evals.judging import Score
from evals.provenance import SOURCES
from evals.record import Record

METRICS: tuple[str, ...] = (
    "pass", "AST match", "schema conformance", "conformance where finished", "short answer",
    "exact match", "fuzzy match", "functional match", "as many calls",
    "tool names", "arguments", "arguments to the letter",
    "choice", "called when due", "talked when due", "asked when missing", "asked needlessly",
    "bits per byte", "syntax errors", "invented names", "invented keys", "repeated calls", "cut off",
    *(f"values from {source}" for source in SOURCES),
)  # fmt: skip
LOWER_IS_BETTER = frozenset(
    ("bits per byte", "syntax errors", "invented names", "invented keys", "asked needlessly", "repeated calls",
     "cut off", "values from invented")
)  # fmt: skip
PLAIN = frozenset(("bits per byte",))
"""Numbers rather than shares of a whole."""
NEITHER_IS_BETTER = frozenset(f"values from {source}" for source in SOURCES if source != "invented")


class Price(BaseModel):
    """Of a hosted model, in any currency, for a million tokens. Local models cost nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: NonNegativeFloat = 0.0
    completion: NonNegativeFloat = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one column."""

    column: str
    cases: int
    errors: int
    """Cases that the endpoint gave no answer to."""
    calls: int
    shares: dict[str, Share]
    latency_p50: float
    latency_p95: float
    """Seconds a request."""
    prompt_tokens: int
    completion_tokens: int
    cost_per_1000_calls: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric at two columns, over the cases that speak of it at both."""

    metric: str
    first: str
    second: str
    cases: int
    change: float
    """Mean over the cases of second less first."""
    p: float
    """Of a change this large by chance, in a paired test, corrected for the number of metrics looked at (Holm)."""

    @property
    def verdict(self) -> str:
        """better, worse, or nothing where chance may be it."""
        if self.p >= 0.05 or self.metric in NEITHER_IS_BETTER:
            return ""
        return "better" if (self.change > 0) != (self.metric in LOWER_IS_BETTER) else "worse"


def read_prices(path: Path) -> dict[str, Price]:
    """A TOML file: a table for each endpoint with `prompt` and `completion`. Raises: ValueError, OSError."""
    return TypeAdapter(dict[str, Price]).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))


def summarise(records: Iterable[Record], prices: dict[str, Price] | None = None) -> list[Summary]:
    """In the order in which the columns come first."""
    return [_summary(name, group, prices or {}) for name, group in group_by(records, lambda r: r.column).items()]


def group_by(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    """Groups in the order in which they come first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def tool_shares(records: Iterable[Record]) -> dict[str, Share]:
    """Argument accuracy by tool and by each of its arguments, where the endpoint called at all."""
    scored: dict[str, list[tuple[Record, Score]]] = {}
    for record in records:
        for name, score in record.tools.items():
            scored.setdefault(name, []).append((record, score))
    return {name: share_of(list(_by_conversation(entries).values())) for name, entries in sorted(scored.items())}


def differences(first: Sequence[Record], second: Sequence[Record]) -> list[Difference]:
    """One column against another, metric by metric."""
    found = [(metric, pairs) for metric in METRICS if (pairs := _pairs(first, second, metric))]
    corrected = holm([paired_p([_share(a) for a, _ in pairs], [_share(b) for _, b in pairs]) for _, pairs in found])
    return [
        Difference(
            metric, first[0].column, second[0].column, len(pairs),
            _share(_sum(theirs for _, theirs in pairs)) - _share(_sum(ours for ours, _ in pairs)), p,
        )
        for (metric, pairs), p in zip(found, corrected, strict=True)
    ]  # fmt: skip


def _pairs(first: Sequence[Record], second: Sequence[Record], metric: str) -> list[tuple[Score, Score]]:
    """The metric's sums of each conversation at both."""
    ours, theirs = _by_conversation(_scored(first, metric)), _by_conversation(_scored(second, metric))
    return [(score, theirs[key]) for key, score in ours.items() if key in theirs]


def _share(score: Score) -> float:
    return score[0] / score[1]


def _sum(scores: Iterable[Score]) -> Score:
    parts, wholes = zip(*scores, strict=True)
    return sum(parts), sum(wholes)


def _scored(records: Iterable[Record], metric: str) -> list[tuple[Record, Score]]:
    return [(record, record.scores[metric]) for record in records if metric in record.scores]


def _by_conversation(scored: Iterable[tuple[Record, Score]]) -> dict[tuple[str, str], Score]:
    """The sums of each conversation over its turns and all seeds, where there are any: a case asked twice, or a later
    turn of the same conversation, is no evidence of its own."""
    sums: dict[tuple[str, str], Score] = {}
    for record, (part, whole) in scored:
        if whole:
            key = record.suite, record.conversation or record.case
            before = sums.get(key, (0.0, 0.0))
            sums[key] = (before[0] + part, before[1] + whole)
    return sums


def _summary(name: str, records: list[Record], prices: dict[str, Price]) -> Summary:
    price = prices.get(records[0].endpoint, Price())
    prompt = sum(record.prompt_tokens for record in records)
    completion = sum(record.completion_tokens for record in records)
    calls = sum(record.calls for record in records)
    latencies = [latency for record in records for latency in record.latencies]
    shares = {}
    for metric in METRICS:
        share = share_of(list(_by_conversation(_scored(records, metric)).values()))
        if share.count:
            shares[metric] = share
    cost = (prompt * price.prompt + completion * price.completion) / 1e6
    return Summary(
        column=name,
        cases=len(records),
        errors=sum(bool(record.error) for record in records),
        calls=calls,
        shares=shares,
        latency_p50=percentile(latencies, 0.5),
        latency_p95=percentile(latencies, 0.95),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_per_1000_calls=1000 * cost / calls if calls else 0.0,
    )

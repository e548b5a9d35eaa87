"""What the study found, as two tables and a picture."""

import json
import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.case_study.steps import SHARES, Study

_MATCHES = ("exact match", "fuzzy match", "functional match", "tool names", "arguments", "choice")


def read_summaries(evaluation: Path) -> dict[str, dict[str, Any]]:
    """By endpoint."""
    figures = json.loads((evaluation / "summary.json").read_text())
    (suite,) = figures["suites"].values()
    return {summary["column"]: summary for summary in suite["columns"]}


def perplexities(study: Study, share: int) -> tuple[float, float]:
    """Of general chat that was held back, before and after."""
    log = (json.loads(line) for line in (study.run_folder(share) / "log.jsonl").read_text().splitlines())
    losses = [record["metrics"]["chat_loss"] for record in log if "metrics" in record]
    return math.exp(losses[0]), math.exp(losses[-1])


def tables(study: Study, evaluation: Path) -> str:
    """Markdown."""
    summaries = read_summaries(evaluation)
    names = ["base", *(f"chat-{share}" for share in SHARES)]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for metric in _MATCHES:
        cells = (_share(summaries[name], metric) for name in names)
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    for key, label in (("latency_p50", "latency, median"), ("latency_p95", "latency, 95 %")):
        lines.append(f"| {label} | {' | '.join(f'{summaries[name][key]:.2f} s' for name in names)} |")
    lines += ["", "| general chat in training | exact match | perplexity of chat before | after |", "|---|---|---|---|"]
    for share in SHARES:
        before, after = perplexities(study, share)
        exact = _share(summaries[f"chat-{share}"], "exact match")
        lines.append(f"| {share} % | {exact} | {before:.1f} | {after:.1f} |")
    return "\n".join(lines) + "\n"


def draw(study: Study, evaluation: Path, path: Path) -> None:
    """Matches of each model, and the chat's perplexity."""
    summaries = read_summaries(evaluation)
    names = ["base", *(f"chat-{share}" for share in SHARES)]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    bars, forgetting = figure.subplots(1, 2, width_ratios=(2, 1))
    for number, metric in enumerate(_MATCHES[:3]):
        values = [100 * _value(summaries[name], metric) for name in names]
        bars.bar([place + 0.27 * (number - 1) for place in range(len(names))], values, 0.25, label=metric)
    bars.set(xticks=range(len(names)), xticklabels=names, ylabel="% of cases with gold calls", ylim=(0, 105))
    bars.legend()
    measured = [perplexities(study, share) for share in SHARES]
    forgetting.plot(SHARES, [after for _, after in measured], marker="o", label="after")
    forgetting.axhline(measured[0][0], color="grey", linestyle="--", label="before")
    forgetting.set(xlabel="% general chat in training", ylabel="perplexity of chat", xticks=SHARES)
    forgetting.legend()
    figure.savefig(path, dpi=110)


def _value(summary: dict[str, Any], metric: str) -> float:
    return float(summary["shares"][metric]["value"]) if metric in summary["shares"] else 0.0


def _share(summary: dict[str, Any], metric: str) -> str:
    if metric not in summary["shares"]:
        return "–"
    share = summary["shares"][metric]
    return f"{100 * share['value']:.1f} % of {share['count']}"

"""The run's curves as pictures: loss.png and metrics.png beside the adapter, from the log."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.train.log import RunLog

_SHARES = ("accuracy", "choice", "name", "arguments", "exact")


def draw_run(output: Path) -> list[Path]:
    """The pictures drawn: of losses, and of shares where there are any."""
    records = RunLog(output).read()
    steps = [record for record in records if "loss" in record]
    evaluations = [record for record in records if "metrics" in record]
    losses = {"training": [(record["step"], record["loss"]) for record in steps]}
    for name, label in (("loss", "validation"), ("chat_loss", "validation: chat")):
        losses[label] = _curve(evaluations, name)
    drawn = [_draw(output / "loss.png", losses, "nats a token")]
    shares = {name: _curve(evaluations, name) for name in _SHARES}
    if any(shares.values()):
        drawn.append(_draw(output / "metrics.png", shares, "share of answers"))
    return drawn


def _curve(evaluations: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(record["step"], record["metrics"][name]) for record in evaluations if name in record["metrics"]]


def _draw(path: Path, curves: Mapping[str, Sequence[tuple[int, float]]], unit: str) -> Path:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        if points:
            axes.plot(*zip(*points, strict=True), label=name, marker="o" if len(points) < 30 else "")
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    return path

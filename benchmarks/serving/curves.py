"""Throughput and latency over the number of streams, for us and llama-server, as JSON and as a picture."""

import statistics
from pathlib import Path

from benchmarks.serving.rows import Bench, formed, free, median_latency, throughput

STREAMS = (1, 4, 8, 16)
Curves = dict[str, dict[str, list[float]]]


def measure_curves(bench: Bench, rounds: int = 2) -> Curves:
    """Server and figure to its values for each of STREAMS; the latency is that of a constrained answer."""
    model = bench.peers.random_model
    setups = {"trammel": bench.us(model), "llama-server": bench.llama_server(model)}
    curves: Curves = {name: {"free tok/s": [], "constrained tok/s": [], "latency s": []} for name in setups}
    for streams in STREAMS:
        runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in setups}
        for _ in range(rounds):
            bench.round += 1
            for name, setup in setups.items():
                plain = throughput(bench.run(setup, free(bench, streams)))
                answers = bench.run(setup, formed(bench, streams))
                runs[name].append((plain, throughput(answers), median_latency(answers)))
        for name, found in runs.items():
            for figure, values in zip(curves[name].values(), zip(*found, strict=True), strict=True):
                figure.append(statistics.median(values))
    return curves


def draw(curves: Curves, path: Path) -> None:
    """Three plots beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    names = list(next(iter(curves.values())))
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        for server, found in curves.items():
            axes.plot(STREAMS, found[name], marker="o", label=server)
        axes.set(title=name, xlabel="streams", xticks=STREAMS, ylim=(0, None))
        axes.legend()
    figure.savefig(path, dpi=110)

"""What runs did, as Prometheus reads it; docs/agent.md lists the names."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.agent.runs import Runs


class RunCollector(Collector):
    """The tally of all runs as metrics named trammel_tool_… and trammel_run_…"""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def collect(self) -> Iterator[Metric]:
        tally = self._runs.tally
        families: list[tuple[str, str, list[str], list[tuple[list[str], int]]]] = [
            (
                "trammel_tool_calls",
                "Calls of the server's tools that were executed.",
                ["tool", "version", "outcome"],
                [(list(key), count) for key, count in tally.calls.items()],
            ),
            (
                "trammel_tool_faults",
                "Calls that were refused or failed.",
                ["tool", "version", "kind"],
                [(list(key), count) for key, count in tally.faults.items()],
            ),
            (
                "trammel_tool_repeats",
                "Repeated calls that were not made.",
                ["tool"],
                [([key], count) for key, count in tally.repeats.items()],
            ),
            (
                "trammel_tool_retries",
                "Turns after a faulty call, and calls made again after a crash.",
                ["reason"],
                [([reason], tally.retries[reason]) for reason in ("fault", "crash")],
            ),
            (
                "trammel_approvals",
                "Approvals asked for, given, denied.",
                ["decision"],
                [([key], count) for key, count in tally.approvals.items()],
            ),
            (
                "trammel_runs",
                "Runs that ended, and by which cap.",
                ["status", "cap"],
                [(list(key), count) for key, count in tally.runs.items()],
            ),
        ]
        for name, meaning, labels, values in families:
            family = CounterMetricFamily(name, meaning, labels=labels)
            for key, count in values:
                family.add_metric(key, count)
            yield family
        waiting = self._runs.waiting_approvals
        yield GaugeMetricFamily("trammel_approvals_waiting", "Calls that wait for a person.", value=waiting)


def run_metrics_text(runs: Runs) -> bytes:
    """The page's part about runs."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(runs))
    return generate_latest(registry)

"""What went through the gateways, as Prometheus reads it; docs/tools.md lists the names."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.tools.gateway.tally import GatewayTally


class GatewayCollector(Collector):
    """The tally as metrics named trammel_gateway_…"""

    def __init__(self, tally: GatewayTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "trammel_gateway_requests", "Calls of APIs, and what came of them.", labels=["source", "outcome"]
        )
        for key, count in self._tally.requests.items():
            requests.add_metric(list(key), count)
        yield requests
        counters: dict[str, tuple[str, Mapping[str, float]]] = {
            "seconds": ("Time of calls, waiting included.", self._tally.seconds),
            "received_bytes": ("Bytes of answers, unpacked.", self._tally.received),
            "retries": ("Requests that were made again.", self._tally.retries),
        }
        for name, (meaning, values) in counters.items():
            family = CounterMetricFamily(f"trammel_gateway_{name}", meaning, labels=["source"])
            for source, value in values.items():
                family.add_metric([source], value)
            yield family
        is_open = len(self._tally.open_breakers)
        yield GaugeMetricFamily("trammel_gateway_breakers_open", "Sources that are left alone just now.", value=is_open)


def gateway_metrics_text(tally: GatewayTally) -> bytes:
    """The page's part about gateways."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GatewayCollector(tally))
    return generate_latest(registry)

"""`GET /metrics`: what the engine counts, in Prometheus' text form (https://prometheus.io/docs/instrumenting/).

Read from the engine's counters when somebody asks, so that it costs nothing otherwise and is never blocked by decoding.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.api.durations import Durations
from server.engine.engine import Engine
from server.engine.timings import Histogram, Timings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS = {
    "steps": "Calls of llama_decode.",
    "decoded_tokens": "Tokens that went through llama_decode, prompts included.",
    "sampled_tokens": "Tokens drawn from logits.",
    "forced_tokens": "Tokens the grammar left no choice about.",
    "taken_back": "Sampled tokens that gave way to another word, for what the grammar allowed behind them.",
    "cached_tokens": "Prompt tokens that needed no prefill.",
    "drafted_tokens": "Tokens that speculation proposed.",
    "accepted_tokens": "Proposed tokens that were right.",
    "parked": "Times a sequence gave its KV back because the cache was full, and waited again.",
    "rejected": "Requests refused because the queue was full.",
    "failed": "Generations that broke off.",
    "decode_seconds": "Time inside llama_decode.",
    "draft_seconds": "Time spent on guessing by a draft model.",
    "step_seconds": "Time of whole steps, llama_decode included.",
}
_GAUGES = {
    "running": "Sequences in the batch.",
    "waiting": "Requests in the queue.",
    "kv_cells_used": "Cells of the KV cache that hold a token; a shared one counts once for each sequence.",
    "kv_cells": "Cells of the KV cache.",
    "kv_shelved_bytes": "Memory outside of the KV cache that holds the KV of finished requests.",
    "is_alive": "1 while the engine thread runs.",
}

_HISTOGRAMS = {
    "queue_wait_seconds": ("queue", "From a request's arrival to its place in the batch."),
    "time_to_first_token_seconds": ("first_token", "From a request's arrival to its first sampled token."),
    "inter_token_seconds": (
        "between_tokens",
        "Between two steps that gave a generation tokens; a step may give several.",
    ),
}
"""Names to fields of Timings."""


class EngineCollector(Collector):
    """An engine's counters as metrics named trammel_…"""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"trammel_{name}", meaning, value=getattr(stats, name))
        for name, meaning in _GAUGES.items():
            yield GaugeMetricFamily(f"trammel_{name}", meaning, value=getattr(stats, name))


class TimingsCollector(Collector):
    """What the clients of each loaded model waited for, as histograms."""

    def __init__(self, timings: Mapping[str, Timings]) -> None:
        """`timings`: by the model's name."""
        self._timings = timings

    def collect(self) -> Iterator[Metric]:
        for name, (field, meaning) in _HISTOGRAMS.items():
            family = HistogramMetricFamily(f"trammel_{name}", meaning, labels=["model"])
            for model, timings in self._timings.items():
                histogram: Histogram = getattr(timings, field)
                counts = list(accumulate(histogram.counts))
                buckets = [*zip(map(str, histogram.bounds), counts, strict=False), ("+Inf", counts[-1])]
                family.add_metric([model], buckets, histogram.total)
            yield family


def metrics_text(engine: Engine, timings: Mapping[str, Timings], durations: Durations) -> bytes:
    """The page: the first engine's counters, every loaded model's timings, every endpoint's durations."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EngineCollector(engine))
    registry.register(TimingsCollector(timings))
    return generate_latest(registry) + generate_latest(durations.registry)

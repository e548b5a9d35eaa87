"""Fine-tuning jobs, as Prometheus reads them."""

from collections.abc import Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from server.store.jobs import Status


def job_metrics_text(counts: Mapping[str, int]) -> bytes:
    """The page's part about jobs. `counts`: by status; all statuses are told, so that none appears from nowhere."""
    registry = CollectorRegistry()
    gauge = Gauge("trammel_fine_tuning_jobs", "Fine-tuning jobs in the database.", ["status"], registry=registry)
    for status in get_args(Status):
        gauge.labels(status).set(counts.get(status, 0))
    return generate_latest(registry)

"""Spans and histograms of a run, as an SDK gets them."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.agent import tracing
from server.agent.caps import Caps
from tests.server.agent.script import defined, played, runs_of


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: trace.get_tracer("test", tracer_provider=provider))
    yield exporter
    provider.shutdown()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    tracing._histogram.cache_clear()
    monkeypatch.setattr(tracing, "_meter", lambda: provider.get_meter("test"))
    yield reader
    provider.shutdown()
    tracing._histogram.cache_clear()


def points(reader: InMemoryMetricReader) -> dict[str, list[HistogramDataPoint]]:
    """By the metric's name."""
    data = reader.get_metrics_data()
    assert data
    found = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
    return {metric.name: list(metric.data.data_points) for metric in found}  # type: ignore[arg-type]


def fail(_: object) -> Any:
    raise OSError("secret")


async def test_a_run_has_spans_for_its_turns_and_calls(spans: InMemorySpanExporter) -> None:
    runs, _ = runs_of([("get", {}), ("bad", {})], defined("get"), defined("bad", fail))
    run = await played(runs, request={"model": "tiny"})
    finished = {span.name: span for span in spans.get_finished_spans()}
    assert set(finished) == {"invoke_agent trammel", "chat tiny", "execute_tool get", "execute_tool bad"}
    agent, call, bad = (finished[name] for name in ("invoke_agent trammel", "execute_tool get", "execute_tool bad"))
    assert agent.attributes
    assert call.attributes
    assert bad.attributes
    assert agent.attributes["gen_ai.conversation.id"] == run.id
    assert call.parent
    assert call.parent.span_id == agent.context.span_id
    assert call.attributes["gen_ai.operation.name"] == "execute_tool"
    assert call.attributes["gen_ai.tool.name"] == "get"
    assert bad.attributes["error.type"] == "execution"
    assert "secret" not in str([span.to_json() for span in finished.values()])


async def test_turns_tokens_calls_and_stretches_are_measured(reader: InMemoryMetricReader) -> None:
    runs, _ = runs_of([("get", {}), ("bad", {})], defined("get"), defined("bad", fail))
    await played(runs, request={"model": "tiny"})
    found = points(reader)
    assert set(found) == {
        "gen_ai.invoke_agent.duration",
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.execute_tool.duration",
    }
    (turns,) = found["gen_ai.client.operation.duration"]
    chat = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "trammel", "gen_ai.request.model": "tiny"}
    assert (turns.count, dict(turns.attributes or {})) == (3, chat)
    assert turns.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    tokens = {dict(one.attributes or {})["gen_ai.token.type"]: one.sum for one in found["gen_ai.client.token.usage"]}
    assert tokens == {"input": 30, "output": 15}
    calls = {dict(one.attributes or {})["gen_ai.tool.name"]: one for one in found["gen_ai.execute_tool.duration"]}
    assert calls["get"].count == 1
    assert "error.type" not in (calls["get"].attributes or {})
    assert (calls["bad"].attributes or {})["error.type"] == "execution"
    (agent,) = found["gen_ai.invoke_agent.duration"]
    assert agent.count == 1


async def test_a_turn_that_takes_too_long_and_a_run_that_fails_say_so(
    reader: InMemoryMetricReader, spans: InMemorySpanExporter
) -> None:
    runs, _ = runs_of(fail)
    await played(runs, request={"model": "tiny"}, caps=Caps())
    found = points(reader)
    (turn,), (agent,) = found["gen_ai.client.operation.duration"], found["gen_ai.invoke_agent.duration"]
    assert (turn.attributes or {})["error.type"] == "OSError"
    assert (agent.attributes or {})["error.type"] == "run_failed"
    assert "secret" not in str([span.to_json() for span in spans.get_finished_spans()])


async def test_without_an_sdk_nothing_is_told_and_nothing_breaks() -> None:
    tracing._histogram.cache_clear()
    runs, _ = runs_of([("get", {})], defined("get"))
    assert (await played(runs)).status == "completed"

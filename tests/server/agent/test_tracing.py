"""Spans of a run, as an SDK gets them."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.agent import tracing
from tests.server.agent.script import defined, played, runs_of


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: trace.get_tracer("test", tracer_provider=provider))
    yield exporter
    provider.shutdown()


async def test_a_run_has_spans_for_its_turns_and_calls(spans: InMemorySpanExporter) -> None:
    def fail(_: object) -> None:
        raise OSError("secret")

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
    assert call.attributes["gen_ai.tool.name"] == "get"
    assert bad.attributes["error.type"] == "execution"
    assert "secret" not in str([span.to_json() for span in finished.values()])

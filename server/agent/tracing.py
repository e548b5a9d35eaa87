"""What a run does as OpenTelemetry tells it, by its GenAI conventions: spans `invoke_agent`, in it `chat` and
`execute_tool`, and the histograms of the same operations and of tokens.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/. Only the API is used: without an SDK (as set up by
`opentelemetry-instrument`) spans and numbers cost nothing and go nowhere. No words of users, models or tools are told.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, SpanKind, StatusCode

from server.agent.events import Ended, Returned, Spoke

_AGENT = "trammel"
_SECONDS = tuple(0.01 * 2**n for n in range(14))
_RUN_SECONDS = tuple(0.1 * 2**n for n in range(13))
_TOKENS = tuple(4**n for n in range(14))
"""Bounds of the buckets, as the conventions want them."""


@dataclass(slots=True)
class Operation:
    """One that is under way."""

    span: Span
    labels: dict[str, str]
    """Of its duration."""

    def fail(self, kind: str) -> None:
        """`kind`: one of few; never a message, which may be anybody's words."""
        self.labels["error.type"] = kind
        self.span.set_attribute("error.type", kind)
        self.span.set_status(StatusCode.ERROR)


@contextmanager
def agent_span(run: str, model: str) -> Iterator[Operation]:
    """A stretch of a run's work, from one wait to the next."""
    labels = {"gen_ai.agent.name": _AGENT, "gen_ai.request.model": model}
    attributes = {**labels, "gen_ai.conversation.id": run, "gen_ai.provider.name": _AGENT}
    with _operation(
        "invoke_agent", _AGENT, attributes, labels, _histogram("gen_ai.invoke_agent.duration")
    ) as operation:
        yield operation


@contextmanager
def chat_span(model: str) -> Iterator[Operation]:
    """One turn of the model."""
    labels = _chat_labels(model)
    with _operation("chat", model, labels, labels, _histogram("gen_ai.client.operation.duration")) as operation:
        yield operation


@contextmanager
def tool_span(tool: str, call: str) -> Iterator[Operation]:
    """One call of a tool, which the agent's side executes: by the conventions an extension."""
    labels = {"gen_ai.tool.name": tool, "gen_ai.tool.type": "extension", "gen_ai.agent.name": _AGENT}
    attributes = {**labels, "gen_ai.tool.call.id": call}
    with _operation("execute_tool", tool, attributes, labels, _histogram("gen_ai.execute_tool.duration")) as operation:
        yield operation


def describe_turn(operation: Operation, model: str, spoke: Spoke) -> None:
    reason = "length" if spoke.is_cut else "tool_calls" if spoke.calls else "stop"
    counts = {"input": spoke.prompt_tokens, "output": spoke.completion_tokens}
    operation.span.set_attribute("gen_ai.response.finish_reasons", [reason])
    operation.span.set_attribute("gen_ai.usage.cache_read.input_tokens", spoke.cached_tokens)
    for kind, count in counts.items():
        operation.span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
        _histogram("gen_ai.client.token.usage").record(count, {**_chat_labels(model), "gen_ai.token.type": kind})


def describe_result(operation: Operation, returned: Returned) -> None:
    if returned.fault is not None:
        operation.fail(returned.fault)


def describe_end(operation: Operation, ended: Ended | None) -> None:
    """A run that a cap ended has not failed."""
    if ended is not None and ended.status == "failed":
        operation.fail("run_failed")


@contextmanager
def _operation(
    name: str, whose: str, attributes: Mapping[str, str], labels: Mapping[str, str], durations: Histogram
) -> Iterator[Operation]:
    attributes = {**attributes, "gen_ai.operation.name": name}
    begin = time.monotonic()
    with _tracer().start_as_current_span(
        f"{name} {whose}",
        kind=SpanKind.INTERNAL,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        operation = Operation(span, dict(labels))
        try:
            yield operation
        except BaseException as error:
            operation.fail("timeout" if isinstance(error, TimeoutError) else type(error).__name__)
            raise
        finally:
            durations.record(time.monotonic() - begin, operation.labels)


def _chat_labels(model: str) -> dict[str, str]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _AGENT,
        "gen_ai.request.model": model,
    }


@cache
def _histogram(name: str) -> Histogram:
    """A proxy until an SDK is set up, however late."""
    if name == "gen_ai.client.token.usage":
        return _meter().create_histogram(
            name, "{token}", "Number of input and output tokens used.", explicit_bucket_boundaries_advisory=_TOKENS
        )
    bounds = _RUN_SECONDS if name == "gen_ai.invoke_agent.duration" else _SECONDS
    return _meter().create_histogram(name, "s", explicit_bucket_boundaries_advisory=bounds)


def _tracer() -> trace.Tracer:
    return trace.get_tracer(_AGENT)


def _meter() -> metrics.Meter:
    return metrics.get_meter(_AGENT)

"""OpenTelemetry spans of a run, by its GenAI conventions: `invoke_agent`, in it `chat` and `execute_tool`.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/. Only the API is used: without an SDK (as set up by
`opentelemetry-instrument`) spans cost nothing and go nowhere. No words of users, models or tools are recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from server.agent.events import Returned, Spoke


@contextmanager
def agent_span(run: str, model: str) -> Iterator[Span]:
    """A stretch of a run's work, from one wait to the next."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "trammel",
        "gen_ai.conversation.id": run,
        "gen_ai.request.model": model,
    }
    with _tracer().start_as_current_span("invoke_agent trammel", kind=SpanKind.INTERNAL, attributes=attributes) as span:
        yield span


@contextmanager
def chat_span(model: str) -> Iterator[Span]:
    """One turn of the model."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    with _tracer().start_as_current_span(f"chat {model}", kind=SpanKind.INTERNAL, attributes=attributes) as span:
        yield span


@contextmanager
def tool_span(tool: str, call: str) -> Iterator[Span]:
    """One call of a tool."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call,
    }
    with _tracer().start_as_current_span(f"execute_tool {tool}", kind=SpanKind.INTERNAL, attributes=attributes) as span:
        yield span


def describe_turn(span: Span, spoke: Spoke) -> None:
    span.set_attribute("gen_ai.usage.input_tokens", spoke.prompt_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", spoke.completion_tokens)
    reason = "length" if spoke.is_cut else "tool_calls" if spoke.calls else "stop"
    span.set_attribute("gen_ai.response.finish_reasons", [reason])


def describe_result(span: Span, returned: Returned) -> None:
    if returned.fault is not None:
        span.set_attribute("error.type", returned.fault)
        span.set_status(StatusCode.ERROR)


def _tracer() -> trace.Tracer:
    return trace.get_tracer("trammel")

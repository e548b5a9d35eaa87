"""Calls a tool: under a timeout, and with everything that can go wrong as an outcome instead of an exception."""

import asyncio
import json
import time
from typing import Any

from server.agent.events import Begun, Call, FaultKind, Returned
from server.agent.ledger import Outcome
from server.agent.tracing import describe_result, tool_span
from server.agent.wording import error_text, result_text, size_of, trim
from server.tools.definition import CallContext, ToolDefinition, ToolError, UncertainError

_DEPTH = 64
"""Levels of a result that are kept as data: events can't be written beyond 255."""


async def execute(tool: ToolDefinition, call: Call, begun: Begun, context: CallContext, seconds: float) -> Returned:
    """`seconds`: what is left to the run. Never raises but when it is cancelled."""
    with tool_span(tool.name, call.id) as operation:
        returned = await _execute(tool, call, begun, context, seconds)
        describe_result(operation, returned)
    return returned


async def _execute(tool: ToolDefinition, call: Call, begun: Begun, context: CallContext, seconds: float) -> Returned:
    start = time.monotonic()
    limit = min(tool.timeout, seconds)
    try:
        data = await asyncio.wait_for(tool.execute(json.loads(call.arguments), context), limit)
        return await asyncio.to_thread(_succeeded, tool, call, begun, start, data)
    except ToolError as error:
        return _failed(tool, call, start, "failed", "execution", str(error))
    except UncertainError as error:
        return _failed(tool, call, start, _uncertain(tool), "execution", str(error))
    except TimeoutError:
        return _failed(tool, call, start, _uncertain(tool), "timeout", f"No answer within {limit:g} s.")
    except Exception as error:  # the operator's code may raise anything
        return _failed(tool, call, start, _uncertain(tool), "execution", f"It failed: {type(error).__name__}.")


def _succeeded(tool: ToolDefinition, call: Call, begun: Begun, start: float, data: Any) -> Returned:
    """In a thread, because a result may be large. Raises: ValueError, TypeError, if the data are no JSON."""
    data = _as_json(data)
    text = result_text(begun.number, tool.name, data, tool.trust, limit=tool.result_limit)
    kept, _ = trim(data, tool.result_limit)
    return Returned(call.id, "ok", text, kept, None, time.monotonic() - start, size_of(data), time.time())


def interrupted(tool: ToolDefinition, call: Call) -> Returned:
    """A write that was under way when the process ended, and that can't be asked for its fate."""
    problem = "The server was stopped in the middle of this call. It may have been carried out; it is not repeated."
    return _failed(tool, call, time.monotonic(), "unknown", "execution", problem)


def _failed(
    tool: ToolDefinition, call: Call, start: float, outcome: Outcome, fault: FaultKind, problem: str
) -> Returned:
    if outcome == "unknown":
        problem += " Whether it was carried out is not known."
    text = error_text(tool.name, problem, may_retry=outcome == "failed")
    return Returned(call.id, outcome, text, problem, fault, time.monotonic() - start, len(problem), time.time())


def _uncertain(tool: ToolDefinition) -> Outcome:
    """A read that failed has done nothing."""
    return "failed" if tool.effect == "read" else "unknown"


def _as_json(data: Any) -> Any:
    """As it is stored: no lone surrogates, no objects, no NaN; what is nested too deeply to be walked, as a text."""
    try:
        text = json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
        read = json.loads(text, parse_constant=str)
    except RecursionError:
        return "[nested too deeply to be shown]"
    return text if _is_deeper(read, _DEPTH) else read


def _is_deeper(data: Any, depth: int) -> bool:
    """Level by level: a recursion would be what is to be prevented."""
    level = [data]
    for _ in range(depth):
        containers = (
            node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)
        )
        level = [inner for container in containers for inner in container if isinstance(inner, dict | list)]
        if not level:
            return False
    return True

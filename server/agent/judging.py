"""What becomes of a call the model made: run it, answer it from the ledger, hand it over, or say what is wrong.

The order is that of cost: syntax, schema, policy, ledger, and only then the tool's own check. Nothing here acts.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.agent.canonical import approval_hash, call_key
from server.agent.events import QUESTION_TOOL, Approval, Call, FaultKind, Judged
from server.agent.ledger import Entry
from server.agent.policy import Guards, approval_reasons, refusal
from server.agent.state import RunState
from server.agent.wording import error_text
from server.chat.messages import Tool
from server.chat.validation import find_faults
from server.tools.definition import ToolDefinition, ToolError

_CHECK_SECONDS = 10.0

QUESTION = Tool(
    QUESTION_TOOL,
    {
        "type": "object",
        "properties": {"question": {"type": "string", "maxLength": 500}},
        "required": ["question"],
        "additionalProperties": False,
    },
    "Ask the user for what is missing, such as a required argument that nobody has said.",
)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the calls of a run."""

    tools: Mapping[str, ToolDefinition]
    guards: Guards = field(default_factory=Guards)
    approval_seconds: float = 86_400.0
    """How long a person has."""

    async def judge(self, state: RunState, call: Call) -> Judged:
        """Never raises."""
        client_tool = next((tool for tool in state.started.client_tools if tool.name == call.name), None)
        if call.name == QUESTION_TOOL and state.started.asks:
            return await self._outside(call, QUESTION, "question")
        if client_tool is not None:
            return await self._outside(call, client_tool, "client")
        tool = self.tools.get(call.name)
        if tool is None or call.name not in state.shown:
            names = ", ".join([*state.shown, *(one.name for one in state.started.client_tools)])
            return _fault(call, "schema", f"There is no tool {call.name}. There are: {names or 'none'}.")
        if state.started.tools[call.name] != tool.version:
            return _fault(call, "denied", f"The tool {call.name} has changed since this run began. Do without it.")
        return await self._inside(state, call, tool)

    async def _outside(self, call: Call, tool: Tool, verdict: str) -> Judged:
        arguments, fault = await _read(call, tool.parameters)
        if fault is not None:
            return fault
        return Judged(call.id, "question" if verdict == "question" else "client", call_key(tool.name, arguments, {}))

    async def _inside(self, state: RunState, call: Call, tool: ToolDefinition) -> Judged:
        arguments, fault = await _read(call, tool.parameters)
        if fault is not None:
            return fault
        origins = await asyncio.to_thread(state.voices.trace, arguments, tool.parameters)
        if reason := refusal(tool, origins, state.started.restrictions, self.guards):
            return _fault(call, "denied", reason)
        key = call_key(tool.name, arguments, tool.parameters)
        if state.was_denied(key):
            return _fault(call, "denied", "A person has said no to this very call. Don't ask again.", key)
        if self.guards.dedup and (repeat := _repeat(state, call, tool, key)):
            return repeat
        if problem := await _check(tool, arguments):
            return _fault(call, "check", problem)
        try:
            approval = self._approval(state, tool, arguments)
        except ToolError as error:
            return _fault(call, "check", str(error))
        return Judged(call.id, "run", "" if tool.polls else key, origins=origins, approval=approval)

    def _approval(self, state: RunState, tool: ToolDefinition, arguments: dict[str, Any]) -> Approval | None:
        """Raises: ToolError, if there is nothing to approve: the call can't be made."""
        shown = [self.tools[name] for name in state.shown if name in self.tools]
        reasons = approval_reasons(tool, state.taint_of_turn, state.started.restrictions, self.guards, shown)
        if not reasons:
            return None
        bound = approval_hash(tool.name, tool.version, arguments, state.started.principal)
        request = tool.preview(arguments) if tool.preview else None
        return Approval(f"apr_{uuid.uuid4().hex}", bound, reasons, time.time() + self.approval_seconds, request)


async def _read(call: Call, schema: Mapping[str, Any]) -> tuple[dict[str, Any], Judged | None]:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError) as error:
        return {}, _fault(call, "syntax", f"The arguments are not JSON: {error}.")
    if not isinstance(arguments, dict):
        return {}, _fault(call, "syntax", "The arguments must be a JSON object.")
    faults = await asyncio.to_thread(find_faults, schema, arguments)
    if faults:
        return {}, _fault(call, "schema", "; ".join(faults[:5]))
    return arguments, None


def _repeat(state: RunState, call: Call, tool: ToolDefinition, key: str) -> Judged | None:
    if tool.polls:
        return None
    for id_ in state.turn:
        other = state.calls[id_]
        if other.judged and other.judged.key == key and other.judged.verdict == "run" and not other.is_settled:
            text = error_text(tool.name, f"Made twice in one turn; see the result of call {id_}.", may_retry=False)
            return Judged(call.id, "repeat", key, text, repeats=id_)
    entry = state.ledger.repeated(tool, key)
    return None if entry is None else Judged(call.id, "repeat", key, _repeated_text(state, tool, entry))


def _repeated_text(state: RunState, tool: ToolDefinition, entry: Entry) -> str:
    age = f"{max(0, time.time() - entry.at):.0f} s ago"
    if entry.outcome == "unknown":
        problem = f"This call was begun {age} (call {entry.number}) and may have been carried out; it is not repeated."
        return error_text(tool.name, problem, may_retry=False, calls=state.scratchpad)
    done = next(c for c in state.calls.values() if c.begun and c.begun.number == entry.number and c.outcome)
    note = f"Already run {age}, with the same arguments; this is its result. Use it, or do something else."
    if tool.effect != "read":
        note = f"Already done {age}; it was not done again."
    try:
        envelope = json.loads(done.text or "")
    except ValueError:
        envelope = {"tool": tool.name, "data": done.text}
    envelope |= {"note": note, "calls so far": state.scratchpad}
    return json.dumps(envelope, ensure_ascii=True)


async def _check(tool: ToolDefinition, arguments: dict[str, Any]) -> str | None:
    if tool.check is None:
        return None
    try:
        return await asyncio.wait_for(tool.check(arguments), _CHECK_SECONDS)
    except Exception as error:  # the operator's code; what can't be checked is not run
        return f"The arguments could not be checked: {type(error).__name__}."


def _fault(call: Call, kind: FaultKind, problem: str, key: str = "") -> Judged:
    return Judged(call.id, "fault", key, text=error_text(call.name, problem), fault=kind)

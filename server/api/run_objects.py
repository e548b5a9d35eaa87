"""A run as clients see it: its status, the calls that were made and what came of them, what it waits for."""

import json
from typing import Any

from server.agent.events import Event, Spoke, write_event
from server.agent.run import Run
from server.agent.speaker import Piece
from server.agent.state import CallState, RunState
from server.chat.parser import CallDelta, CallStart, ContentDelta, ReasoningDelta

Json = dict[str, Any]


def run_object(run: Run, created: float) -> Json:
    state, ended = run.state, run.state.ended
    return {
        "id": run.id,
        "object": "run",
        "created_at": int(created),
        "status": run.status,
        "model": state.started.request.get("model"),
        "answer": answer_of(state),
        "cap": ended.cap if ended else None,
        "error": ended.error if ended else None,
        "steps": [_step(call) for call in state.calls.values()],
        "approvals": [approval_object(call) for call in state.approvals],
        "client_calls": [_client_call(call.id, call.name, call.arguments) for call in state.handed_over],
        "question": question_of(state),
        "usage": usage_of(state),
    }


def answer_of(state: RunState) -> str | None:
    """What the model said last, if it is an answer."""
    return state.latest.content if state.latest is not None and not state.turn else None


def usage_of(state: RunState) -> Json:
    spent = state.spent
    return {
        "steps": spent.steps,
        "calls": spent.calls,
        "seconds": round(spent.seconds, 3),
        "tokens": spent.tokens,
        "bytes": spent.bytes,
    }


def approval_object(call: CallState) -> Json:
    """What a person needs to know to decide."""
    assert call.approval
    return {
        "id": call.approval.id,
        "call_id": call.call.id,
        "tool": call.call.name,
        "arguments": call.call.arguments,
        "provenance": _provenance(call),
        "reasons": list(call.approval.reasons),
        "hash": call.approval.hash,
        "expires_at": int(call.approval.expires),
        "request": call.approval.request,
    }


def event_object(number: int, at: float, event: Event) -> Json:
    """An event of a run's stream; the first does not repeat the request."""
    written = write_event(event)
    if event.kind == "started":
        written = {"kind": "started", "tools": written["tools"], "caps": written["caps"]}
    return {"id": number, "at": at, **written}


def delta_object(piece: Piece) -> Json | None:
    """A piece of a turn under way; None where it says nothing by itself."""
    match piece.delta:
        case ContentDelta(text):
            return {"kind": "delta", "content": text}
        case ReasoningDelta(text):
            return {"kind": "delta", "reasoning_content": text}
        case CallStart(_, name):
            return {"kind": "delta", "call_id": piece.call, "name": name}
        case CallDelta(_, arguments):
            return {"kind": "delta", "call_id": piece.call, "arguments": arguments}
        case _:
            return None


def chat_message(state: RunState) -> tuple[Json, str]:
    """The message a chat completion ends with, and its finish reason."""
    message: Json = {"role": "assistant", "content": answer_of(state), "refusal": None, "annotations": []}
    if state.handed_over:
        message["tool_calls"] = [_client_call(call.id, call.name, call.arguments) for call in state.handed_over]
        return message, "tool_calls"
    if (question := question_of(state)) is not None:
        message["content"] = question["question"]
    message["content"] = message["content"] or ""
    return message, "length" if state.ended and state.ended.status == "incomplete" else "stop"


def tokens_of(spoken: list[Spoke]) -> Json:
    """A chat completion's usage, over all turns."""
    prompt, completion = (sum(getattr(one, name) for one in spoken) for name in ("prompt_tokens", "completion_tokens"))
    cached = sum(one.cached_tokens for one in spoken)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(one.reasoning_tokens for one in spoken),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _step(call: CallState) -> Json:
    judged = call.judged
    return {
        "call_id": call.call.id,
        "number": call.begun.number if call.begun else None,
        "tool": call.call.name,
        "arguments": call.call.arguments,
        "verdict": judged.verdict if judged else None,
        "outcome": call.outcome,
        "fault": judged.fault if judged else None,
        "provenance": _provenance(call),
        "result": call.text,
    }


def _provenance(call: CallState) -> Json:
    return {pointer: str(origin) for pointer, origin in (call.judged.origins if call.judged else {}).items()}


def _client_call(id_: str, name: str, arguments: str) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def question_of(state: RunState) -> Json | None:
    """What the model wants to know of the user."""
    call = state.question
    if call is None:
        return None
    return {"call_id": call.call.id, "question": question_text(call)}


def question_text(call: CallState) -> str:
    return str(json.loads(call.call.arguments).get("question", ""))

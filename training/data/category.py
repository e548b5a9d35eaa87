"""What a conversation teaches, told from its form where the line doesn't say so itself."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from training.data.record import Record, RecordMessage

Category = Literal[
    "single_call", "error_recovery", "chain", "parallel", "clarification", "no_tool", "answer", "chat"
]  # fmt: skip
"""`answer`: calls stand in the history, but only what is said about their results is learnt. `chat`: no tools."""
CATEGORIES: tuple[Category, ...] = get_args(Category)


def category_of(record: Record) -> str:
    """The line's own `category`, else the first that fits its form."""
    stated = (record.model_extra or {}).get("category")
    if isinstance(stated, str) and stated:
        return stated
    return _category_by_form(record)


def _category_by_form(record: Record) -> Category:
    messages = record.messages
    calling = [message for message in messages if message.tool_calls]
    if not calling:
        return "no_tool" if record.tools else "chat"
    if all(message.weight == 0 for message in calling):
        return "answer"
    if _recovers(messages):
        return "error_recovery"
    if any(len(message.tool_calls or ()) > 1 for message in calling):
        return "parallel"
    if _has_chain(messages):
        return "chain"
    return "clarification" if _asks_first(messages) else "single_call"


def _recovers(messages: Sequence[RecordMessage]) -> bool:
    """A result that tells of a failure, and a call right after it."""
    return any(
        message.role == "tool" and is_failure(message.text) and after.tool_calls
        for message, after in pairwise(messages)
    )


def is_failure(result: str) -> bool:
    """Whether a tool's result says that the call failed."""
    start = result[:80].lower().replace(" ", "").lstrip()
    return start.startswith(("error", '{"error', '{"status":"error', '{"success":false'))


def _has_chain(messages: Sequence[RecordMessage]) -> bool:
    """Two calls with nothing but results between them."""
    since_user = 0
    for message in messages:
        if message.role == "user":
            since_user = 0
        elif message.tool_calls:
            since_user += 1
            if since_user > 1:
                return True
    return False


def _asks_first(messages: Sequence[RecordMessage]) -> bool:
    for message in messages:
        if message.tool_calls:
            return False
        if message.role == "assistant" and message.text.rstrip().endswith("?"):
            return True
    return False

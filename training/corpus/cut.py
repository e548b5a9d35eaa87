"""Cuts a dialogue to one of its calls and what it needs: short rows teach more calls in the same time.

Kept are the words since the call before, or since the first word that the call repeats if that was earlier, and the
tools called there with most of the others.
"""

import json
import random
from dataclasses import replace

from server.chat.messages import Message
from training.conversation import Conversation

_TOOL_KEPT = 0.8
"""Chance of a tool that isn't called to stay."""
_MOST_AFTER = 3
"""Messages kept after the call, its result and the answer."""


def cut_to_call(conversation: Conversation, seed: int) -> Conversation:
    """One call of `conversation`, drawn by `seed`, in a conversation of its own. Without a call it stays whole."""
    rng = random.Random(seed)
    messages = conversation.messages
    calls = [i for i, message in enumerate(messages) if message.tool_calls]
    if not calls:
        return conversation
    chosen = rng.randrange(len(calls))
    call = calls[chosen]
    before = calls[chosen - 1] if chosen else -1
    start = _start(messages, call, before)
    stop = min(len(messages), call + 3 + rng.randrange(_MOST_AFTER + 1))
    later = [i for i in calls if call < i < stop]
    kept = messages[start : min([stop, *later])]
    called = {c.name for message in kept for c in message.tool_calls}
    tools = tuple(tool for tool in conversation.tools if tool.name in called or rng.random() < _TOOL_KEPT)
    return replace(conversation, messages=kept, tools=tools)


def _start(messages: tuple[Message, ...], call: int, before: int) -> int:
    """The user's message that the cut begins with."""
    users = [i for i in range(call) if messages[i].role == "user"]
    first = next((i for i in users if i > before), users[-1] if users else 0)
    for value in _values(messages[call]):
        said = [i for i in range(call) if value in (messages[i].content or "").lower()]
        if said and said[-1] < first:
            first = max((i for i in users if i <= said[-1]), default=0)
    return first


def _values(message: Message) -> list[str]:
    arguments = [json.loads(call.arguments) for call in message.tool_calls]
    return [str(value).lower() for values in arguments for value in values.values()]

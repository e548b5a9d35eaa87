"""A run's prompt within the model's context: results are shortened, the longest first, until there is room to answer.

What a result may take is the operator's word in bytes; how much of it a model can hold is known only here. What the
client said at the beginning is not touched.
"""

from collections.abc import Callable
from dataclasses import replace

from server.agent.wording import shortened
from server.chat.messages import Message

_SHORTEST = 128
"""Bytes that a result keeps at least."""


def fit(
    messages: tuple[Message, ...], first: int, room: int, count: Callable[[tuple[Message, ...]], int]
) -> tuple[Message, ...]:
    """`first`: where the run's own messages begin; `room`: tokens; `count`: of the whole prompt, tools included.

    If nothing is left to shorten, the messages are too long all the same.
    """
    if sum(_size(message) for message in messages[first:]) <= room // 2:
        return messages  # a byte is one token at most; most prompts need no counting
    while count(messages) > room:
        longest = max(
            (index for index, message in enumerate(messages) if index >= first and message.role == "tool"),
            key=lambda index: _size(messages[index]),
            default=None,
        )
        if longest is None or _size(messages[longest]) <= _SHORTEST:
            return messages
        message = messages[longest]
        text = shortened(message.content or "", _size(message) // 2)
        if len(text.encode()) >= _size(message):
            return messages
        messages = (*messages[:longest], replace(message, content=text), *messages[longest + 1 :])
    return messages


def _size(message: Message) -> int:
    return len((message.content or "").encode("utf-8", "replace"))

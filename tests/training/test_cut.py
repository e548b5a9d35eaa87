"""Dialogues cut to one call keep what that call needs."""

import json

import pytest

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation
from training.corpus.cut import cut_to_call


def _tool(name: str) -> Tool:
    return Tool(name, {"type": "object", "properties": {"city": {"type": "string"}}}, name)


def _call(name: str, city: str) -> list[Message]:
    call = ToolCall(name, json.dumps({"city": city}), f"id-{city}")
    return [
        Message("assistant", None, (call,)),
        Message("tool", "[]", tool_call_id=call.id),
        Message("assistant", "Done."),
    ]


LONG = Conversation(
    (
        Message("user", "A hotel, please. And I come from Oslo."), Message("assistant", "Where?"),
        Message("user", "In Lima."), *_call("hotel", "Lima"),
        Message("user", "Now the weather there."), *_call("weather", "Lima"),
        Message("user", "And a train to Rome."), *_call("train", "Rome"),
    ),
    tuple(map(_tool, ("hotel", "weather", "train", "other"))),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_the_call_its_tool_its_words_and_its_result_stay(seed: int) -> None:
    cut = cut_to_call(LONG, seed)
    calls = [call for message in cut.messages for call in message.tool_calls]
    said = " ".join(message.content or "" for message in cut.messages if message.role == "user")
    assert cut.messages[0].role == "user"
    assert calls[-1].name in {tool.name for tool in cut.tools}
    assert json.loads(calls[-1].arguments)["city"] in said
    assert [message.role for message in cut.messages][-2:] != ["assistant", "tool"]


def test_every_call_gets_its_turn() -> None:
    assert {cut_to_call(LONG, seed).messages for seed in range(40)} > {cut_to_call(LONG, 0).messages}
    ends = {[c.name for m in cut_to_call(LONG, seed).messages for c in m.tool_calls][-1] for seed in range(40)}
    assert ends == {"hotel", "weather", "train"}


def test_talk_stays_whole() -> None:
    talk = Conversation((Message("user", "Hi"), Message("assistant", "Hello")))
    assert cut_to_call(talk, 0) == talk

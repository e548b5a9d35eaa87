"""Made-up conversations: their calls fit their tools, and everything in them can be copied."""

import json

import pytest
from jsonschema import Draft202012Validator

from training.corpus.synthetic import conversations


@pytest.mark.parametrize("seed", range(3))
def test_calls_fit_their_tools_and_are_said_before(seed: int) -> None:
    for conversation in conversations(200, seed):
        schemas = {tool.name: tool.parameters for tool in conversation.tools}
        said = " ".join(message.content or "" for message in conversation.messages if message.role == "user")
        for message in conversation.messages:
            for call in message.tool_calls:
                arguments = json.loads(call.arguments)
                Draft202012Validator(schemas[call.name]).validate(arguments)
                assert list(arguments) == [name for name in schemas[call.name]["properties"] if name in arguments]
                for value in arguments.values():
                    assert isinstance(value, bool) or str(value) in said


def test_an_echo_repeats_the_words() -> None:
    echoes = [c for c in conversations(100, 0) if not c.tools]
    assert len(echoes) > 5
    for conversation in echoes:
        for asked, told in zip(conversation.messages[::2], conversation.messages[1::2], strict=True):
            assert (asked.content or "").endswith(told.content or "-")


def test_the_answer_repeats_the_result() -> None:
    for conversation in (c for c in conversations(50, 0) if c.tools):
        result = json.loads(conversation.messages[-2].content or "")
        assert next(iter(result.values())) in (conversation.messages[-1].content or "")


def test_a_seed_gives_the_same_conversations() -> None:
    assert list(conversations(5, 1)) == list(conversations(5, 1)) != list(conversations(5, 2))

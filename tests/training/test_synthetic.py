"""Made-up conversations: their calls fit their tools, and everything in them can be copied."""

import json

import pytest
from jsonschema import Draft202012Validator

from server.chat.messages import ToolCall
from training.conversation import Conversation
from training.corpus.synthetic import _VERBS, conversations


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
                    assert str(value) in ("True", "False") or str(value) in said


def test_truth_values_are_said_either_way() -> None:
    given = {
        (value, any(word in said for word in ("without", "no ", "n't", "not")))
        for conversation in conversations(400, 0)
        for said, call in zip(*_requests_and_calls(conversation), strict=True)
        for name, value in json.loads(call.arguments).items()
        if "wifi" in name
    }
    assert {(True, False), (False, True), ("True", False), ("False", True)} <= given


def test_optional_parameters_are_left_out_and_requests_follow_each_other() -> None:
    left_out = several = 0
    for conversation in (c for c in conversations(200, 0) if c.tools):
        properties = {tool.name: list(tool.parameters["properties"]) for tool in conversation.tools}
        calls = _requests_and_calls(conversation)[1]
        several += len(calls) > 1
        left_out += any(list(json.loads(call.arguments)) != properties[call.name] for call in calls)
    assert left_out > 20
    assert several > 50


def test_a_request_may_have_another_verb_than_the_tool_but_never_that_of_its_sibling() -> None:
    other = 0
    for conversation in conversations(400, 0):
        names = [tool.name.lower().replace("_", "") for tool in conversation.tools]
        for said, call in zip(*_requests_and_calls(conversation), strict=True):
            called = call.name.lower().replace("_", "")
            words = said.replace(",", " ").replace(".", " ").split()
            verb = next((verb for verb in _VERBS if called.startswith(verb) and called not in _VERBS), "")
            noun = called.removeprefix(verb)
            other += verb not in words
            siblings = [name.removesuffix(noun) for name in names if name.endswith(noun) and name != called]
            before_noun = words[: words.index(noun)] if noun in words else []
            assert not set(siblings) & set(before_noun), (said, call.name, names)
    assert other > 50


def _requests_and_calls(conversation: Conversation) -> tuple[list[str], list[ToolCall]]:
    """What was said since the call before, and the call."""
    said, calls = [""], []
    for message in conversation.messages:
        if message.role == "user":
            said[-1] += " " + (message.content or "").lower()
        for call in message.tool_calls:
            calls.append(call)
            said.append("")
    return said[: len(calls)], calls


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

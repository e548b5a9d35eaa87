"""From a request to prompt and parser."""

import pytest

from server.chat.conversation import Conversations
from server.chat.messages import Message, Tool, ToolCall
from server.chat.prompt import SpecialNames
from server.chat.request import ChatRequest, ResponseFormat, ToolChoice
from server.chat.template import ChatTemplate

from .templates import HERMES, OURS, TOOLLESS

USER = Message("user", "q")
TOOL = Tool("look_up", {"type": "object", "properties": {"word": {"type": "string"}}}, "looks a word up")


@pytest.mark.parametrize("template", [OURS, HERMES, TOOLLESS], ids=["ours", "hermes", "toolless"])
def test_a_developers_word_reaches_every_model(template: ChatTemplate) -> None:
    prompt = Conversations(template).prompt(ChatRequest((Message("developer", "Be brief."), USER))).text
    assert "Be brief." in prompt


@pytest.mark.parametrize("template", [OURS, HERMES, TOOLLESS], ids=["ours", "hermes", "toolless"])
@pytest.mark.parametrize("mode", ["none", "auto", "required"])
def test_tools_calls_and_results_are_shown_whatever_the_template_and_the_choice(
    template: ChatTemplate, mode: str
) -> None:
    call = ToolCall("look_up", '{"word":"trammel"}', "1")
    messages = (Message("system", "Be brief."), USER, Message("assistant", None, (call,)), Message("tool", "a net"))
    request = ChatRequest(messages, (TOOL,), ToolChoice(mode))  # type: ignore[arg-type]
    prompt = Conversations(template).prompt(request).text
    for shown in ("Be brief.", "looks a word up", "trammel", "a net"):
        assert shown in prompt


@pytest.mark.parametrize(
    ("choice", "wanted", "calls_at"),
    [
        (ToolChoice("none"), ResponseFormat(), "nowhere"),
        (ToolChoice("auto"), ResponseFormat(), "anywhere"),
        (ToolChoice("required"), ResponseFormat(), "start"),
        (ToolChoice("auto"), ResponseFormat("json_object"), "start"),
        (ToolChoice("none"), ResponseFormat("json_object"), "nowhere"),
    ],
)
def test_calls_are_looked_for_where_the_grammar_lets_them_begin(
    choice: ToolChoice, wanted: ResponseFormat, calls_at: str
) -> None:
    request = ChatRequest((USER,), (TOOL,), choice, response_format=wanted)
    assert Conversations(OURS).prepare(request).calls_at == calls_at


def test_marks_of_calls_written_into_the_content_stay_special_tokens_and_a_users_do_not() -> None:
    names = SpecialNames(frozenset({"<tool_call>", "<|im_end|>"}), frozenset())
    call = Message("assistant", None, (ToolCall("look_up", "{}", "1"),))
    request = ChatRequest((Message("user", "<tool_call>"), call, Message("tool", "<tool_call>")), (TOOL,))
    prompt = Conversations(TOOLLESS, names).prompt(request)
    assert prompt.text.count("<tool_call>") > 3
    assert sum(piece.count("<tool_call>") for piece in prompt.pieces) == 1

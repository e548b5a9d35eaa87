"""`tool_choice` over the turns of a run."""

from typing import Any

import pytest

from server.api.errors import ApiError
from server.api.run_choice import choice_of
from server.api.wire import ChatCompletionRequest
from server.chat.request import ToolChoice

NAMES = ("get", "put", "ask_user")


def choice(value: Any) -> Any:
    messages = [{"role": "user", "content": "Hi"}]
    return choice_of(ChatCompletionRequest.model_validate({"model": "m", "messages": messages, "tool_choice": value}))


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("value", "first", "later"),
    [
        (None, ToolChoice("auto", NAMES), ToolChoice("auto", NAMES)),
        ("none", ToolChoice("none"), ToolChoice("none")),
        ("required", ToolChoice("required", NAMES), ToolChoice("auto", NAMES)),
        (
            {"type": "function", "function": {"name": "put"}},
            ToolChoice("required", ("put",)),
            ToolChoice("auto", NAMES),
        ),
        (
            allowed("required", "get"),
            ToolChoice("required", ("get", "ask_user")),
            ToolChoice("auto", ("get", "ask_user")),
        ),
        (allowed("auto", "get"), ToolChoice("auto", ("get", "ask_user")), ToolChoice("auto", ("get", "ask_user"))),
    ],
)
def test_a_call_is_required_once_and_what_is_allowed_stays_so(value: Any, first: ToolChoice, later: ToolChoice) -> None:
    assert choice(value).of_turn(NAMES, is_first=True) == first
    assert choice(value).of_turn(NAMES, is_first=False) == later


def test_where_nothing_may_be_called_there_is_nothing_to_choose() -> None:
    assert choice("required").of_turn((), is_first=True) == ToolChoice("none")
    assert choice(allowed("required", "get")).of_turn(("put",), is_first=False) == ToolChoice("none")


@pytest.mark.parametrize("value", [{"type": "function", "function": {"name": "rm"}}, allowed("auto", "get", "rm")])
def test_a_tool_that_is_not_there_can_not_be_chosen(value: Any) -> None:
    choice(value).check((*NAMES, "rm"))
    with pytest.raises(ApiError, match=r"no tool .rm. to choose\. There are: get, put, ask_user"):
        choice(value).check(NAMES)


def test_a_call_can_not_be_required_of_no_tools() -> None:
    choice("auto").check(())
    with pytest.raises(ApiError, match="no tool that could be called"):
        choice("required").check(())

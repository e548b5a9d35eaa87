"""Deltas as the Responses API's events."""

from typing import Any

from server.api.completion import ChoiceEvent, ChoiceFinished
from server.api.response_events import ResponseEvents
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, ReasoningDelta
from server.engine.types import Usage

USAGE = Usage(3, 4, 0, 0)


def told(*events: ChoiceEvent, custom: frozenset[str] = frozenset()) -> tuple[list[str], dict[str, Any]]:
    """The kinds of events after the first two, and the response."""
    progress = ResponseEvents({"status": "in_progress", "output": []}, None, custom)
    made = [*progress.begin(), *(one for event in events for one in progress.feed(event)), *progress.end()]
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    return [event["type"].removeprefix("response.") for event in made[2:]], progress.response


def test_reasoning_a_text_and_two_calls_are_items_one_after_the_other() -> None:
    kinds, response = told(
        ReasoningDelta("Hm."), ContentDelta("One "), ContentDelta("moment."),
        CallStart(0, "f"), CallDelta(0, "{}"), CallEnd(0), CallStart(1, "note"), CallDelta(1, "text"), CallEnd(1),
        ChoiceFinished("tool_calls", USAGE), custom=frozenset({"note"}),
    )  # fmt: skip
    assert kinds == [
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [item["type"] for item in response["output"]] == [
        "reasoning", "message", "function_call", "custom_tool_call"
    ]  # fmt: skip
    assert response["output"][0]["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert response["output"][3]["input"] == "text"
    assert response["usage"]["total_tokens"] == 7


def test_an_answer_of_no_words_is_an_empty_message() -> None:
    _, response = told(ChoiceFinished("stop", USAGE))
    assert [item["content"][0]["text"] for item in response["output"]] == [""]


def test_a_call_that_was_cut_short_is_no_output() -> None:
    kinds, response = told(CallStart(0, "f"), CallDelta(0, '{"a'), ChoiceFinished("length", USAGE))
    assert (response["status"], response["output"]) == ("incomplete", [])
    assert kinds[-2:] == ["output_item.done", "incomplete"]

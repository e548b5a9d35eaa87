"""Results give way when a model's context is full."""

import json

from hypothesis import given
from hypothesis import strategies as st

from server.agent.wording import result_text, shortened
from server.api.run_prompt import fit
from server.chat.messages import Message


def count(messages: tuple[Message, ...]) -> int:
    return sum(len((message.content or "").encode()) for message in messages)


def conversation(*results: str) -> tuple[Message, ...]:
    return (
        Message("user", "x" * 300),
        *(Message("tool", result) for result in results),
        Message("assistant", "y" * 50),
    )


def test_the_longest_result_gives_way_first_and_what_the_client_said_stays() -> None:
    messages = conversation("a" * 4000, "b" * 200)
    fitted = fit(messages, 1, 1500, count)
    assert count(fitted) <= 1500
    assert (fitted[0], fitted[2], fitted[3]) == (messages[0], messages[2], messages[3])
    assert fitted[1].content
    assert fitted[1].content.startswith("aaa")


def test_what_fits_is_left_alone() -> None:
    messages = conversation("a" * 400)
    assert fit(messages, 1, 2000, count) is messages


def test_what_can_not_fit_is_not_tried_for_ever() -> None:
    messages = conversation("a" * 4000, "b" * 200)
    fitted = fit(messages, 1, 10, count)
    assert fitted[0] == messages[0]
    assert count(fitted) < 800


def test_an_envelope_stays_one_and_says_that_something_is_missing() -> None:
    text = result_text(3, "get", "ä" * 5000, "untrusted", limit=20_000)
    envelope = json.loads(shortened(text, 1000))
    assert (envelope["tool"], envelope["call"]) == ("get", 3)
    assert "instruction" in envelope["about"]
    assert envelope["trimmed"]
    assert envelope["data"].startswith("ääää")


@given(st.lists(st.text(max_size=400), max_size=6), st.integers(0, 3000), st.booleans())
def test_it_never_grows_and_ends(texts: list[str], room: int, is_wrapped: bool) -> None:
    results = [result_text(1, "t", text, "trusted", limit=10_000) if is_wrapped else text for text in texts]
    messages = conversation(*results)
    fitted = fit(messages, 1, room, lambda some: sum(len((m.content or "").encode("utf-8", "replace")) for m in some))
    assert len(fitted) == len(messages)
    for before, after in zip(messages, fitted, strict=True):
        assert len((after.content or "").encode("utf-8", "replace")) <= len(
            (before.content or "").encode("utf-8", "replace")
        )

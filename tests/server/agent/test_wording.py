"""What the model reads of a result stays data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.agent.wording import error_text, result_text, trim


@given(st.text(max_size=60))
def test_no_text_can_leave_its_envelope(text: str) -> None:
    read = json.loads(result_text(1, "mail", text, "untrusted", limit=1000))
    assert read["data"] == text
    assert set(read) == {"tool", "call", "data", "about"}


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\x1b", "\ud800", "\U000e0041", "\ue000"])
def test_what_does_not_show_is_spelled_out(sign: str) -> None:
    text = result_text(1, "mail", f"a{sign}b", "untrusted", limit=1000)
    assert sign not in text
    assert text.encode()
    assert json.loads(text)["data"] == f"a{sign}b"


def test_a_long_result_keeps_head_and_tail_and_says_what_is_missing() -> None:
    data = "ä" * 400_000 + "the end"
    shown, left_out = trim(data, 1000)
    assert len(shown.encode()) < 1100
    assert shown.startswith("ä")
    assert shown.endswith("the end")
    assert left_out == 800_007 - 1000
    assert json.loads(result_text(1, "get", {"a": [data]}, "trusted", limit=1000))["trimmed"].startswith("799")


def test_a_short_result_is_left_as_it_is() -> None:
    assert trim({"a": [1]}, 100) == ({"a": [1]}, 0)


def test_an_error_is_in_words_and_bounded() -> None:
    read = json.loads(error_text("get", "x" * 10_000))
    assert len(read["error"]) == 2000
    assert "hint" in read

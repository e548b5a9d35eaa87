"""Text from bytes: whole characters, stop strings across any border."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.engine.text_stream import TextStream


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(text=st.text(), cuts=st.lists(st.integers(0, 500)))
def test_characters_come_whole_wherever_the_bytes_are_cut(text: str, cuts: list[int]) -> None:
    stream = TextStream()
    data = text.encode("utf-8", errors="replace")
    parts = [stream.push(piece) for piece in pieces_of(data, cuts)]
    assert "".join(parts) + stream.finish() == data.decode()
    assert not any("\ufffd" in part for part in parts if "\ufffd" not in text)


@given(text=st.text("abc", max_size=30), stop=st.text("abc", min_size=1, max_size=4), cuts=st.lists(st.integers(0, 30)))
def test_the_text_ends_before_the_first_stop_string(text: str, stop: str, cuts: list[int]) -> None:
    stream = TextStream((stop,))
    said = "".join(stream.push(piece) for piece in pieces_of(text.encode(), cuts)) + stream.finish()
    assert said == text.split(stop, 1)[0]
    assert stream.is_stopped == (stop in text)


def test_of_several_stop_strings_the_earliest_counts() -> None:
    stream = TextStream(("world", "lo"))
    assert stream.push(b"hello world") == "hel"


def test_text_that_cannot_become_a_stop_string_is_not_held_back() -> None:
    stream = TextStream(("STOP",))
    assert stream.push(b"fine ST") == "fine "
    assert stream.push(b"ART") == "START"


def test_a_broken_last_character_is_replaced() -> None:
    stream = TextStream()
    assert stream.push("é".encode()[:1]) == ""
    assert stream.finish() == "\ufffd"

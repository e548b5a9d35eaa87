"""The input of a custom tool, read back out of JSON arguments while they stream."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from server.api.custom_tools import CustomCalls, as_arguments
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta


def read(arguments: str, cuts: list[int]) -> str:
    calls = CustomCalls(frozenset({"note"}))
    assert calls.feed(CallStart(0, "note")) == CallStart(0, "note")
    places = sorted({0, len(arguments), *(cut % (len(arguments) + 1) for cut in cuts)})
    told = [calls.feed(CallDelta(0, arguments[a:b])) for a, b in itertools.pairwise(places)]
    assert calls.feed(CallEnd(0)) == CallEnd(0)
    return "".join(delta.arguments for delta in told if isinstance(delta, CallDelta))


@given(st.text(), st.lists(st.integers(0, 200), max_size=8), st.booleans(), st.booleans())
def test_any_text_in_any_pieces_is_the_text(text: str, cuts: list[int], escaped: bool, spaced: bool) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    arguments = json.dumps({"input": text}, ensure_ascii=escaped, separators=separators)
    assert read(arguments, cuts) == text


def test_other_calls_and_texts_stay_as_they_are() -> None:
    calls = CustomCalls(frozenset({"note"}))
    for delta in (ContentDelta("a"), CallStart(0, "f"), CallDelta(0, '{"input": "a"}'), CallEnd(0)):
        assert calls.feed(delta) == delta


def test_what_a_client_sends_back_is_what_the_model_wrote() -> None:
    assert json.loads(as_arguments('a "b"\n')) == {"input": 'a "b"\n'}
